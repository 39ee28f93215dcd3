"""`bimhw serve FOLDER`: the reports of a folder of runs, and its sweeps as they run, as pages on this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from bimhw.cli.output import echo, json_option, print_json


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port on 127.0.0.1; 0: a free one."
)
@click.option("--list", "list_only", is_flag=True, help="Print the list and end.")
@json_option
def command(folder: Path, port: int, list_only: bool, as_json: bool) -> None:
    """Serve the runs and sweeps in FOLDER to a local browser.

    On 127.0.0.1 only, until Ctrl-C; nothing is written.
    """
    from bimhw.studies.serve.server import serve

    if list_only:
        _list(folder, as_json)
        return

    def ready(address: str) -> None:
        print_json({"address": address}) if as_json else echo(f"{address}  (Ctrl-C ends it)")

    with contextlib.suppress(KeyboardInterrupt):
        serve(folder, port, ready)


def _list(folder: Path, as_json: bool) -> None:
    import msgspec

    from bimhw.studies.serve.listing import list_folder
    from simulator.base.shown import short

    found = list_folder(folder)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for run in found.runs:
        echo(f"{run.path}: {run.problem or f'{run.task} on {run.chip}, accuracy {short(run.accuracy)}'}")
    for sweep in found.sweeps:
        echo(f"{sweep.path}: {sweep.problem or f'{sweep.done} points done, {sweep.failed} failed'}")
