"""Read a `NirGraph` from a .nir file or from Python values: flatten nested graphs, check every field, infer the shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.frontends.nir.fields import read_fields
from bimhw.frontends.nir.graph import Edge, NirGraph, Node
from bimhw.frontends.nir.shapes import infer
from bimhw.models.io import load_arrays
from simulator.base.errors import InputError
from simulator.base.hdf5 import is_hdf5, read_tree, require
from simulator.base.misplaced import check_no_run_folder, check_readable_kind
from simulator.base.names import check_name
from simulator.base.reading import boundary


def read_graph(path: Path | str) -> NirGraph:
    """Read and check a .nir file.

    Raises:
        InputError: anything that makes the file unfit to run, with the node's name: half-written files, unknown
            primitives, missing fields, NaN or infinite values, tau <= 0, dangling or double edges, shapes that do not
            meet, no Input or Output.
    """
    path = Path(path)
    if not path.is_file() or is_hdf5(path):
        tree = read_tree(path)
        if path.suffix.lower() == ".nir" or "node" in tree:
            with boundary(path, "a .nir graph", "Export it again"):
                return _graph(tree, path)
    raise _refusal(path)


def _refusal(path: Path) -> InputError:
    """Return (or raise) the error with the way in for a file that is no .nir graph."""
    check_no_run_folder(path)
    check_readable_kind(path)
    if path.suffix in (".pt", ".safetensors"):
        load_arrays(path)
    if path.suffix.lower() == ".nir":
        return InputError(str(path), "is not an HDF5 file, as a .nir file is", "Export it again")
    return InputError(
        str(path),
        "is no .nir graph",
        "Models of other kinds go to bimhw fit, compile and run; bimhw nir export MODEL -o X.nir writes some as .nir",
    )


def _graph(tree: Mapping[str, Any], path: Path) -> NirGraph:
    where, again = str(path), "The exporter left the file half-written; export it again"
    root = require(tree, "node", where, again)
    kind = root.get("type") if isinstance(root, dict) else None
    if not isinstance(kind, str) or kind != "NIRGraph":
        raise InputError(where, f"its root is not a NIRGraph (type {kind!r})", again)
    notes: list[str] = []
    nodes, edges = _input_matrices(*_flatten(root, "", where, notes), notes)
    return infer(NirGraph(path.name, nodes, tuple(edges), tuple(notes)))


def build_graph(nodes: Mapping[str, tuple[str, Mapping[str, Any]]], edges: list[Edge], source: str = "") -> NirGraph:
    """Build a checked graph from Python values: node name -> (primitive, fields)."""
    tree = {
        "type": "NIRGraph",
        "nodes": {name: {"type": kind, **fields} for name, (kind, fields) in nodes.items()},
        "edges": [list(edge) for edge in edges],
    }
    notes: list[str] = []
    flat, flat_edges = _input_matrices(*_flatten(tree, "", source or "graph", notes), notes)
    return infer(NirGraph(source, flat, tuple(flat_edges), tuple(notes)))


def _input_matrices(nodes: dict[str, Node], edges: list[Edge], notes: list[str]) -> tuple[dict[str, Node], list[Edge]]:
    """Return the graph with each w_in that is a matrix as a Linear node before its neuron, whose w_in is then 1."""
    matrices = {
        n.name: n.fields["w_in"]
        for n in nodes.values()
        if "w_in" in n.fields and n.fields["w_in"].ndim > max(1, n.fields["tau_syn"].ndim)
    }
    if not matrices:
        return nodes, edges
    out: dict[str, Node] = {}
    for name, node in nodes.items():
        if name in matrices:
            _add(out, {f"{name}.w_in": Node(f"{name}.w_in", "Linear", {"weight": matrices[name]})}, node.where)
            node = replace(node, fields={**node.fields, "w_in": np.ones(())})
            notes.append(f"{node.where} has a matrix as w_in, read as a Linear node before it")
        _add(out, {name: node}, node.where)
    moved = [(a, f"{b}.w_in" if b in matrices else b) for a, b in edges]
    return out, [*moved, *((f"{name}.w_in", name) for name in matrices)]


def _flatten(tree: Mapping[str, Any], prefix: str, where: str, notes: list[str]) -> tuple[dict[str, Node], list[Edge]]:
    """Flatten a graph and the graphs inside it: nodes and edges with their full names."""
    raw = require(tree, "nodes", f"{where}: graph {prefix or '/'!r}")
    if not isinstance(raw, Mapping):
        raise InputError(f"{where}: graph {prefix or '/'!r}: nodes", "is no group of nodes", "Export it again")
    pairs = _edges(tree, raw, f"{where}: graph {prefix.rstrip('.') or '/'!r}")
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    ends: dict[str, tuple[str, str]] = {}  # subgraph -> names of its input and output junctions
    for name, fields in raw.items():
        check_name(name, f"{where}: node")
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
