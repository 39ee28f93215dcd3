"""Plot of the design answers of a run: what dominates the energy, what learning costs, what limits the speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bimhw.costs.codesign import Codesign
from bimhw.views.figure import check_picture, plain_ticks, save_figure
from simulator.base.errors import InputError

MOST_BARS = 10
LEAST_SHARE = 0.005  # of the largest bar; shorter ones cannot be seen


def plot_codesign(result: Codesign, path: Path) -> None:
    """Write a PNG, SVG or PDF by the file's ending.

    Raises:
        InputError: an ending that is not one of these.
    """
    check_picture(path)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = [
        (draw, rows)
        for draw, rows in (
            (_tornado, [r for r in result.energy_sensitivity if r["swing_uj"]][:MOST_BARS]),
            (_times, result.time_sensitivity[:MOST_BARS]),
            (_learning, result.learning),
            (_roofline, result.roofline),
        )
        if rows
    ]
    if not panels:
        raise InputError("codesign", "has nothing to plot for this run")
    figure, axes = plt.subplots(
        (len(panels) + 1) // 2, min(2, len(panels)), figsize=(13, 4 * ((len(panels) + 1) // 2)), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for place, (draw, rows) in zip(axes.flat, panels, strict=False):
        draw(place, rows)
    for place in list(axes.flat)[len(panels) :]:
        place.set_axis_off()
    save_figure(figure, path, dpi=130)
    plt.close(figure)


def _tornado(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Change of the energy from the nominal one, which an unknown constant has at 0."""
    shown = [r for r in rows if r["swing_uj"] >= LEAST_SHARE * rows[0]["swing_uj"]][::-1]
    names = [f"{r['item']} ({r['quality']})" for r in shown]
    nominal = [r["uj"] or 0.0 for r in shown]
    left = [r["low_uj"] - n for r, n in zip(shown, nominal, strict=True)]
    axes.barh(names, [r["swing_uj"] for r in shown], left=left, color="#7fa8d0")
    axes.axvline(0, color="black", lw=1)
    axes.set(title="energy: constants from low to high end", xlabel="change from nominal, µJ per sample")
    axes.grid(axis="x", alpha=0.3)


def _times(axes: Any, rows: list[dict[str, Any]]) -> None:
    shown = [r for r in rows if r["change_if_doubled"] >= LEAST_SHARE * rows[0]["change_if_doubled"]][::-1]
    names = [f"{r['time'].replace('_', ' ')}, {r['ns']:g} ns" for r in shown]
    axes.barh(names, [100 * r["change_if_doubled"] for r in shown], color="#7fa8d0")
    axes.set(title="time: each constant doubled", xlabel="longer steps (%)")
    axes.grid(axis="x", alpha=0.3)


def _learning(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Plot dots with their range: a logarithmic axis has no zero for a bar to begin at."""
    shown = rows[::-1]
    low = [r["step_nj"] - r["step_low_nj"] for r in shown]
    high = [r["step_high_nj"] - r["step_nj"] for r in shown]
    names = [r["rule"] for r in shown]
    axes.errorbar([r["step_nj"] for r in shown], names, xerr=[low, high], fmt="o", capsize=3, color="#b06a45")
    for i, r in enumerate(shown):
        if r["times_inference"] is not None:
            axes.annotate(f"{r['times_inference']:.2g} x inference", (r["step_nj"], i), xytext=(0, 7),
                          textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    axes.set(title="learning a step, low to high (label: with updates)", xlabel="nJ per step", xscale="log")
    plain_ticks(axes.xaxis)
    axes.set_ylim(-0.6, len(shown) - 0.3)
    axes.grid(axis="x", alpha=0.3, which="both")


def _roofline(axes: Any, rows: list[dict[str, Any]]) -> None:
    own = next(r for r in rows if r["limit"] == "this run")
    shown = [r for r in rows if r is not own][::-1]
    axes.plot([r["gsynops_per_s"] for r in shown], [r["limit"] for r in shown], "o", color="#3f7f3f")
    axes.axvline(own["gsynops_per_s"], color="black", lw=1, ls="--", label="this run")
    axes.set(title="SynOps/s if one limit were alone", xlabel="10⁹ SynOps/s", xscale="log")
    plain_ticks(axes.xaxis)
    axes.legend(fontsize=8)
    axes.grid(axis="x", alpha=0.3, which="both")
