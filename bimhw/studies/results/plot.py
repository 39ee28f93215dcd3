"""A dot plot of a table: every seed, the mean and its standard deviation. Dots, so that the axis need not begin at zero."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bimhw.views.figure import save_figure

_BIM, _OTHER = "#b04a3a", "#41658a"
NAMES = {
    "accuracy": "accuracy (%)",
    "auc_roc": "AUC-ROC",
    "bits_per_character": "bits per character",
    "word_error_rate": "word error rate (%)",
}
_PERCENT = ("accuracy", "word_error_rate")


def dot_plot(
    rows: Sequence[tuple[str, bool, Sequence[float]]], metric: str, lower_is_better: bool, salt: str, path: Path
) -> Path:
    """Write an SVG that is the same bytes each time.

    Args:
        rows: label, whether it is a BIM network, the figures of its seeds.
        metric: a key of `NAMES`.
        lower_is_better: said below the axis.
        salt: of the SVG's ids.
        path: file to write.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    scale = 100.0 if metric in _PERCENT else 1.0
    labels = [textwrap.fill(label, 44) for label, _, _ in rows]
    lines = sum(label.count("\n") + 1 for label in labels)
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 0.9 + 0.16 * lines + 0.16 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        for at, (_, is_bim, figures) in enumerate(rows):
            values, colour = scale * np.asarray(figures), _BIM if is_bim else _OTHER
            mean, spread = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0
            axes.plot(values, np.full(len(values), at), "o", color=colour, alpha=0.35, markersize=4)
            axes.errorbar(mean, at, xerr=spread or None, fmt="D", color=colour, markersize=5, capsize=3)
            digits = 1 if metric in _PERCENT else 3
            axes.annotate(
                f"{mean:.{digits}f}", (1.01, at), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
            )
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.margins(x=0.05)
        axes.grid(axis="x", color="#dddddd")
        axes.grid(axis="y", color="#eeeeee")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        better = "lower" if lower_is_better else "higher"
        axes.set_xlabel(f"{NAMES[metric]}, {better} is better")
        figure.suptitle("diamond: mean, whisker: sd, dots: seeds; red: BIM, blue: others", fontsize=8, color="#555555")
        save_figure(figure, path, dpi=100)
    return path
