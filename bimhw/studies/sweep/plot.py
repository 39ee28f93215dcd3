"""Plots of a sweep: accuracy against energy with the Pareto front; SynOp energy over sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bimhw.studies.sweep.pareto import by_chip, draw_front
from bimhw.studies.sweep.run import SweepResult
from bimhw.views.figure import check_picture, plain_ticks, save_figure
from simulator.base.errors import InputError

Rows = Sequence[dict[str, Any]]


def plot_sweep(result: SweepResult, path: Path) -> None:
    """Write a PNG, SVG or PDF by the file's ending.

    Raises:
        InputError: no finished point, or an ending that is not one of these.
    """
    check_picture(path)
    rows = [r for r in result.rows if r["status"] == "done"]
    if not rows:
        raise InputError("sweep", "has no finished point to plot", "See the reasons of the failures")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    pruned = [r for r in rows if r["synapse_uj_fixed_activity"] is not None]
    figure, axes = plt.subplots(
        1, 2 if pruned else 1, figsize=(12 if pruned else 7, 4.5), layout="constrained", squeeze=False
    )
    draw_front(axes[0, 0], rows, result.over_seeds())
    if pruned:
        _sparsity(axes[0, 1], pruned)
    save_figure(figure, path)
    plt.close(figure)


def _sparsity(axes: Any, rows: Rows) -> None:
    """Plot one chip's synapse energy relative to the least sparse point: as measured, at fixed activity, and 1 - rho."""
    name, own = next(iter(by_chip(rows).items()))
    targets = sorted({r["axes"]["sparsity"] for r in own})
    kept = [1 - t for t in targets]

    def mean(key: str) -> list[float]:
        values = [[r[key] for r in own if r["axes"]["sparsity"] == t and r[key] is not None] for t in targets]
        return [sum(v) / len(v) if v else float("nan") for v in values]

    dense = mean("synapse_uj")[0]
    lines = (
        ("as measured, all projections", [v / dense for v in mean("synapse_uj")], "o-"),
        (
            "at the densest point's activity, all projections",
            [v / dense for v in mean("synapse_uj_fixed_activity")],
            "s--",
        ),
        ("at the densest point's activity, pruned projections", mean("pruned_synops_fixed_activity"), "^-"),
    )
    axes.plot(kept, [k / kept[0] for k in kept], color="0.7", lw=4, zorder=0, label="kept synapses, 1 - sparsity")
    for label, values, style in lines:
        axes.plot(kept, values, style, label=label, ms=5)
    axes.set(
        xlabel="share of synapses kept, 1 - sparsity", ylabel="SynOp energy relative to the densest point",
        title=f"SynOp energy after pruning, {name} (mean of the points)", xscale="log", yscale="log",
    )  # fmt: skip
    top = max(1.0, *(v for _, values, _ in lines for v in values))
    for target, k, rate in zip(targets, kept, mean("spike_rate"), strict=True):
        axes.annotate(
            f"sparsity {target:g}\nspike rate {rate:.2f}",
            (k, 1.06 * top),
            ha="center",
            va="bottom",
            fontsize=8,
            color="0.3",
        )
    axes.set_ylim(top=1.35 * top)
    axes.margins(x=0.12)
    plain_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, loc="lower right")
