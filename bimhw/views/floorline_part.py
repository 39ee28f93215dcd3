"""The section of a report that says what binds a step, and how steps are kept apart."""

from __future__ import annotations

from bimhw.costs.speed import floorline_rows
from bimhw.runs.folder import RunFolder
from bimhw.views import svg
from bimhw.views.parts import Part, Table

SYNCS = {
    "barrier": "a barrier of all cores",
    "tick": "a clock of the whole chip (ticks)",
    "neighbour": "tokens between neighbouring cores",
    "free": "nothing (free run)",
}


def floorline_part(run: RunFolder, sync: str) -> Part:
    """Show the terms of the run's first steps: which one binds, how long each is, and what to change."""
    rows = floorline_rows(run)
    note = (
        f"Steps are synchronised by {SYNCS.get(sync, sync)}. A step takes at least the longest of these terms, each of "
        "the busiest core or link (first steps of the run)"
    )
    note += "." if sync == "barrier" else "; the terms are those of a barrier."
    bars = [(f"{r['term']} (binds {r['binds_steps']:.0%})", float(r["mean_ns"]) * 1e-9, "chip") for r in rows]
    table = Table(
        ("term", "binds steps", "mean, ns", "range", "quality", "share of a step", "what to change"),
        [
            [
                r["term"],
                f"{r['binds_steps']:.0%}",
                f"{r['mean_ns']:,.1f}",
                f"{r['mean_low_ns']:,.1f} .. {r['mean_high_ns']:,.1f}",
                {"quality": r["trust"]},
                f"{r['of_step']:.0%}",
                r["change"],
            ]
            for r in rows
        ],
        numeric=(1, 2, 3, 5),
    )
    return Part("What binds a step", note, svg.bars(bars, "s", "mean time of each term of a step"), table)
