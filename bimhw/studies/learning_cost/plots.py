"""Plots of `bimhw stdp-window` and `bimhw learning-cost`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.studies.learning_cost.cost import LearningCost
from bimhw.studies.learning_cost.window import Curve
from bimhw.views.figure import save_figure


def plot_window(curves: Sequence[Curve], trained: Sequence[Curve], path: Path) -> None:
    """Plot updates against spike-time difference, the fits from the peak on as thin lines; a trained network's beside."""
    figure, axes = _panels(2 if trained else 1)
    titles = ("one synapse, one pair of spikes", "trained network, mean over synapses")
    for panel, group, title in zip(axes, (curves, trained), titles, strict=False):
        for c in group:
            largest = np.abs(c.update).max()
            text = f"{c.name}: tau {c.from_peak.tau:.1f}, R² {c.from_peak.r2:.3f}"
            (line,) = panel.plot(c.lags, c.update / largest, "o", ms=3, label=text)
            lags = c.lags[c.lags >= c.from_peak.first]
            start = np.exp(c.from_peak.log_start) / largest
            panel.plot(lags, start * np.exp(-lags / c.from_peak.tau), color=line.get_color(), lw=0.9)
        panel.axhline(0, color="0.7", lw=0.8)
        panel.set(xlabel="t_post - t_pre (steps)", ylabel="update / its largest", title=title)
        panel.legend(fontsize=8)
    _save(figure, path)


def plot_cost(cost: LearningCost, path: Path) -> None:
    """Plot memory and operations a step against the length of the sequence, with the measured break-even."""
    figure, (memory, work) = _panels(2)
    steps = [r.steps for r in cost.rows]
    for name in ("bptt", "seq", "rtrl"):
        memory.plot(steps, [getattr(r, f"{name}_bytes") / 1024 for r in cost.rows], "o-", ms=3, label=name.upper())
        operations = [getattr(r, f"{name}_ops") for r in cost.rows]
        if None not in operations:
            work.plot(steps, operations, "o-", ms=3, label=name.upper())
    for name, at in (("BPTT", cost.break_even_bptt), ("SEQ", cost.break_even_seq)):
        if at is not None:
            style = "--" if name == "BPTT" else ":"
            memory.axvline(at, color="0.5", lw=0.9, ls=style, label=f"RTRL takes less than {name} from T = {at} on")
    memory.set(xlabel="T (steps)", ylabel="learning memory (KiB)", xscale="log", yscale="log", title="memory")
    work.set(xlabel="T (steps)", ylabel="operations a labelled step", xscale="log", yscale="log")
    work.set_title("work (BPTT with its forward pass)")
    for panel in (memory, work):
        panel.legend(fontsize=8)
    _save(figure, path)


def _panels(count: int) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, count, figsize=(5.5 * count, 4.2), squeeze=False, layout="constrained")
    return figure, axes[0]


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    save_figure(figure, path)
    plt.close(figure)
