"""The table of `bimhw rules` in a Markdown page, between the marks ``<!-- rules TASK -->`` and ``<!-- end -->``."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from bimhw.studies.rules_rows import RuleRow
from simulator.base.errors import InputError
from simulator.base.reading import read_text
from simulator.base.writing import write_text

_END = "<!-- end -->"


def table(rows: Sequence[RuleRow], level: float) -> str:
    """Return rules by energy to the level, those that did not reach it last; mean and standard deviation over seeds."""
    by_rule: dict[str, list[RuleRow]] = {}
    for row in rows:
        by_rule.setdefault(row.rule, []).append(row)
    stream, figure = any(row.stream for row in rows), rows[0].figure
    lines = [
        f"| rule | {figure} at the end, % {'| over the stream, % ' * stream}"
        f"| samples to {level:.0%} | energy to {level:.0%}, mJ | time to {level:.0%}, ms "
        "| energy per sample, uJ | time per sample, us | learning memory, bytes | bits per synapse | packets per sample |",
        "|---" * (10 + stream) + "|",
    ]
    return "\n".join(lines + [_line(name, of) for name, of in sorted(by_rule.items(), key=_order)]) + "\n"


def check_page(page: Path, task: str) -> tuple[int, int]:
    """Return where the table of a task stands in a page.

    Raises:
        InputError: the page has no marks for this task.
    """
    text, start = read_text(page), f"<!-- rules {task} -->\n"
    begin = text.find(start)
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        raise InputError(
            f"page {page}", f"has no marks {start.strip()} and {_END}", "Put them where the table shall stand"
        )
    return begin + len(start), end


def write_table(page: Path, task: str, rows: Sequence[RuleRow], level: float) -> None:
    """Replace the table of a task in a page; raises as `check_page`."""
    begin, end = check_page(page, task)
    text = read_text(page)
    write_text(page, text[:begin] + table(rows, level) + text[end:])


def _order(item: tuple[str, list[RuleRow]]) -> tuple[int, float, float]:
    reached = [r for r in item[1] if r.samples_to_level is not None]
    missing = len(item[1]) - len(reached)
    costs = [r.energy_to_level_mj or 0.0 for r in reached]
    return missing, statistics.mean(costs) if costs else 0.0, -statistics.mean(r.accuracy[-1] for r in item[1])


def _line(name: str, rows: list[RuleRow]) -> str:
    reached = [r for r in rows if r.samples_to_level is not None]
    part = "" if len(reached) in (0, len(rows)) else f" ({len(reached)} of {len(rows)} seeds)"
    cells = [
        f"`{name}`",
        _spread((100 * r.accuracy[-1] for r in rows), 1),
        *([_spread((100 * statistics.mean(r.accuracy) for r in rows), 1)] if rows[0].stream else []),
        _spread((r.samples_to_level for r in reached), 0) + part,
        _spread((r.energy_to_level_mj for r in reached), 2),
        _spread((r.time_to_level_ms for r in reached), 1),
        _spread((r.energy_uj for r in rows), 2),
        _spread((r.latency_us for r in rows), 1),
        f"{rows[0].memory_bytes:,}",
        f"{rows[0].bits_per_synapse:.1f}",
        f"{statistics.mean(r.packets for r in rows):,.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _spread(values: Iterable[float | None], digits: int) -> str:
    """Return mean and standard deviation, ``not reached`` for no values, ``unknown`` where one is."""
    all_of_them = list(values)
    found = [value for value in all_of_them if value is not None]
    if len(found) < len(all_of_them):
        return "unknown"
    if not found:
        return "not reached"
    mean = f"{statistics.mean(found):.{digits}f}"
    return mean if len(found) == 1 else f"{mean} +- {statistics.stdev(found):.{digits}f}"
