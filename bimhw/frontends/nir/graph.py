"""`NirGraph`: the nodes of a .nir file in one flat name space, checked, with their shapes known.

Nested graphs are flattened: node ``n`` of subgraph ``s`` is ``s.n``, and the subgraph's Input and Output stay as
junctions that pass their value on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bimhw.frontends.nir.fields import read_fields
from bimhw.frontends.nir.hdf5 import read_tree, require
from simulator.base.errors import InputError

Edge = tuple[str, str]
Shape = tuple[int, ...]

NEURONS = ("I", "LI", "IF", "LIF", "CubaLI", "CubaLIF")
FIRING = ("IF", "LIF", "CubaLIF")
STATELESS = ("Input", "Output", "Linear", "Affine", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d",
             "Flatten", "Threshold", "Junction")  # fmt: skip


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
        """How errors name this node."""
        return f"node {self.name!r} ({self.kind})"


@dataclass(frozen=True, eq=False)
class NirGraph:
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
        """Nodes of these primitives, in the order of the file."""
        return [n for n in self.nodes.values() if n.kind in kinds]

    def sources(self, name: str) -> list[str]:
        """Nodes with an edge to `name`."""
        return self._neighbours[0].get(name, [])

    def targets(self, name: str) -> list[str]:
        """Nodes that `name` has an edge to."""
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


def read_graph(path: Path | str) -> NirGraph:
    """Read and check a .nir file.

    Raises:
        InputError: anything that makes the file unfit to run, with the node's name: half-written files, unknown
            primitives, missing fields, NaN or infinite values, tau <= 0, dangling or double edges, shapes that do not
            meet, no Input or Output.
    """
    from bimhw.frontends.nir.shapes import infer

    path = Path(path)
    tree = read_tree(path)
    where = str(path)
    again = "The exporter left the file half-written; export it again"
    root = require(tree, "node", where, again)
    if not isinstance(root, dict) or root.get("type") != "NIRGraph":
        kind = root.get("type") if isinstance(root, dict) else None
        raise InputError(where, f"its root is not a NIRGraph (type {kind!r})", again)
    notes: list[str] = []
    nodes, edges = _flatten(root, "", where, notes)
    return infer(NirGraph(path.name, nodes, tuple(edges), tuple(notes)))


def build_graph(nodes: Mapping[str, tuple[str, Mapping[str, Any]]], edges: list[Edge], source: str = "") -> NirGraph:
    """A checked graph from Python values: node name -> (primitive, fields)."""
    from bimhw.frontends.nir.shapes import infer

    tree = {
        "type": "NIRGraph",
        "nodes": {name: {"type": kind, **fields} for name, (kind, fields) in nodes.items()},
        "edges": [list(edge) for edge in edges],
    }
    notes: list[str] = []
    flat, flat_edges = _flatten(tree, "", source or "graph", notes)
    return infer(NirGraph(source, flat, tuple(flat_edges), tuple(notes)))


def _flatten(tree: Mapping[str, Any], prefix: str, where: str, notes: list[str]) -> tuple[dict[str, Node], list[Edge]]:
    """Nodes and edges of a graph and of the graphs inside it, with their full names."""
    raw = require(tree, "nodes", f"{where}: graph {prefix or '/'!r}")
    if not isinstance(raw, Mapping):
        raise InputError(f"{where}: graph {prefix or '/'!r}: nodes", "is no group of nodes", "Export it again")
    pairs = _edges(tree, raw, f"{where}: graph {prefix.rstrip('.') or '/'!r}")
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    ends: dict[str, tuple[str, str]] = {}  # subgraph -> names of its input and output junctions
    for name, fields in raw.items():
        if not name.isprintable():
            raise InputError(where, f"has a node named {name!r}, with characters that do not print", "Rename it")
        full = prefix + name
        at = f"{where}: node {full!r}"
        if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
            raise InputError(
                at, "has no 'type' that is a text", "The exporter left the file half-written; export it again"
            )
        if fields["type"] == "NIRGraph":
            inner, inner_edges = _flatten(fields, full + ".", where, notes)
            ends[name] = _ends(inner, at)
            inner = {k: _as_junction(n, k in ends[name]) for k, n in inner.items()}
            _add(nodes, inner, at)
            edges += inner_edges
        else:
            kind, values = read_fields(fields, at, notes)
            _add(nodes, {full: Node(full, kind, values)}, at)
    for a, b in pairs:
        edges.append((ends[a][1] if a in ends else prefix + a, ends[b][0] if b in ends else prefix + b))
    return nodes, edges


def _as_junction(node: Node, end: bool) -> Node:
    return Node(node.name, "Junction", node.fields) if end else node


def _add(nodes: dict[str, Node], more: Mapping[str, Node], where: str) -> None:
    for name in more:
        if name in nodes:
            raise InputError(where, f"gives a second node the name {name!r}", "Rename one of them")
    nodes.update(more)


def _ends(inner: Mapping[str, Node], where: str) -> tuple[str, str]:
    inputs = [n.name for n in inner.values() if n.kind == "Input"]  # those of graphs further in are junctions by now
    outputs = [n.name for n in inner.values() if n.kind == "Output"]
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            where,
            f"is a subgraph with {len(inputs)} Input and {len(outputs)} Output nodes, not one each",
            "Give it one of each",
        )
    return inputs[0], outputs[0]


def _edges(tree: Mapping[str, Any], nodes: Mapping[str, Any], where: str) -> list[Edge]:
    raw = require(tree, "edges", where)
    raw = raw.tolist() if hasattr(raw, "tolist") else raw
    if not isinstance(raw, list):
        raise InputError(f"{where}: edges", "is no list of pairs of node names", "Export it again")
    out: list[Edge] = []
    seen: set[Edge] = set()
    for item in raw:
        if not isinstance(item, list | tuple) or len(item) != 2 or not all(isinstance(e, str) for e in item):
            raise InputError(where, f"has an edge {item!r} that is not a pair of node names")
        edge = (item[0], item[1])
        for end in edge:
            if end not in nodes:
                raise InputError(where, f"edge {edge} names {end!r}, which is not a node", f"Nodes: {sorted(nodes)}")
        if edge in seen:
            raise InputError(where, f"has the edge {edge} twice", "Keep one, or add a Scale of 2")
        seen.add(edge)
        out.append(edge)
    return out


read_nir = read_graph  # its name in `bimhw`
