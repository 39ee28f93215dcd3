"""Splice float networks one behind another: the output of each drives the next as its input did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mapping.network import Network
from simulator.base.errors import FitError
from simulator.program.graph import Population, Projection


def splice(parts: Sequence[tuple[str, Network]], around: Mapping[str, Sequence[str]] | None = None) -> Network:
    """Return one network of several, first to last.

    The input population of each part but the first is replaced by the output of the part before it; the part's neurons do
    everything as many steps later as that output is late. Names become ``<part>.<name>``, the input keeps its own.

    A residual connection leads around parts: what comes behind them reads their last output and all that their first part reads,
    delayed until then. Each population that is read has a projection of its own, with the same weights.

    Args:
        parts: (name, float network with one input and one output population) in order, at least one.
        around: name of the last part that residual connections lead around -> those of the first ones, the innermost first.

    Raises:
        FitError: parts that do not meet, by their names and sizes, or a residual connection that nothing reads.
    """
    populations: list[Population] = []
    projections: list[Projection] = []
    read: list[Population] = []  # by the next part; the last one is the latest
    begun: dict[str, list[Population]] = {}
    for name, part in parts:
        entry, end = _end(part, "input", name), _end(part, "output", name)
        if not read:
            populations.append(entry)
            read = [entry]
        if entry.size != read[-1].size:
            raise FitError(f"layer {name!r}", f"takes {entry.size} inputs, and {read[-1].name!r} gives {read[-1].size}")
        begun[name], shift = read, read[-1].layer
        new = {p.name: f"{name}.{p.name}" for p in part.populations if p is not entry}
        for p in part.populations:
            if p is not entry:
                populations.append(_moved(p, new[p.name], shift, hidden=p is end and name != parts[-1][0]))
        for q in part.projections:
            own = replace(q, name=f"{name}.{q.name}", target=new[q.target])
            if q.source == entry.name:
                projections += _from_each(own, read)
            else:
                projections.append(replace(own, source=new[q.source]))
        read = [next(p for p in populations if p.name == new[end.name])]
        for first in (around or {}).get(name, ()):
            read = _added(name, begun[first], read)
    if len(read) > 1:
        raise FitError(f"layer {parts[-1][0]!r}", "adds up its input and its spikes, and nothing reads the sum", _READ)
    return Network("float", tuple(populations), tuple(projections), _meta(parts, read[0]))


_READ = "Put a last torch.nn.Linear behind it"


def _added(name: str, before: list[Population], read: list[Population]) -> list[Population]:
    if before[-1].size != read[-1].size:
        problem = f"makes {read[-1].size} values of {before[-1].size}, which do not add up"
        raise FitError(f"layer {name!r}", problem, "Give the residual connection as many outputs as inputs")
    return before + read


def _from_each(q: Projection, sources: Sequence[Population]) -> list[Projection]:
    """Return a projection from the latest of several populations, and from each other one so much later."""
    *earlier, latest = sources
    skips = [
        replace(q, name=f"{q.name}.{k}.{p.name}", source=p.name, delay=q.delay + latest.layer - p.layer)
        for k, p in enumerate(earlier)
    ]
    return [replace(q, source=latest.name), *skips]


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


def _meta(parts: Sequence[tuple[str, Network]], last: Population) -> Mapping[str, object]:
    first, end = parts[0][1].meta, parts[-1][1].meta
    meta: dict[str, object] = {"kind": "torch", "input": first["input"]}
    if "output" in end:
        meta["output"] = {"population": last.name, "state": end["output"]["state"]}
    return meta | {"outputs": [last.name]}
