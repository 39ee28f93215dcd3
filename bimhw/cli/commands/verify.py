"""`bimhw verify`: does the tool tell the truth on this machine?"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import OutputFile, json_option, print_json, print_table
from bimhw.cli.task_options import dataset

if TYPE_CHECKING:
    from bimhw.evidence.verify.rtl.check import Row


@click.command()
@click.option("--quick/--full", default=True, help="Quick: under a minute. Full: many more cases.")
@click.option("--seed", type=click.IntRange(0, 2**31), help="Of the random cases; a new one each time by default.")
@click.option("--only", multiple=True, metavar="TEXT", help="Only checks whose name contains TEXT.")
@click.option("--nir", type=click.Path(path_type=Path), help="Folder of .nir files with recorded spikes (.npz).")
@click.option("--silicon", type=click.Path(path_type=Path), help="Folder of published measurements.")
@click.option(
    "--rtl",
    type=click.Path(path_type=Path),
    help="Folder of recorded runs of hardware descriptions (cases.npz); alone, only these are replayed.",
)
@click.option("--model", type=click.Path(path_type=Path), help="Your own network; with --data, only it is checked.")
@click.option("--data", type=click.Path(path_type=Path), help="Your own samples for --model.")
@click.option(
    "--encode", type=click.Choice(["rate", "latency", "delta", "graded"]), help="Code of real values of --data."
)
@click.option("--data-option", "data_options", multiple=True, metavar="NAME=VALUE", help="Of --data: layout, steps ...")
@click.option("--chip", default="loihi2", show_default=True, help="Chip that --model is compiled for.")
@click.option("--write", type=OutputFile(), help="Write the outcome as a page (docs/validation.md).")
@click.option("--dask", help="Address of a Dask scheduler that checks run on.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that share the checks."
)
@json_option
def command(
    quick: bool,
    seed: int | None,
    only: tuple[str, ...],
    nir: Path | None,
    silicon: Path | None,
    rtl: Path | None,
    write: Path | None,
    dask: str | None,
    as_json: bool,
    **own: Any,
) -> None:
    """Compare this installation with independent oracles.

    Exit code 1 if a check fails.
    """
    from bimhw.evidence.verify.api import verify

    if write is not None and rtl is not None and not only:
        only = ("",)  # the page holds every check
    encode, options = own.pop("encode"), own.pop("data_options")
    if encode is not None or options:
        own["data"] = dataset(own["data"], encode, options)
    drawn = secrets.randbelow(10**6) if seed is None else seed
    if not as_json:
        click.echo(f"seed {drawn}", err=True)
    found = verify(
        not quick,
        drawn,
        only,
        nir,
        silicon,
        rtl,
        lambda o: None if as_json else click.echo(f"- {o.check.name}", err=True),
        dask,
        **own,
    )
    if write is not None:
        from bimhw.evidence.verify.markdown import markdown
        from simulator.base.files import write_text

        write_text(write, markdown(found.outcomes, found.setting, found.replayed))
    if as_json:
        print_json(found.as_json())
    else:
        if found.replayed:
            _print_replayed(found.replayed)
        rows = [
            (o.check.name, o.check.against, "" if o.value is None else f"{o.value:.3g}", f"{o.check.limit:g}",
             o.status, f"{o.seconds:.1f}")
            for o in found.outcomes
        ]  # fmt: skip
        print_table(f"verify, seed {drawn}", ("check", "against", "figure", "limit", "result", "s"), rows)
        for o in found.outcomes:
            if o.note:
                click.echo(f"{o.check.name}: {o.note}")
    if not found.passed:
        sys.exit(1)


def _print_replayed(replayed: Sequence[Row]) -> None:
    rows = [
        (r.case, r.design, f"{r.comparison.words:,}", r.error or r.comparison.bits_off, f"{r.comparison.stamps:,}",
         r.comparison.cycles_off, r.comparison.where())
        for r in replayed
    ]  # fmt: skip
    head = ("case", "design", "words", "bits off", "stamps", "cycles off", "where")
    print_table("recorded runs of published RTL", head, rows)
    bits, cycles = sum(r.comparison.bits_off for r in replayed), sum(r.comparison.cycles_off for r in replayed)
    equal = sum(r.equal for r in replayed)
    click.echo(f"total: {equal} of {len(replayed)} cases equal, {bits:,} bits and {cycles:,} cycles off")
