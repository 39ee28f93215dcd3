"""`docs/silicon.md`: every prediction against published silicon on one page."""

from __future__ import annotations

from pathlib import Path

from bimhw.evidence.silicon.compare import Comparison
from bimhw.evidence.silicon.judge import Row

QUANTITIES = ("dynamic energy", "step time", "learning energy")
_HEAD = """# Predictions against published silicon

Written by `bimhw silicon DIR --markdown docs/silicon.md`; do not edit by hand. A row that cannot judge says why: the constant was
fitted on it, the host sets its pace, or any constants would give its error. Signed error = (predicted - measured) / measured.
"""


def published() -> Path:
    """Return the folder of the published tables that come with bimhw."""
    return Path(__file__).parent / "published"


def page(result: Comparison) -> str:
    """Return the page as Markdown."""
    lines = [_HEAD, "| set | " + " | ".join(QUANTITIES) + " | rows that judge |", "|---|---|---|---|---|"]
    for s in result.sets:
        judged = sum(len(s.judged(q)) for q in QUANTITIES)
        lines.append(
            f"| {s.name} | {' | '.join(_percent(s.figure(q)) for q in QUANTITIES)} | {judged} of {len(s.rows)} |"
        )
    lines += [f"| mean over sets | {' | '.join(_percent(result.mean(q)) for q in QUANTITIES)} | |", ""]
    for s in result.sets:
        lines += [f"## {s.name} (constants of `{s.chip}`)", ""]
        lines += ["| row | quantity | measured | predicted | unit | error | judges |", "|---|---|---|---|---|---|---|"]
        lines += [_row(r) for r in s.rows]
        lines += ["", *(f"- fitted: {text}" for text in s.fitted), *(f"- {text}" for text in s.assumptions), ""]
    lines += [f"- left out: {text}" for text in result.left_out]
    return "\n".join(lines).rstrip() + "\n"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _row(r: Row) -> str:
    judges = r.excluded or "yes"
    return f"| {r.name} | {r.quantity} | {r.measured:.5g} | {r.predicted:.5g} | {r.unit} | {100 * r.error:+.1f} % | {judges} |"
