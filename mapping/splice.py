"""Splice float networks one behind another: the output of each drives the next as its input did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mapping.network import Network
from simulator.base.errors import FitError
from simulator.program.graph import Population, Projection


def splice(parts: Sequence[tuple[str, Network]]) -> Network:
    """Return one network of several, first to last.

    The input population of each part but the first is replaced by the output of the part before it; the part's neurons do
    everything as many steps later as that output is late. Names become ``<part>.<name>``, the input keeps its own.

    Args:
        parts: (name, float network with one input and one output population) in order, at least one.

    Raises:
        FitError: parts that do not meet, by their names and sizes.
    """
    populations: list[Population] = []
    projections: list[Projection] = []
    last: Population | None = None
    for name, part in parts:
        entry, end = _end(part, "input", name), _end(part, "output", name)
        new = {p.name: p.name if last is None and p is entry else f"{name}.{p.name}" for p in part.populations}
        shift = 0
        if last is not None:
            if entry.size != last.size:
                raise FitError(f"layer {name!r}", f"takes {entry.size} inputs, and {last.name!r} gives {last.size}")
            shift, new[entry.name] = last.layer, last.name
        for p in part.populations:
            if p is not entry or last is None:
                populations.append(_moved(p, new[p.name], shift, hidden=p is end and name != parts[-1][0]))
        projections += [
            replace(q, name=f"{name}.{q.name}", source=new[q.source], target=new[q.target]) for q in part.projections
        ]
        last = next(p for p in populations if p.name == new[end.name])
    return Network("float", tuple(populations), tuple(projections), _meta(parts, last))


def _end(part: Network, role: str, name: str) -> Population:
    found = [p for p in part.populations if p.role == role]
    if len(found) != 1:
        raise FitError(f"layer {name!r}", f"has {len(found)} {role} populations, not one")
    return found[0]


def _moved(p: Population, name: str, shift: int, hidden: bool) -> Population:
    params = dict(p.params)
    if shift and "wait" in params:
        params["wait"] = np.asarray(params["wait"]) + shift
    role = "hidden" if hidden else p.role
    return replace(p, name=name, layer=p.layer + shift, role=role, params=params)


def _meta(parts: Sequence[tuple[str, Network]], last: Population | None) -> Mapping[str, object]:
    first, end = parts[0][1].meta, parts[-1][1].meta
    meta: dict[str, object] = {"kind": "torch", "input": first["input"]}
    if last is not None and "output" in end:
        meta["output"] = {"population": last.name, "state": end["output"]["state"]}
    if last is not None:
        meta["outputs"] = [last.name]
    return meta
