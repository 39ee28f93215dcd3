"""The Pareto front of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from bimhw.views.figure import plain_ticks
from simulator.base.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pareto_front(costs: Sequence[Sequence[float]]) -> list[bool]:
    """Return for each row of costs (all to be minimised) whether no other row dominates it: <= in all, < in one."""
    if not costs:
        return []
    table = np.asarray(costs, np.float64)
    dominated = [bool(((table <= row).all(1) & (table < row).any(1)).any()) for row in table]
    return [not d for d in dominated]


Rows = Sequence[dict[str, Any]]
DEFAULT_CHIP = "loihi2"
MARKERS = "os^Dv<>p"
MOST_NAMED = 6  # points of a front that still have room for their settings
TOUCHING = 12.0  # pixels between points whose labels would lie on each other
NOT_NAMED = {"chip", "seed", "seeds", "pareto"}  # by colour and marker, or no axis


class Height(msgspec.Struct, frozen=True):
    """Figure of a sweep's vertical axis: its key in the rows, factor, name and unit."""

    key: str
    factor: float
    name: str
    unit: str


ACCURACY = Height("accuracy", 100.0, "accuracy", "%")
LATENCY = Height("latency_us", 1.0, "latency", "µs")


def rank(accuracy: float | None, energy: float | None, latency: float | None) -> tuple[float, float, float]:
    """Return the costs of a point; an energy or a latency that nobody published beats none."""
    known = (math.inf if value is None else value for value in (energy, latency))
    return -(accuracy or 0.0), next(known), next(known)


def height_of(rows: Rows) -> Height:
    """Return accuracy, or latency where there are no labels or all points are equally accurate."""
    if any(r["accuracy"] is None for r in rows):
        return LATENCY
    alike = len(rows) > 1 and len({r["accuracy"] for r in rows}) == 1
    return LATENCY if alike and all(r.get(LATENCY.key) is not None for r in rows) else ACCURACY


def by_chip(rows: Rows) -> dict[str, Rows]:
    """Return the rows of each chip, in the order of their first row."""
    names = dict.fromkeys(str(r["axes"].get("chip", DEFAULT_CHIP)) for r in rows)
    return {name: [r for r in rows if str(r["axes"].get("chip", DEFAULT_CHIP)) == name] for name in names}


def draw_front(axes: Axes, rows: Rows, settings: Rows) -> None:
    """Draw accuracy against energy with the Pareto front; latency where all points are equally accurate.

    Args:
        axes: to draw on.
        rows: finished points.
        settings: mean and deviation of each setting over its seeds; where there are several seeds, they are what is
            compared, and the points stand faint behind them: the front of points would choose lucky seeds.

    Raises:
        InputError: no point whose energy and accuracy or latency are known.
    """
    key = height_of(rows).key
    rows = [r for r in rows if r["total_uj"] is not None and r[key] is not None]
    if not rows:
        raise InputError(
            "plot", "has no point whose energy and accuracy or latency are known", "Sweep chips with published figures"
        )
    settings = [
        s for s in settings if s.get("total_uj_mean", 0.0) is not None and s.get(f"{key}_mean", 0.0) is not None
    ]
    several = any(s["seeds"] > 1 for s in settings)
    height = height_of(rows)
    means = {name: [s for s in settings if str(s.get("chip", DEFAULT_CHIP)) == name] for name in by_chip(rows)}
    for number, (name, own) in enumerate(by_chip(rows).items()):
        x, y = [r["total_uj"] for r in own], [height.factor * r[height.key] for r in own]
        size, alpha, label = (10, 0.3, None) if several else (24, 0.8, name)
        marker = MARKERS[number % len(MARKERS)]  # chips differ in print without colours, too
        axes.scatter(x, y, s=size, alpha=alpha, label=label, lw=0, color=f"C{number}", marker=marker)
        if several:
            _deviations(axes, means[name], height, name, f"C{number}", marker)
    best = [(s["total_uj_mean"], height.factor * s[f"{height.key}_mean"], s) for s in settings if s["pareto"]]
    single = [(r["total_uj"], height.factor * r[height.key], r["axes"]) for r in rows if r["pareto"]]
    front = sorted(best if several else single, key=lambda point: point[:2])
    label = f"Pareto front (energy, latency, accuracy){' of the means' if several else ''}"
    if len(front) > 1:
        axes.plot([e for e, _, _ in front], [a for _, a, _ in front], lw=1, color="0.5", zorder=0, label=label)
    labelled = height is LATENCY and rows[0]["accuracy"] is not None
    alike = f" (accuracy {100 * rows[0]['accuracy']:.3g} % everywhere)" if labelled else ""
    axes.set(
        xlabel="energy per inference (µJ)", ylabel=f"{height.name} ({height.unit})", title=f"{height.name} against energy{alike}"
    )  # fmt: skip
    if height is ACCURACY:  # no tick above 100 %
        low = axes.get_ylim()[0]
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= 100])
    energies = [r["total_uj"] for r in rows if r["total_uj"] > 0]
    if energies and max(energies) > 20 * min(energies):
        axes.set_xscale("log")  # chips lie decades apart
        plain_ticks(axes.xaxis)
    _name_points(axes, front, settings if several else [r["axes"] for r in rows])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _name_points(axes: Axes, front: Sequence[tuple[float, float, dict[str, Any]]], settings: Rows) -> None:
    """Label the points of a short front with the axes that vary; points that touch share a label of several lines."""
    axis_names = [k for k in front[0][2] if k not in NOT_NAMED and not k.endswith(("_mean", "_sd"))] if front else []
    varied = [k for k in axis_names if len({str(s.get(k)) for s in settings}) > 1]
    axes.autoscale_view()  # pixels of a point are known once the limits are
    labels: list[tuple[tuple[float, float], list[str]]] = []
    for energy, height, setting in front if len(front) <= MOST_NAMED else ():
        text = ", ".join(f"{k} {setting[k]}" for k in varied)
        here = axes.transData.transform((energy, height))
        touching = [texts for at, texts in labels if math.dist(axes.transData.transform(at), here) < TOUCHING]
        if touching:
            touching[0].append(text)
        else:
            labels.append(((energy, height), [text]))
    for at, texts in labels:
        axes.annotate("\n".join(texts), at, (7, 2), textcoords="offset points", fontsize=7, color="0.3")


def _deviations(axes: Axes, settings: Rows, height: Height, name: str, colour: str, marker: str) -> None:
    """Draw mean and standard deviation of each setting over its seeds."""
    centre = [[s[f"{key}_mean"] for s in settings] for key in ("total_uj", height.key)]
    spread = [[s[f"{key}_sd"] or 0.0 for s in settings] for key in ("total_uj", height.key)]
    axes.errorbar(
        centre[0], [height.factor * v for v in centre[1]], [height.factor * v for v in spread[1]], spread[0],
        fmt=marker, color=colour, ms=5, capsize=2, lw=1, label=f"{name}, mean ± s.d. over seeds",
    )  # fmt: skip
