"""The drawing of a .nir graph: every node has a place of its own, ways go right, loops do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bimhw.frontends.nir import build_graph
from bimhw.frontends.nir.order import order
from bimhw.views.nir_plot import places, plot_nir


def _looped() -> Any:
    lif = {k: np.full(3, v) for k, v in {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0}.items()}
    nodes: Any = {
        "in": ("Input", {"shape": np.array([2])}),
        "w": ("Linear", {"weight": np.ones((3, 2))}),
        "n": ("LIF", lif),
        "back": ("Linear", {"weight": np.ones((3, 3))}),
        "out": ("Output", {}),
    }
    return build_graph(nodes, [("in", "w"), ("w", "n"), ("n", "back"), ("back", "n"), ("n", "out")], "g.nir")


def test_nodes_have_places_of_their_own_and_edges_go_right(tmp_path: Path) -> None:
    graph = _looped()
    back = set(order(graph).delayed)
    place = places(graph, back)
    assert len(set(place.values())) == len(graph.nodes)
    assert len(back) == 1
    assert all(place[a][0] < place[b][0] for a, b in graph.edges if (a, b) not in back)
    plot_nir(graph, tmp_path / "g.svg")
    drawn = (tmp_path / "g.svg").read_text()
    assert drawn.count('id="patch_') >= len(graph.nodes) + len(graph.edges)
    plot_nir(graph, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == drawn
