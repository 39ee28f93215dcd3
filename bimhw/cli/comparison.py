"""The comparison of a chip with GPUs as a table of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import print_table
from simulator.base.shown import significant

if TYPE_CHECKING:
    from bimhw.costs.rows import ComparisonRow


def _copies(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return a number of copies; None for ``max`` and where it is not given."""
    if value is None or value == "max":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number of copies nor max")
    return int(value)


copies_option = click.option(
    "--copies", metavar="N|max", callback=_copies, help="Copies of the network in throughput mode [as many as fit]."
)


def print_comparison(rows: Iterable[ComparisonRow]) -> None:
    """Print the chip's rows, then the cards' with one column for each case; energies of a sample."""
    found = list(rows)
    columns = (
        "who",
        "what",
        "low uJ",
        "uJ",
        "high uJ",
        "uJ with board and host",
        "us",
        "low .. high us",
        "trust: energy, time",
        "not in the sums",
    )
    print_table("per sample on the chip", columns, [_chip(r) for r in found if r.side == "chip"])
    cards = [r for r in found if r.side == "gpu" and r.how != "measured"]
    body = []
    for who, work, batch, scan in dict.fromkeys((r.who, r.work, r.batch, r.scan) for r in sorted(cards, key=_order)):
        cells = {r.how: r for r in cards if (r.who, r.work, r.batch, r.scan) == (who, work, batch, scan)}
        body.append(
            (who, work + (", scan" if scan else ""), batch, *(_cell(cells.get(c)) for c in ("fused", "graph", "eager")))
        )
    if body:
        title = "uJ per sample on cards: nominal (low .. high), host left out; assumed: estimates, nothing was measured"
        print_table(title, ("card", "work", "batch", "fused bound", "graph", "eager"), body)
    measured = [r for r in found if r.how == "measured"]
    if measured:
        print_table("measured on this machine", columns, [_chip(r) for r in measured])


def _order(r: ComparisonRow) -> tuple[str, int, bool, int]:
    return r.who, ("inference", "bptt", "rtrl", "learning").index(r.work), r.scan, r.batch


def _chip(r: ComparisonRow) -> tuple[Any, ...]:
    high = "unbounded" if r.high_uj is None else r.high_uj
    system = "unknown" if r.system_uj is None else r.system_uj
    us, span = "" if r.us is None else r.us, ""
    if r.low_us is not None and r.high_us is not None:
        span = f"{significant(r.low_us, 3)} .. {significant(r.high_us, 3)}"
    return (r.who, r.what, r.low_uj, r.uj, high, system, us, span, f"{r.word}, {r.time_word}", ", ".join(r.unknown))


def _cell(r: ComparisonRow | None) -> str:
    return (
        ""
        if r is None
        else f"{significant(r.uj, 3)} ({significant(r.low_uj, 3)} .. {significant(r.high_uj or r.uj, 3)})"
    )
