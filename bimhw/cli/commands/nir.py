"""`bimhw nir`: look into .nir files, run them on recorded data, write them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import (
    OutputFile,
    PictureFile,
    echo,
    force_option,
    json_option,
    print_json,
    print_table,
    seed_option,
)
from bimhw.cli.task_options import dataset
from bimhw.cli.timing_options import workers_option

if TYPE_CHECKING:
    from bimhw.frontends.nir.check import CheckResult

_PROFILE = click.option(
    "--profile",
    help="snntorch, snntorch-zero-delay, snntorch-subtract, snntorch-subtract-now, spikingjelly, norse, sinabs, "
    "rockpool, lava-dl, euler, exact, or a JSON file (docs/frontends.md).",
)
_DT = click.option("--dt", type=float, help="Time step: seconds, or steps where the file's tau is in steps.")
_DATA_OPTION = click.option(
    "--data-option", "data_options", multiple=True, metavar="NAME=VALUE", help="layout, steps, time_step ..."
)
_MODEL = click.argument("model", type=click.Path(path_type=Path))


@click.group("nir", epilog="Example: bimhw nir show net.nir")
def command() -> None:
    """Show, check, run or write .nir files."""


@command.command()
@_MODEL
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Samples x with recorded outputs out.")
@_DATA_OPTION
@_PROFILE
@_DT
@click.option("--workers", type=click.IntRange(min=1), help="Threads for pieces of samples [default: all cores].")
@click.option("--dask", help="Address of a Dask scheduler; pieces of samples are its tasks.")
@json_option
def check(
    model: Path, data: Path, data_options: tuple[str, ...], profile: str | None, dt: float | None, workers: int | None,
    dask: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Check MODEL against recorded outputs, in float.

    The network runs on x of the data. Values that differ from out are counted; exit code 1 if any do.
    """
    from bimhw.runs.nir_check import check_nir

    given = dataset(data, None, data_options) if data_options else data
    result = check_nir(model, given, profile, dt, workers, dask)
    _show_check(result, as_json)
    if result.differ:
        sys.exit(1)


def _show_check(result: CheckResult, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
        return
    for note in result.notes:
        echo(f"note: {note}")
    _print_decays(result.decays)
    kind = "values" if result.exact else "values (beyond 1e-5 + 1e-4 of the value)"
    echo(f"{result.differ} of {result.of} {kind} differ; largest difference {result.max_abs_error:.4g}")
    for hint in result.hints:
        echo(f"hint: {hint}")


@command.command()
@_MODEL
@_PROFILE
@_DT
@click.option("--plot", type=PictureFile(), help="Draw the graph: .png, .svg or .pdf.")
@json_option
def show(model: Path, profile: str | None, dt: float | None, plot: str | None, as_json: bool) -> None:
    """Print the graph of MODEL and how it would be run."""
    from bimhw.frontends.nir.show import show_nir

    outline = show_nir(model, profile, dt)
    if plot:
        from bimhw.views.nir_plot import plot_nir

        plot_nir(outline.graph, Path(plot))
    if as_json:
        print_json(outline.as_json())
        return
    echo(str(outline.graph))
    for note in outline.notes:
        echo(f"note: {note}")
    _print_decays(outline.decays)


def _nodes(graph: Any) -> dict[str, Any]:
    return {
        n.name: {"type": n.kind, "in_shape": list(n.in_shape), "out_shape": list(n.out_shape)}
        for n in graph.nodes.values()
    }


def _print_decays(kept: Any) -> None:
    rows = [[node, state, low, high] for node, states in kept.items() for state, (low, high) in states.items()]
    if rows:
        print_table("kept from step to step", ["node", "state", "smallest", "largest"], rows)


@command.command()
@_MODEL
@click.option("--chip", default="loihi2", show_default=True, help="Chip by name, or a YAML file.")
@click.option("--data", type=click.Path(path_type=Path), help="Samples: x, perhaps labels y, and out to compare with.")
@click.option("--encode", type=click.Choice(["rate", "latency", "delta", "graded"]), help="Code of real values.")
@_DATA_OPTION
@click.option("--decode", type=click.Choice(["count", "first", "membrane", "max"]), help="How outputs become answers.")
@_PROFILE
@_DT
@click.option(
    "--samples", type=click.IntRange(min=1), default=4, show_default=True, help="Random samples without data."
)
@click.option("--steps", type=click.IntRange(min=1), default=50, show_default=True, help="Steps of a random sample.")
@click.option("--rate", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="Rate of random spikes.")
@click.option("--bits", type=int, default=8, show_default=True, help="Bits of a stored weight.")
@click.option(
    "--per-row", is_flag=True, help="A weight scale for each target neuron; for each channel of a shared kernel."
)
@click.option("--state-bits", type=int, default=16, show_default=True, help="Bits of a state word.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write a run folder (for bimhw energy, report).")
@click.option(
    "--engine", default="compiled", show_default=True, help="Timing of the run folder: compiled, simpy, none ..."
)
@workers_option
@seed_option
@force_option
@json_option
def run(model: Path, data: Path | None, as_json: bool, **options: Any) -> None:
    """Run MODEL on a simulated chip and compare with float.

    Spikes that differ are counted.
    """
    from bimhw.runs.nir import run_nir
    from bimhw.runs.time_range import time_note, time_range
    from simulator.base.shown import significant

    encode, data_options = options.pop("encode"), options.pop("data_options")
    samples = None if data is None else dataset(data, encode, data_options)
    found = run_nir(model, data=samples, **options)
    times = {} if options["output"] is None else time_range(options["output"])
    if as_json:
        print_json(found.to_json() | {"result": dict(found.result) | times})
        return
    for note in found.notes:
        echo(f"note: {note}")
    report, rows = found.report, found.comparison["populations"]
    columns = ["population", "differ", "of", "float_rate", "rate", "rms_error"]
    title = (
        f"integers on {found.chip} and float ({found.inputs}); {report['cores']:,} of {report['cores_of_chip']:,} cores"
    )
    print_table(title, columns, [[r[c] for c in columns] for r in rows])
    echo(f"{found.comparison['differ']} of {found.comparison['of']} neuron-steps differ from float")
    if found.differ is not None:
        error, share = found.result["recorded_rms_error"], f"{found.differ} of {found.of} values differ"
        echo(
            f"rms error against out: {error:.2%} of its size ({share}; `bimhw nir check` counts those of the float network)"
        )
        echo(f"decisions that agree with out: {found.result['recorded_decisions_agree']:.1%}")
    if "accuracy" in found.result:
        recorded = found.result.get("recorded_accuracy")
        beside = "" if recorded is None else f"; of out {recorded:.1%}"
        echo(f"accuracy on the chip {found.result['accuracy']:.1%}{beside}")
    if times:
        echo(f"latency of a sample {significant(found.result['mean_latency_us'], 4)} us{time_note(times)}")
    if options["output"] is not None:
        echo(f"run folder: {options['output']}")


@command.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=OutputFile(), help="The .nir file to write.")
@click.option("--dt", type=float, default=1e-4, show_default=True, help="Time step (s) that tau and r are written for.")
@json_option
def export(source: Path, output: Path, dt: float, as_json: bool) -> None:
    """Write the model SOURCE as .nir where that is exact.

    What NIR cannot express is refused by name.
    """
    from bimhw.frontends.nir.export import export_nir

    graph = export_nir(source, output, dt)
    if as_json:
        print_json({"file": str(output), "nodes": _nodes(graph), "edges": [list(e) for e in graph.edges]})
        return
    echo(str(graph))
    echo(f"written: {output} (tau, r and delays for dt = {dt:g} s)")
