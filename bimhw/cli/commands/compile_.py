"""`bimhw compile MODEL --chip C -o x.bimhw`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import OutputFile, PictureFile, json_option, print_json, print_table, seed_option
from bimhw.cli.task_options import take_task, with_task_options
from simulator.base.errors import InputError
from simulator.base.shown import significant

if TYPE_CHECKING:
    from bimhw.compiler.result import CompileResult
    from simulator.program.program import Program


@click.command("compile")
@click.argument("model")
@click.argument("manual", required=False, metavar="[MAPPING]")
@click.option("--chip", default="loihi2", show_default=True, help="Chip by name, or a YAML file.")
@click.option("-o", "--output", type=OutputFile(), help="Program file [default: MODEL's name + .bimhw].")
@click.option(
    "--chips", type=click.IntRange(min=1), default=1, show_default=True, help="Number of such chips in the system."
)
@click.option("--bits", type=int, help="Bits of a stored weight [8; of integers, their own].")
@click.option(
    "--per-row", is_flag=True, help="A weight scale for each target neuron; for each channel of a shared kernel."
)
@click.option("--free-scales", is_flag=True, help="Weight scales need not be powers of two.")
@click.option("--state-bits", type=int, default=16, show_default=True, help="Bits of a state word.")
@click.option("--neurons-per-core", type=click.IntRange(min=1), help="Most neurons on a core.")
@click.option("--task", help="Task or text whose training part calibrates the formats (digits models are recognised).")
@with_task_options
@click.option("--calibration", type=click.Path(), help="Integer payloads [samples, steps, n_in] in an .npy file.")
@click.option(
    "--profile",
    help="How to run a .nir file: snntorch, spikingjelly, norse, sinabs, rockpool, lava-dl, euler, exact, or JSON.",
)
@click.option("--dt", type=float, help="Time step of a .nir file.")
@click.option("--read", "read_options", multiple=True, metavar="NAME=VALUE", help="Option of the model's front end.")
@click.option(
    "--mapping",
    default="auto",
    show_default=True,
    help="auto, blocks, builtin, metis, mtkahypar, a mapping file (or `manual MAPPING`), or `file` (an .npz's own).",
)
@click.option(
    "--objective",
    type=click.Choice(["time", "energy", "edp", "cores", "messages"]),
    default="edp",
    show_default=True,
    help="What the mapping minimises; neurons per core follow from it.",
)
@click.option(
    "--copies", default="1", show_default=True, metavar="N|max", help="Copies of the network, each with its own sample."
)
@click.option("--save-mapping", type=OutputFile(), help="Write the mapping (JSON) to edit and use again.")
@click.option("--plot", type=PictureFile(), help="Picture of the mapping: .png, .svg or .pdf.")
@seed_option
@json_option
def command(
    model: str,
    manual: str | None,
    mapping: str,
    output: str | None,
    calibration: str | None,
    save_mapping: str | None,
    plot: str | None,
    copies: str,
    read_options: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> dict[str, str]:
    """Compile MODEL into a program for a chip.

    MODEL is a trained model (.pt, .safetensors), a .nir file, a plain network (.npz) or another format of docs/frontends.md.
    """
    from bimhw.compiler.data import read_payloads
    from bimhw.compiler.pipeline import compile
    from bimhw.tasks.named import named_values

    path = Path(output or f"{Path(model).stem or 'program'}.bimhw")  # `.` and `/` have no name
    if path.exists() and Path(model).exists() and path.samefile(model):
        raise InputError(str(path), "is the program that is compiled again", "Name another file with -o")
    payloads = read_payloads(Path(calibration)) if calibration else None
    by = _mapping(mapping, manual)
    data = options["data"]
    task, reading = take_task(options), named_values(read_options, "reading option", "dt=0.001")
    options["copies"] = "max" if copies == "max" else _whole_number(copies)
    result = compile(model, calibration=payloads, task=task, mapping=by, reading=reading, **options)
    _write(result, path, save_mapping, plot)
    report = dict(result.report) | {"program": str(path)}
    if _labelled(task) and payloads is None and result.float_network.stage == "float":
        report["notes"] = _judged(result, model, task, by, reading, options)
    if as_json:
        print_json(report)
    else:
        _show(report)
    return {"samples": _samples(result.program, data)}


def _samples(program: Program, data: Path | None) -> str:
    """Return the option that gives `simulate` its samples; "" where the program names or brings them."""
    if program.facts.task or program.inputs is not None:
        return ""
    return f" --data {'FILE' if data is None else shlex.quote(str(data))}"


def _write(result: CompileResult, path: Path, save_mapping: str | None, plot: str | None) -> None:
    """Write program, mapping and picture, all or none: a picture may not find the memory to be drawn."""
    from simulator.base.writing import together

    with together():
        result.program.save(path)
        if save_mapping:
            from mapping.files import save_mapping as write

            write(result.program, Path(save_mapping))
        if plot:
            from bimhw.views.mapping_plot import plot_mapping
            from simulator.program.chip import chip_of_program

            source = f"calibration ({result.report['calibration']})"
            plot_mapping(result.program, chip_of_program(result.program), Path(plot), result.rates, source)


def _labelled(task: object) -> bool:
    """Return whether samples of one's own have classes to get right."""
    y = getattr(task, "y", None)
    return y is not None and y.ndim == 1 and y.dtype.kind in "iu"


def _judged(
    result: CompileResult,
    model: str,
    task: Any,
    mapping: str,
    reading: dict[str, object],
    options: dict[str, Any],
) -> list[str]:
    """Return the notes with the accuracy on the labelled samples; where it or the weights lose, with what would bring it back."""
    from bimhw.compiler.advice import MARK
    from bimhw.compiler.state_advice import MARK as STATES
    from bimhw.runs.remedies import affordable, measure, remedies

    def alarm(note: str) -> bool:
        return MARK in note or STATES in note

    notes, count = list(result.report["notes"]), affordable(result.program, task)
    if not count:
        return notes
    first = measure(result.program, task, count, model)
    if first.keeps:  # words and not a warning: what the weights lost is not lost to the answer
        notes = [
            f"{note}; this costs no accuracy on {first.samples} samples" if alarm(note) else note for note in notes
        ]
    if not first.loses and not any(map(alarm, notes)):
        return [*notes, first.text()]
    given = {k: v for k, v in options.items() if k != "copies" and v is not None}
    return [*notes, *remedies(model, data=task, mapping=mapping, reading=reading, first=first, **given).lines()]


def _whole_number(copies: str) -> int:
    if not copies.isdecimal() or int(copies) < 1:
        raise click.BadParameter(f"--copies {copies}: neither a number from 1 on nor max")
    return int(copies)


def _mapping(method: str, manual: str | None) -> str:
    """Read ``--mapping manual FILE`` and ``--mapping FILE`` alike."""
    if method == "manual":
        if manual is None:
            raise click.UsageError("--mapping manual: which? Give --mapping manual FILE (--save-mapping writes one)")
        return manual
    if manual is not None:
        raise click.UsageError(f"unexpected argument {manual!r}: a mapping file goes with --mapping manual")
    return method


def _show(report: dict[str, Any]) -> None:
    title = (
        f"{report['program']}: {report['neurons']:,} neurons, {report['synapses']:,} synapses, {report['axons']:,} axons "
        f"on {report['cores']:,} of {report['cores_of_chip']:,} cores of {report['chip']}"
    )
    rows = [
        [r["name"], "" if r["total"] is None else r["total"], r["worst_core"], _whole(r["limit"]), _percent(r["load"])]
        for r in report["resources"]
    ]
    if "copies" in report:
        title = f"{title}, {report['copies']} copies of the network"
    print_table(title, ["resource", "total", "fullest core", "limit of a core", "load"], rows)
    _show_weights(report.get("projections", []))
    m = report["mapping"]
    click.echo(
        f"mapping {m['method']}: {significant(m['messages_per_step'], 4)} messages between cores and "
        f"{significant(m['hops_per_step'], 4)} hops per step, "
        "as expected from the calibration's rates"
    )
    _show_objectives(m)
    if "relays" in m:
        later = ", ".join(f"{name} {steps}" for name, steps in m["relays"]["later_steps"].items()) or "none"
        click.echo(f"{m['relays']['neurons']} relay neurons carry axons beyond a core's own; steps later: {later}")
    if "chips" in m:
        click.echo(
            f"{m['chips']} chips hold neurons; "
            f"{significant(m['chip_messages_per_step'], 4)} messages per step leave their chip"
        )
    kept = report["fidelity"]
    click.echo(": ".join([kept["word"], *(["; ".join(kept["reasons"])] if kept["reasons"] else [])]))
    for note in [f"calibration: {report['calibration']}", *report["notes"]]:
        click.echo(note)


def _show_objectives(m: dict[str, Any]) -> None:
    """Show what the chosen mapping costs a step, and what plain blocks and the other objectives would have cost."""
    if "alternatives" not in m:
        return
    named = [(f"{name} (chosen)" if name == m["objective"] else name, f) for name, f in m["alternatives"].items()]
    named.append(("plain blocks", m["blocks"]))
    rows = [
        [
            name, f["cores"], _figure(f["step_ns"], 1e-3), _range(f["step_low_ns"], f["step_high_ns"]), f["time_word"],
            _figure(f["energy_pj_per_step"], 1e-3), _range(f["energy_low_pj_per_step"], f["energy_high_pj_per_step"]),
            f["word"], _figure(f["messages_per_step"]),
        ]
        for name, f in named
    ]  # fmt: skip
    columns = ["objective", "cores", "us", "low .. high", "trust", "nJ", "low .. high", "trust", "messages"]
    print_table("a step by objective, on a sample", columns, rows)


def _range(low: float | None, high: float | None) -> str:
    """Return both ends in thousands; of a lower bound the low one."""
    return "" if low is None else f"{_figure(low, 1e-3)} .. {'' if high is None else _figure(high, 1e-3)}".rstrip()


def _figure(value: float | None, unit: float = 1.0) -> str:
    return "unknown" if value is None else significant(value * unit, 4)


def _show_weights(projections: list[dict[str, Any]]) -> None:
    """Show the error that rounding and clipping leave in each projection's weights."""
    rows = [
        [q["name"], q["synapses"], q["weight_bits"], q["layout"], f"{q['relative_rms_weight_error']:.2%}"]
        for q in projections
    ]
    if rows:
        print_table("weights", ["projection", "synapses", "bits", "layout", "rms error / rms weight"], rows)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _percent(load: float | None) -> str:
    return "" if load is None else f"{100 * load:.1f} %"
