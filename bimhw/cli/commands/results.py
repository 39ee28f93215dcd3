"""`bimhw results`: train the tables of docs/results.md, go on after an interruption, and write the page."""

from __future__ import annotations

from pathlib import Path

import click

from bimhw.cli.output import device_option, echo, json_option, print_json


@click.command()
@click.option("--table", "tables", multiple=True, help="Only this table, or group of tables (may be repeated).")
@click.option("--row", "rows", multiple=True, help="Only rows whose label holds this text (may be repeated).")
@click.option("--data", "data", multiple=True, help="Your data: NAME=PATH (fsdd=...), or its path with one --table.")
@click.option("--seeds", type=click.IntRange(1, 100), help="Most seeds a row.")
@click.option("--minutes", type=click.FloatRange(0.0), help="Begin no run after this many minutes.")
@click.option(
    "--docs", type=click.Path(path_type=Path), default=Path("docs"), show_default=True, help="Folder of the page."
)
@click.option("--report-only", is_flag=True, help="Train nothing, write the page from the points that are there.")
@click.option("--dask", help="Address of a Dask scheduler that trains side by side.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that train side by side."
)
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
    workers: int,
    device: str,
    as_json: bool,
) -> None:
    """Train all tables of docs/results.md and write the page.

    Finished runs are not repeated.
    """
    from bimhw.cli.heartbeat import doing
    from bimhw.studies.results.api import results
    from bimhw.tasks.named import split_pair

    paths: dict[str, Path] = {}
    for text in data:
        if "=" in text and "/" not in text.partition("=")[0]:
            name, path = split_pair(text, "--data", "--data fsdd=fsdd.zip")
            paths[name] = Path(path)
        else:
            paths[_only(tables, text)] = Path(text)

    def say(text: str) -> None:
        echo(text, err=True)

    written = results(tables, rows, paths or None, seeds, minutes, docs, report_only, say, dask, device, doing, workers)
    if as_json:
        print_json({"points": written.points, "files": [str(f) for f in written.files]})
        return
    echo(f"{written.points} points; wrote {written.files[0]}")


def _only(tables: tuple[str, ...], text: str) -> str:
    """Return the name of the data that the only table asked for takes.

    Raises:
        InputError: no table or several, or one that takes none.
    """
    from bimhw.studies.results.plan import TABLES, named_tables
    from simulator.base.errors import InputError

    names = {t.path for found in named_tables(tables).values() for t in found}
    if len(names) == 1 and (name := names.pop()):
        return name
    takes = ", ".join(sorted({t.path for t in TABLES.values()} - {""}))
    raise InputError(f"--data {text!r}", "does not say which data it is", f"Write NAME=PATH, with NAME one of {takes}")
