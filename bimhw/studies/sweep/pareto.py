"""The Pareto front of a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pareto_front(costs: Sequence[Sequence[float]]) -> list[bool]:
    """For each row of costs (all to be minimised) whether no other row dominates it: <= in all, < in one."""
    if not costs:
        return []
    table = np.asarray(costs, np.float64)
    dominated = [bool(((table <= row).all(1) & (table < row).any(1)).any()) for row in table]
    return [not d for d in dominated]


Rows = Sequence[dict[str, Any]]
DEFAULT_CHIP = "loihi2"


def by_chip(rows: Rows) -> dict[str, Rows]:
    """Return the rows of each chip, in the order of their first row."""
    names = dict.fromkeys(str(r["axes"].get("chip", DEFAULT_CHIP)) for r in rows)
    return {name: [r for r in rows if str(r["axes"].get("chip", DEFAULT_CHIP)) == name] for name in names}


def draw_front(axes: Axes, rows: Rows) -> None:
    """Draw accuracy against energy of the finished points, with the Pareto front."""
    for name, own in by_chip(rows).items():
        dots = axes.scatter(
            [r["total_uj"] for r in own], [100 * r["accuracy"] for r in own], label=name, s=24, alpha=0.8
        )
        _deviations(axes, own, dots.get_facecolor()[0])
    front = sorted((r["total_uj"], 100 * r["accuracy"]) for r in rows if r["pareto"])
    label = "Pareto front (energy, latency, accuracy)"
    axes.plot([e for e, _ in front], [a for _, a in front], lw=1, color="0.5", zorder=0, label=label)
    axes.set(xlabel="energy per inference (µJ)", ylabel="accuracy (%)", title="accuracy against energy")
    energies = [r["total_uj"] for r in rows if r["total_uj"] > 0]
    if energies and max(energies) > 20 * min(energies):
        axes.set_xscale("log")  # chips lie decades apart
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _deviations(axes: Axes, rows: Rows, colour: Any) -> None:
    """Draw mean and standard deviation where a setting has several seeds."""
    groups: dict[str, Rows] = {}
    for r in rows:
        name = repr([(k, v) for k, v in r["axes"].items() if k != "seed"])
        groups[name] = [*groups.get(name, ()), r]
    for own in groups.values():
        if len(own) > 1:
            energy, right = ([float(r[k]) for r in own] for k in ("total_uj", "accuracy"))
            axes.errorbar(
                statistics.fmean(energy), 100 * statistics.fmean(right), 100 * statistics.stdev(right), statistics.stdev(energy),
                fmt="s", color=colour, ms=5, capsize=2, lw=1,
            )  # fmt: skip
