"""`bimhw results`: train the tables of docs/results.md, go on after an interruption, and write the page."""

from __future__ import annotations

from pathlib import Path

import click

from bimhw.cli.output import device_option, json_option, print_json


@click.command()
@click.option("--table", "tables", multiple=True, help="Only this table (may be repeated).")
@click.option("--row", "rows", multiple=True, help="Only rows whose label holds this text (may be repeated).")
@click.option("--data", "data", multiple=True, help="NAME=PATH of your data: fsdd=..., mitbih208=...")
@click.option("--seeds", type=click.IntRange(1, 100), help="At most so many seeds a row.")
@click.option("--minutes", type=click.FloatRange(0.0), help="Begin no new run after so many minutes.")
@click.option(
    "--docs", type=click.Path(path_type=Path), default=Path("docs"), show_default=True, help="Folder of the page."
)
@click.option("--report-only", is_flag=True, help="Train nothing, write the page from the points that are there.")
@click.option("--dask", help="Address of a Dask scheduler that trains side by side.")
@device_option
@json_option
def command(
    tables: tuple[str, ...],
    rows: tuple[str, ...],
    data: tuple[str, ...],
    seeds: int | None,
    minutes: float | None,
    docs: Path,
    report_only: bool,
    dask: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Train all tables and write docs/results.md with its plots; runs that are done are not run again."""
    from bimhw.studies.results.api import results
    from simulator.base.errors import InputError

    paths = {}
    for text in data:
        name, equals, path = text.partition("=")
        if not equals:
            raise InputError(f"--data {text!r}", "has no `=`", "Write NAME=PATH, e.g. fsdd=recordings.zip")
        paths[name] = Path(path)

    def say(text: str) -> None:
        click.echo(text, err=True)

    written = results(tables, rows, paths, seeds, minutes, docs, report_only, say, dask, device)
    if as_json:
        print_json({"points": written.points, "files": [str(f) for f in written.files]})
        return
    click.echo(f"{written.points} points; wrote {written.files[0]}")
