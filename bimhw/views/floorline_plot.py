"""Floorline of a run: time of each step over the synapses of its busiest core, with the floor and the slopes that bound it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bimhw.views.figure import check_picture, plain_ticks, save_figure
from simulator.timing.terms import TERMS, StepTerms

_COLOURS = dict(zip((*TERMS, "barrier"), ("C0", "C1", "C2", "C3", "C4", "0.5"), strict=True))


def plot_floorline(terms: StepTerms, synapse_ns: float, title: str, path: Path) -> None:
    """Draw a run's steps against what bounds them.

    Args:
        terms: of the run's steps.
        synapse_ns: time of one synapse on a core, the slope.
        title: above the picture.
        path: .png, .svg or .pdf.

    Raises:
        InputError: another ending.
    """
    check_picture(path)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    x, bound = np.maximum(terms.synapses, 1), np.array(terms.binding)
    for name in dict.fromkeys(terms.binding):
        own = bound == name
        left.plot(x[own], terms.step_ns[own], ".", ms=4, color=_COLOURS[name], label=f"steps bound by {name}")
    across = np.geomspace(max(1, x.min() / 2), x.max() * 2, 100)
    floor = terms.barrier_ns + float(np.median(terms.ns[:, TERMS.index("neurons")]))
    left.plot(across, np.full(across.size, floor), "k--", lw=1, label="barrier + neurons (mean of the fullest core)")
    left.plot(across, terms.barrier_ns + across * synapse_ns, "k-", lw=1, label="slope: barrier + synapses")
    wide = float(terms.step_ns.max(initial=1.0)) > 3 * terms.barrier_ns
    left.set(
        xscale="log",
        yscale="log" if wide else "linear",
        xlabel="synapses met by the busiest core in a step",
        ylabel="time of a step (ns)",
    )
    for axis in (left.xaxis, left.yaxis) if wide else (left.xaxis,):
        plain_ticks(axis)
    left.legend(fontsize=7)
    rows = sorted(terms.rows(), key=lambda r: float(r["mean_ns"]))
    names = [str(r["term"]) for r in rows]
    right.barh(names, [float(r["mean_ns"]) for r in rows], color=[_COLOURS[n] for n in names])
    for i, r in enumerate(rows):
        right.text(float(r["mean_ns"]), i, f" binds {float(r['binds_steps']):.0%}", va="center", fontsize=8)
    right.axvline(float(terms.step_ns.mean()), color="k", lw=1, ls=":", label="mean step (engine)")
    right.margins(x=0.18)
    right.set_xlabel("mean of the fullest core or link (ns)")
    right.legend(fontsize=7, loc="lower right")
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)
    plt.close(figure)
