"""`bimhw diagram`: a component diagram held against its anatomy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bimhw.cli.output import echo, json_option, print_json, print_table, seed_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@seed_option
@json_option
def command(file: Path, seed: int, as_json: bool) -> None:
    """Check a component diagram against its anatomy table.

    Exit code 1 if they contradict each other. `compile` takes the file too.
    """
    from bimhw.frontends.diagram.skeleton import from_diagram

    skeleton = from_diagram(file, seed=seed)
    figures = skeleton.to_json()
    if as_json:
        print_json(figures)
    else:
        sizes = ", ".join(f"{figures[k]:,} {k}" for k in ("components", "interfaces", "neurons", "synapses"))
        echo(f"{file.name}: {sizes}")
        if skeleton.findings:
            print_table("findings", ["kind", "path", "finding"], [[f.kind, f.path, f.text] for f in skeleton.findings])
        echo(_verdict(skeleton.consistent, skeleton.diagram.anatomy is not None))
    if not skeleton.consistent:
        sys.exit(1)


def _verdict(consistent: bool, checked: bool) -> str:
    if not checked:
        return "no anatomy table: nothing was checked against it"
    return "consistent with its anatomy" if consistent else "contradicts its anatomy"
