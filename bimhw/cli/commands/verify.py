"""`bimhw verify`: does the tool tell the truth on this machine?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bimhw.cli.output import OutputFile, json_option, print_json, print_table

if TYPE_CHECKING:
    from bimhw.evidence.verify.rtl.check import Row

RTL = "published RTL"  # name of the check that replays recordings


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
@click.option("--write", type=OutputFile(), help="Write the outcome as a page (docs/validation.md).")
@json_option
def command(
    quick: bool,
    seed: int | None,
    only: tuple[str, ...],
    nir: Path | None,
    silicon: Path | None,
    rtl: Path | None,
    write: Path | None,
    as_json: bool,
) -> None:
    """Compare this installation with independent oracles; exit code 1 if a check fails."""
    import secrets

    from bimhw.evidence.verify.check import Setting, run_checks
    from bimhw.evidence.verify.checks import CHECKS
    from simulator.base.errors import InputError

    for folder in (nir, silicon, rtl):
        if folder is not None and not folder.is_dir():
            raise InputError(str(folder), "is not a folder", "Check the path")
    if rtl is not None and not (only or nir or silicon or write) and quick:
        only = (RTL,)
    chosen = [c for c in CHECKS if not only or any(text.lower() in c.name.lower() for text in only)]
    if not chosen:
        raise InputError(f"--only {' '.join(only)}", "names no check", f"Checks: {'; '.join(c.name for c in CHECKS)}")
    drawn = secrets.randbelow(10**6) if seed is None else seed
    replayed: list[Row] = []
    setting = Setting(drawn, not quick, nir, silicon, rtl, replayed.append)
    if not as_json:
        click.echo(f"seed {drawn}", err=True)
    outcomes = run_checks(chosen, setting, lambda o: None if as_json else click.echo(f"- {o.check.name}", err=True))
    failed = [o for o in outcomes if o.status == "FAIL"]
    if write is not None:
        from bimhw.evidence.verify.markdown import markdown
        from simulator.base.files import write_text

        write_text(write, markdown(outcomes, setting, replayed))
    if as_json:
        print_json({"seed": drawn, "full": not quick, "passed": not failed, "checks": [o.as_json() for o in outcomes],
                    "rtl": [r.as_json() for r in replayed]})  # fmt: skip
    else:
        if replayed:
            _print_replayed(replayed)
        rows = [
            (o.check.name, o.check.against, "" if o.value is None else f"{o.value:.3g}", f"{o.check.limit:g}",
             o.status, f"{o.seconds:.1f}")
            for o in outcomes
        ]  # fmt: skip
        print_table(f"verify, seed {drawn}", ("check", "against", "figure", "limit", "result", "s"), rows)
        for o in outcomes:
            if o.note:
                click.echo(f"{o.check.name}: {o.note}")
    if failed:
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
