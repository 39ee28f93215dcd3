"""`NirGraph`: the nodes of a .nir file in one flat name space, checked, with their shapes known.

Nested graphs are flattened: node ``n`` of subgraph ``s`` is ``s.n``, and the subgraph's Input and Output stay as
junctions that pass their value on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from simulator.base.shown import Shown

Edge = tuple[str, str]
Shape = tuple[int, ...]

NEURONS = ("I", "LI", "IF", "LIF", "CubaLI", "CubaLIF")
FIRING = ("IF", "LIF", "CubaLIF")


@dataclass(frozen=True, eq=False)
class Node:
    """One NIR primitive.

    Attributes:
        name: unique in the graph.
        kind: the primitive (``LIF``, ``Conv2d`` ...), or ``Junction`` for the ends of a flattened subgraph.
        fields: its arrays and numbers, as float64 arrays, tuples of int or strings.
        in_shape, out_shape: without batch and time; known once `shapes.infer` ran.
    """

    name: str
    kind: str
    fields: Mapping[str, Any]
    in_shape: Shape = ()
    out_shape: Shape = ()

    @property
    def where(self) -> str:
        """Name of this node in errors."""
        return f"node {self.name!r} ({self.kind})"


@dataclass(frozen=True, eq=False, repr=False)
class NirGraph(Shown):
    """A checked graph.

    Attributes:
        source: the file, for messages.
        nodes: by name.
        edges: (source, target); several edges into a node add.
        notes: what was repaired or ignored while reading, one sentence each.
    """

    source: str
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    notes: tuple[str, ...] = field(default=())

    def of_kind(self, *kinds: str) -> list[Node]:
        """Return the nodes of these primitives, in the order of the file."""
        return [n for n in self.nodes.values() if n.kind in kinds]

    def sources(self, name: str) -> list[str]:
        """Return the nodes with an edge to `name`."""
        return self._neighbours[0].get(name, [])

    def targets(self, name: str) -> list[str]:
        """Return the nodes that `name` has an edge to."""
        return self._neighbours[1].get(name, [])

    @cached_property
    def _neighbours(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        into: dict[str, list[str]] = {}
        out: dict[str, list[str]] = {}
        for a, b in self.edges:
            into.setdefault(b, []).append(a)
            out.setdefault(a, []).append(b)
        return into, out

    def __str__(self) -> str:
        lines = [f"nir graph {self.source}"]
        for n in self.nodes.values():
            arrow = f" -> {', '.join(self.targets(n.name))}" if self.targets(n.name) else ""
            lines.append(f"  {n.name} {n.kind} {list(n.in_shape)} -> {list(n.out_shape)}{arrow}")
        return "\n".join(lines)
