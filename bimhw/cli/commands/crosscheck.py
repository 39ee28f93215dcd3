"""`bimhw crosscheck X`: the same network in another simulator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import PictureFile, json_option, print_json, print_table, seed_option
from bimhw.cli.task_options import take_task, with_task_options
from bimhw.cli.timing_options import processes_option

if TYPE_CHECKING:
    from bimhw.evidence.crosscheck.compare import Comparison


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--against", default="brian2", show_default=True, help="The other simulator: brian2, torch.")
@click.option("--task", help="Task whose test samples are the input; else random spikes, or a .npz file's own.")
@with_task_options
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Test samples, from the first.")
@click.option("--steps", type=click.IntRange(1), help="Chip steps; by default the sample's, or 200.")
@click.option("--rate", type=float, default=0.1, show_default=True, help="Random input spikes per channel and step.")
@click.option("--target", type=click.Choice(["numpy", "cython", "cpp_standalone"]), default="numpy", show_default=True)
@click.option("--model", "source", type=click.Path(path_type=Path), help="Float model of a .bimhw program.")
@click.option("--profile", help="How to run a .nir file: a source's name or a JSON file (docs/frontends.md).")
@click.option("--dt", type=float, help="Time step of a .nir file.")
@click.option("--plot", type=PictureFile(), help="Draw the distance over time (.png, .pdf, .svg).")
@processes_option
@seed_option
@json_option
def command(model: Path, samples: int, plot: Path | None, as_json: bool, **options: Any) -> None:
    """Run MODEL here and in another simulator and compare.

    Exit code 1 if they should be equal and differ.

    MODEL is a float network (.pt, .safetensors, .nir: spikes equal, states within 1e-10) or one of integers (.npz, .bimhw:
    all equal). With --model, the float network of a .bimhw is compared too, and the first divergence of its integers named.
    """
    from bimhw.evidence.crosscheck.check import cross_check

    task, source = take_task(options), options.pop("source")
    results = cross_check(model, task=task, samples=tuple(range(samples)), source=source, **options)
    if plot is not None:
        from bimhw.evidence.crosscheck.plot import plot_distance

        plot_distance([c for c in results if c.tolerance is None] or results, plot)
    judged = [c for c in results if c.tolerance is not None]
    if as_json:
        print_json({"equal": all(c.equal for c in judged) if judged else None, "runs": [c.as_json() for c in results]})
    else:
        _print(model, results, len(results) // samples)
    if not all(c.equal for c in judged):
        sys.exit(1)


def _print(model: Path, results: list[Comparison], stages: int) -> None:
    """Print a row a comparison; each sample has one, or one a stage."""
    rows = [
        (k // stages, c.stage, c.against, c.steps, c.events, c.differ, c.max_state_error, _judged(c))
        for k, c in enumerate(results)
    ]
    columns = ("sample", "stage", "against", "steps", "values sent", "differ", "state error", "equal")
    print_table(f"{model} in another simulator", columns, rows)
    for k, c in enumerate(results):
        if c.first is not None:
            f = c.first
            click.echo(
                f"sample {k // stages}, {c.stage}: first divergence at step {f.step}, "
                f"{f.population}[{f.neuron}]: {f.ours:g} here, {f.theirs:g} there; {f.cause}"
            )


def _judged(comparison: Comparison) -> bool | str:
    return "-" if comparison.tolerance is None else comparison.equal
