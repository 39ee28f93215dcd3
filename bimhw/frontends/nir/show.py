"""`bimhw.nir_show`: the graph of a .nir file and how it would be run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bimhw.frontends.nir.graph import NirGraph
from bimhw.frontends.nir.order import order
from bimhw.frontends.nir.read import read_graph
from bimhw.frontends.nir.sources import choose, decays, tells_dt
from simulator.base.shown import Shown

_NO_DT = "the file does not tell its time step; give --dt or --profile to see how it would run"


@dataclass(frozen=True, eq=False, repr=False)
class NirOutline(Shown):
    """A .nir file as it would be run.

    Attributes:
        graph: nodes and edges.
        notes: on the graph and on what was chosen.
        decays: node -> state -> (smallest, largest) share kept from step to step; empty without a time step.
    """

    graph: NirGraph
    notes: tuple[str, ...]
    decays: dict[str, dict[str, tuple[float, float]]]

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        nodes = {
            n.name: {"type": n.kind, "in_shape": list(n.in_shape), "out_shape": list(n.out_shape)}
            for n in self.graph.nodes.values()
        }
        edges = [list(e) for e in self.graph.edges]
        return {"nodes": nodes, "edges": edges, "notes": list(self.notes), "decays": self.decays}


def show_nir(model: Path | str, profile: str | None = None, dt: float | None = None) -> NirOutline:
    """Read the graph of a .nir file, how it would be run, and what each state keeps from step to step.

    Args:
        model: the file.
        profile: semantics of its framework (docs/frontends.md).
        dt: time step.

    Raises:
        InputError: no .nir file, a graph that cannot be run, or an unknown profile.
    """
    path = Path(model)
    graph = read_graph(path)
    order(graph)
    if profile is None and dt is None and not tells_dt(graph):
        return NirOutline(graph, (*graph.notes, _NO_DT), {})
    chosen = choose(graph, profile, dt, path.stem)
    return NirOutline(graph, (*graph.notes, *chosen.notes), decays(graph, chosen))
