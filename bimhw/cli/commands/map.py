"""`bimhw map x.bimhw -o mesh.png`: look at a mapping, or take it out of a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bimhw.cli.output import OutputFile, PictureFile, echo, json_option, print_json, print_table
from simulator.base.shown import significant


@click.command()
@click.argument("program", type=click.Path(path_type=Path))
@click.option(
    "--run", type=click.Path(path_type=Path), help="Run folder of this program; its spikes give the load of links."
)
@click.option("-o", "--output", type=PictureFile(), help="Picture: .png, .svg or .pdf.")
@click.option("--save", type=OutputFile(), help="Write the mapping (JSON), for compile --mapping FILE.")
@json_option
def command(program: Path, run: Path | None, output: Path | None, save: Path | None, as_json: bool) -> None:
    """Show the placement of PROGRAM: load of cores and links.

    A table on the terminal; -o writes a picture.
    """
    from bimhw.views.mapping import map_program

    placed = map_program(program, run, output, save)
    facts = placed.as_json() | {"program": str(program)}
    if as_json:
        print_json(facts)
        return
    columns = ("core", "router", "neurons", "load", "binds", "messages out", "messages in", "populations")
    print_table(f"{program} on {placed.chip.name}, rates: {placed.rates}", columns, [_row(r) for r in facts["cores"]])
    echo(
        f"{significant(facts['hops_per_step'], 4)} hops per step; "
        f"{significant(facts['chip_messages_per_step'], 4)} from chip to chip"
    )
    for what, path in (("picture", output), ("mapping", save)):
        if path is not None:
            echo(f"{what} {path}")


def _row(r: dict[str, Any]) -> tuple[Any, ...]:
    x, y = r["router"]
    load = f"{r['load']:.1%}" if r["binding"] else ""
    return (
        r["core"], f"{x}, {y}", r["neurons"], load, r["binding"], r["messages_out"], r["messages_in"], r["populations"],
    )  # fmt: skip
