"""A picture of how far two runs are apart over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bimhw.evidence.crosscheck.compare import Comparison
from bimhw.views.figure import save_figure
from simulator.base.errors import InputError

SUFFIXES = (".png", ".pdf", ".svg")


def plot_distance(results: Sequence[Comparison], path: Path) -> None:
    """Draw the values that differ at each step, one line a sample.

    Raises:
        InputError: a suffix that is not drawn, or a path that cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(str(path), f"ends in {path.suffix!r}", f"Pictures end in {', '.join(SUFFIXES)}")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for k, c in enumerate(results):
        axes.step(
            range(c.steps), c.differ_by_step, where="mid", lw=1, label=f"sample {k}: {c.differ:,} of {c.events:,}"
        )
    axes.set(xlabel="chip step", ylabel="values that differ", title=f"bimhw beside {results[0].against}")
    axes.set_ylim(bottom=0)
    if len(results) <= 8:
        axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
