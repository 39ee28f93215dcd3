"""`bimhw examples`: copy the examples that ship with the package."""

from __future__ import annotations

import click

from bimhw.cli.output import json_option, print_json


@click.command()
@click.option("-o", "--output", default="examples", show_default=True, help="Folder to fill.")
@click.option("--force", is_flag=True, help="Replace files of other content that have an example's name.")
@json_option
def command(output: str, force: bool, as_json: bool) -> None:
    """Copy the example network and scripts to a folder."""
    from bimhw.studies.examples import examples

    files = examples(output, force)
    if as_json:
        print_json({"files": [str(f) for f in files]})
        return
    for file in files:
        click.echo(file)
