"""Draw the graph of a .nir file: nodes from left to right by their depth, loops as dashed arcs below."""

from __future__ import annotations

from pathlib import Path

from bimhw.frontends.nir.graph import FIRING, NEURONS, NirGraph
from bimhw.frontends.nir.order import order
from bimhw.views.figure import save_figure

_COLOURS = {"firing": "#f4c095", "neuron": "#f9e2ae", "ends": "#cfd8dc", "weights": "#b7d3f2"}


def plot_nir(graph: NirGraph, path: Path) -> None:
    """Write the picture of a graph.

    Args:
        graph: checked graph.
        path: .png, .svg or .pdf.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    back = set(order(graph).delayed)
    place = places(graph, back)
    columns = 1 + max(x for x, _ in place.values())
    rows = 1 + max(y for _, y in place.values())
    figure, axes = plt.subplots(figsize=(1.6 * columns + 0.6, 1.1 * rows + 0.8), layout="constrained")
    for a, b in graph.edges:
        late = (a, b) in back
        bend = f"arc3,rad={-0.45 if late else 0.0 if abs(place[b][0] - place[a][0]) == 1 else 0.25}"
        arrow = {"arrowstyle": "-|>", "shrinkA": 22, "shrinkB": 22, "connectionstyle": bend, "color": "#555"}
        axes.annotate("", _at(place[b]), _at(place[a]), arrowprops=arrow | {"linestyle": "--" if late else "-"})
    for node in graph.nodes.values():
        shape = " x ".join(map(str, node.out_shape)) or "1"
        box = {"boxstyle": "round,pad=0.35", "facecolor": _COLOURS[_group(node.kind)], "edgecolor": "#777"}
        label = f"{node.name[:14]}\n{node.kind}\n{shape}"
        axes.text(*_at(place[node.name]), label, ha="center", va="center", fontsize=7, bbox=box, zorder=3)
    axes.set_xlim(-0.6, columns - 0.4)
    axes.set_ylim(-rows + 0.3, 0.7)
    axes.axis("off")
    save_figure(figure, path)
    plt.close(figure)


def places(graph: NirGraph, back: set[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Return the column (longest way from an input) and row of each node; edges of `back` close loops."""
    forward = [e for e in graph.edges if e not in back]
    depth = dict.fromkeys(graph.nodes, 0)
    for _ in graph.nodes:
        for a, b in forward:
            depth[b] = max(depth[b], depth[a] + 1)
    used: dict[int, int] = {}
    out = {}
    for name, column in sorted(depth.items(), key=lambda item: item[1]):
        out[name] = column, used.get(column, 0)
        used[column] = used.get(column, 0) + 1
    return out


def _at(place: tuple[int, int]) -> tuple[float, float]:
    return float(place[0]), -float(place[1])


def _group(kind: str) -> str:
    if kind in FIRING:
        return "firing"
    if kind in NEURONS:
        return "neuron"
    return "ends" if kind in ("Input", "Output") else "weights"
