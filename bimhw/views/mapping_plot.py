"""Plot of a mapping: cores of the mesh by load, links by messages per step, borders of chips, the host's port."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.views.figure import check_picture, save_figure
from mapping.view import MappingView, view_mapping
from simulator.base.arrays import Floats
from simulator.base.shown import significant
from simulator.chips.chip import Chip, Topology
from simulator.program.program import Program

_TILE, _SQUARE = 1.0, 0.62  # distance of routers, side of the square that its cores share
_STEP = ((0, 1), (1, 0), (0, -1), (-1, 0))  # north, east, south, west


def plot_mapping(
    program: Program, chip: Chip, path: Path, rates: Mapping[str, Floats] | None = None, source: str = ""
) -> MappingView:
    """Write a PNG, SVG or PDF by the file's ending.

    Args:
        program: mapped.
        chip: its chip.
        path: of the picture.
        rates: population -> messages per step of each neuron; all 1 where unknown.
        source: where the rates come from, for the title.

    Raises:
        InputError: an ending that is not one of these.
    """
    check_picture(path)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    view, t = view_mapping(program, chip, rates), chip.topology
    size = (max(6.0, 1.6 + 0.95 * t.columns), max(3.0, 1.7 + 0.95 * t.height))
    scale = min(1.0, 24.0 / size[0])
    figure, axes = plt.subplots(figsize=(size[0] * scale, size[1] * scale), layout="constrained")
    _cores(axes, view, t, matplotlib, figure)
    _links(axes, view, t)
    _frame(axes, t)
    used = int((view.neurons > 0).sum())
    text = f"{program.chip}: {used} of {chip.n_cores} cores, {significant(view.link.sum(), 4)} hops per step"
    if t.chips > 1:
        text += f", {significant(view.chip_messages, 4)} messages per step between chips"
    axes.set_title(f"{text}\nrates: {source or 'one message per neuron and step'}", fontsize=9, loc="left")
    save_figure(figure, path)
    plt.close(figure)
    return view


def _cores(axes: Any, view: MappingView, t: Topology, matplotlib: Any, figure: Any) -> None:
    """Draw a square for each core: filled by load, empty where it holds nothing, crossed where it does not work."""
    from matplotlib.patches import Rectangle

    per_row = math.ceil(math.sqrt(t.cores_per_router))
    side = _SQUARE / per_row
    top = float(view.load.max()) or 1.0
    colours = matplotlib.colormaps["YlOrRd"]
    norm = matplotlib.colors.Normalize(0, top)
    for c in range(t.mesh_cores):
        x, y = divmod(c // t.cores_per_router, t.height)
        k = c % t.cores_per_router
        left, low = x - _SQUARE / 2 + (k % per_row) * side, y - _SQUARE / 2 + (k // per_row) * side
        held = view.neurons[c] > 0
        fill = colours(norm(view.load[c])) if held else "white"
        square = Rectangle((left, low), 0.92 * side, 0.92 * side, facecolor=fill, edgecolor="0.4", lw=0.5, zorder=3)
        if not t.works(c):
            square.set(hatch="xxx", edgecolor="0.7")
        axes.add_patch(square)
        if held and t.columns <= 16:
            dark = norm(view.load[c]) > 0.65
            middle = (left + 0.46 * side, low + 0.46 * side)
            axes.text(*middle, str(view.neurons[c]), ha="center", va="center", fontsize=5, zorder=4,
                      color="white" if dark else "black")  # fmt: skip
    names = {name for name, held in zip(view.binding, view.neurons > 0, strict=True) if held and name}
    label = f"fullest resource of a core ({', '.join(sorted(names)).replace('_', ' ') or 'no known limit'})"
    bar = figure.colorbar(matplotlib.cm.ScalarMappable(norm, colours), ax=axes, shrink=0.8, pad=0.01)
    bar.set_label(label, fontsize=7)
    bar.ax.tick_params(labelsize=7)
    bar.formatter = matplotlib.ticker.FuncFormatter(lambda share, _: f"{significant(100 * share, 3)} %")


def _links(axes: Any, view: MappingView, t: Topology) -> None:
    """Draw a line for each direction of a link, thicker with its messages; the busiest one bears their number."""
    top = float(view.link.max())
    if top <= 0:
        return
    for x, y, d in zip(*np.nonzero(view.link), strict=True):
        dx, dy = _STEP[d]
        share = view.link[x, y, d] / top
        aside = 0.05
        ox, oy = aside * dy, -aside * dx  # to the right of the way
        reach = _SQUARE / 2
        start = (x + dx * reach + ox, y + dy * reach + oy)
        end = (x + dx * (_TILE - reach) + ox, y + dy * (_TILE - reach) + oy)
        arrow = {"arrowstyle": "-|>", "lw": 0.4 + 3.0 * share, "color": (0.1, 0.3, 0.6, 0.25 + 0.75 * share)}
        arrow |= {"shrinkA": 0, "shrinkB": 0, "mutation_scale": 5 + 4 * share}
        axes.annotate("", end, start, arrowprops=arrow, zorder=2)
    axes.set_xlabel(
        f"column of routers; arrows: messages per step over a link, thickest {significant(top, 3)}", fontsize=8
    )


def _frame(axes: Any, t: Topology) -> None:
    for k in range(1, t.chips):
        axes.axvline(k * t.width - 0.5, color="black", lw=1.2, ls="--", zorder=1)
    px, py = t.host_port
    axes.plot([px - 0.42], [py], marker="<", color="green", ms=6, zorder=5, clip_on=False)
    axes.text(px - 0.42, py + 0.12, "host", color="green", fontsize=6, ha="center", zorder=5)
    axes.set(xlim=(-0.65, t.columns - 0.5), ylim=(-0.6, t.height - 0.4), aspect="equal")
    axes.set_xticks(range(0, t.columns, max(1, t.columns // 16)))
    axes.set_yticks(range(t.height))
    axes.tick_params(labelsize=7)
    axes.set_ylabel("row", fontsize=8)
    for side in axes.spines.values():
        side.set_visible(False)
