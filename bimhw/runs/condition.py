"""Figures of what went wrong on the chip during a run: values that left their word, and what faults did."""

from __future__ import annotations

from typing import Any

from simulator.program.activity import Activity

FAULT = "fault_"


def saturation_figures(activity: Activity) -> dict[str, Any]:
    """Return values that left their word: in all, by core (those with any; ``host`` for neurons outside) and by population."""
    count = activity.counts.get("saturations")
    if count is None:
        return {"total": 0, "by_core": {}, "by_population": {}}
    names = [*(str(c) for c in range(count.by_core.size - 1)), "host"]
    return {
        "total": count.total,
        "by_core": {name: n for name, n in zip(names, count.by_core.tolist(), strict=True) if n},
        "by_population": {
            name: n for name, n in zip(activity.populations, count.by_population.tolist(), strict=True) if n
        },
    }


def fault_figures(activity: Activity) -> dict[str, int]:
    """Count what faults did, by counter (``lost_packets``, ``weight_flips`` ...)."""
    return {k.removeprefix(FAULT): c.total for k, c in sorted(activity.counts.items()) if k.startswith(FAULT)}
