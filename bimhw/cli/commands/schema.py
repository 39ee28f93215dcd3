"""`bimhw schema COMMAND`: the JSON schema of what a command prints with `--json`."""

from __future__ import annotations

import click

from bimhw.cli.output import json_option, print_json


@click.command()
@click.argument("name", nargs=-1, metavar="COMMAND")
@json_option
def command(name: tuple[str, ...], as_json: bool) -> None:
    """Print the JSON schema of what COMMAND prints with --json.

    Without COMMAND, print the names of all.
    """
    from bimhw.cli.schemas import DOCUMENTS, schema

    if name or as_json:
        print_json(schema(" ".join(name)) if name else {command: schema(command) for command in DOCUMENTS})
    else:
        click.echo("\n".join(DOCUMENTS))
