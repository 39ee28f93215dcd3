"""`bimhw silicon DIR`: predictions against published measurements of real chips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bimhw.cli.output import OutputFile, echo, json_option, print_json, print_table

if TYPE_CHECKING:
    from bimhw.evidence.silicon.compare import Comparison


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--loihi1", default="loihi1-fitted", show_default=True, help="Chip file for measurements on Loihi 1.")
@click.option("--loihi2", default="loihi2", show_default=True, help="Chip file for measurements on Loihi 2.")
@click.option("--markdown", type=OutputFile(), help="Write the page as Markdown (docs/silicon.md).")
@json_option
def command(folder: Path | None, loihi1: str, loihi2: str, markdown: Path | None, as_json: bool) -> None:
    """Compare predictions with published silicon.

    FOLDER holds tables, each recognised by its columns; without it, the tables that come with bimhw are used.
    """
    from bimhw.evidence.silicon.compare import compare_silicon, together, vendors_alone
    from bimhw.evidence.silicon.judge import QUANTITIES
    from bimhw.evidence.silicon.page import page
    from bimhw.evidence.silicon.vendor import VARIANTS
    from simulator.base.files import write_text

    result = compare_silicon(folder, loihi1, loihi2)
    theirs = vendors_alone(folder)
    if markdown is not None:
        whole = result if folder is None else together(result, compare_silicon())
        vendor = theirs if folder is None else together(theirs, vendors_alone())
        write_text(markdown, page(whole, vendor, {name: _variant(folder, name) for name in VARIANTS}))
    if as_json:
        print_json(result.as_json() | {"vendor_constants_only": theirs.as_json()["mean_over_sets"]})
        return
    for s in result.sets:
        columns = ("row", "quantity", "measured", "predicted", "of it cores", "unit", "error %", "judges")
        print_table(f"{s.name} ({s.kind}, constants of {s.chip})", columns, _rows(s))
        for text in (*(f"fitted: {f}" for f in s.fitted), *s.assumptions):
            echo(f"  - {text}")
    print_table(
        "one figure a set: mean |error|",
        ("set", *(f"{q} %" for q in QUANTITIES)),
        list(_figures(result, theirs, QUANTITIES)),
    )
    for name in result.not_recognised:
        echo(f"not recognised: {name}")
    for reason in result.left_out:
        echo(f"left out: {reason}")


def _variant(folder: Path | None, name: str) -> Comparison:
    from bimhw.evidence.silicon.compare import together, vendors_with

    own = vendors_with(folder, name)
    return own if folder is None else together(own, vendors_with(None, name))


def _rows(s: Any) -> list[tuple[Any, ...]]:
    """Return the rows that judge, and of those that do not, the first of each quantity and reason (all are in --json)."""
    shown, seen = [], set()
    for r in s.rows:
        if not r.excluded or (r.quantity, r.excluded) not in seen:
            shown.append(_row(r))
        seen.add((r.quantity, r.excluded))
    return shown


def _row(r: Any) -> tuple[Any, ...]:
    sigma = "" if r.sigma is None else f" +- {r.sigma:.3g}"
    judges = "yes" if not r.excluded else f"no: {r.excluded}"
    return (
        r.name,
        r.quantity,
        f"{r.measured:.5g}{sigma}",
        f"{r.predicted:.5g}",
        "" if r.core is None else f"{r.core:.5g}",
        r.unit,
        f"{100 * r.error:+.1f}",
        judges,
    )


def _figures(result: Any, theirs: Any, quantities: tuple[str, ...]) -> Any:
    def percent(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.1f}"

    for s in result.sets:
        yield s.name, *(percent(s.figure(q)) for q in quantities)
    yield "mean over sets", *(percent(result.mean(q)) for q in quantities)
    yield "with the vendors' constants only", *(percent(theirs.mean(q)) for q in quantities)
    yield "of the step time, the cores' mean work alone", "", percent(result.mean_of_cores()), "", ""
    mark = result.as_json()["mark"]
    yield "SANA-FE on Loihi 1 (published)", percent(mark["dynamic_energy"]), percent(mark["step_time"]), "", ""
