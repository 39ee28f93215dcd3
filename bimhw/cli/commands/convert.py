"""`bimhw convert FILE.py:NAME --data X.npz`: a ReLU network as spiking neurons, accuracy against the number of steps."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import OutputFile, json_option, print_json, print_table, seed_option

if TYPE_CHECKING:
    from torch import nn


@click.command()
@click.argument("module", metavar="FILE.py:NAME")
@click.option("--data", required=True, type=click.Path(path_type=Path), help=".npz with x [B, ...] and perhaps y [B].")
@click.option("--steps", type=click.IntRange(1), default=64, show_default=True, help="Time steps of a sample.")
@click.option("--percentile", type=float, default=99.9, show_default=True, help="Of the activations, for thresholds.")
@click.option("--chip", default="loihi2", show_default=True, help="Chip that the program of -o is for.")
@click.option("-o", "--output", type=OutputFile(), help="Compile for the chip and write the program (.bimhw).")
@seed_option
@json_option
def command(
    module: str, data: Path, steps: int, percentile: float, chip: str, output: Path | None, seed: int, as_json: bool
) -> None:
    """Convert the ReLU network NAME of the Python file FILE.py, which is run, to spiking neurons with a rate code."""
    from bimhw.frontends.ann.convert import convert
    from simulator.base.errors import InputError
    from simulator.base.files import read_npz

    arrays = read_npz(data)
    if "x" not in arrays:
        raise InputError(str(data), "has no array 'x'", f"It has: {', '.join(sorted(arrays))}")
    found = convert(_module(module), arrays["x"], arrays.get("y"), steps=steps, percentile=percentile)
    figures = found.to_json()
    if output is not None:
        from bimhw.compiler.pipeline import compile

        result = compile(found.network, chip, seed=seed)
        result.program.save(output)
        figures |= {"program": str(output), "cores": result.report["cores"], "neurons": result.report["neurons"]}
    if as_json:
        print_json(figures)
        return
    rows: list[tuple[Any, ...]] = [(t, found.curve.get(t, "-"), found.agreement[t]) for t in found.agreement]
    print_table(f"{module}: rate code", ("steps", "accuracy", "decides as the ReLU network"), rows)
    if found.ann_accuracy is not None:
        click.echo(f"accuracy of the ReLU network: {found.ann_accuracy:.4g}")
    for note in figures["notes"]:
        click.echo(f"  - {note}")
    if output is not None:
        click.echo(f"saved {output}: {figures['neurons']} neurons on {figures['cores']} cores of {chip}")


def _module(text: str) -> nn.Module:
    """Return the module, or what the function of this name returns, of a Python file that is run."""
    from simulator.base.errors import InputError
    from simulator.base.reading import check_is_file

    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not name:
        raise InputError(text, "is not FILE.py:NAME", "Name the module, or the function that makes it, in your file")
    check_is_file(Path(file))
    values = runpy.run_path(file)
    if name not in values:
        raise InputError(text, f"holds no {name!r}", "Name the module, or the function that makes it")
    from torch import nn

    value = values[name]
    made = value if isinstance(value, nn.Module) else value() if callable(value) else None
    if not isinstance(made, nn.Module):
        raise InputError(text, "is no torch module and makes none", "Name the module, or the function that makes it")
    return made
