"""A diagram held against its anatomy table: what contradicts it, and what it leaves unused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
import networkx as nx

from bimhw.frontends.diagram.read import Diagram, Tract

Kind = Literal["contradicts", "unknown", "unused", "unreached"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    Attributes:
        kind: ``contradicts`` the anatomy; ``unknown`` to it; ``unused``: anatomy that no interface takes; ``unreached``: a
            component that no input reaches, or from which no output is reached.
        path: of the value in the file.
        text: the finding.
    """

    kind: Kind
    path: str
    text: str


def findings(diagram: Diagram) -> tuple[Finding, ...]:
    """Return all findings: of components, interfaces, connections, and ways from inputs to outputs, in this order."""
    found = list(_unreached(diagram))
    if diagram.anatomy is not None:
        found = [*_components(diagram), *_interfaces(diagram), *_unused(diagram), *found]
    return tuple(found)


def _components(diagram: Diagram) -> Iterator[Finding]:
    assert diagram.anatomy is not None
    regions = {r.name: r for r in diagram.anatomy.regions}
    used: dict[str, int] = {}
    for k, each in enumerate(diagram.components):
        path = f"$.components[{k}]"
        if each.place not in regions:
            yield Finding(kind="unknown", path=path, text=f"{each.name}: the anatomy has no region {each.place!r}")
            continue
        used[each.place] = used.get(each.place, 0) + each.neurons
        most = regions[each.place].neurons
        if most is not None and used[each.place] > most:
            text = f"{each.name}: region {each.place} would hold {used[each.place]:,} neurons, and has {most:,}"
            yield Finding(kind="contradicts", path=f"{path}.neurons", text=text)


def _interfaces(diagram: Diagram) -> Iterator[Finding]:
    assert diagram.anatomy is not None
    place = {c.name: c.place for c in diagram.components}
    known = {r.name for r in diagram.anatomy.regions}
    tracts = _tracts(diagram)
    for k, each in enumerate(diagram.interfaces):
        a, b, path = place[each.source], place[each.target], f"$.interfaces[{k}]"
        if a == b or a not in known or b not in known:  # within a region, or said of the component already
            continue
        if (a, b) not in tracts:
            back = " (it has one the other way)" if (b, a) in tracts else ""
            yield Finding(kind="contradicts", path=path, text=f"no connection from {a} to {b} in the anatomy{back}")
            continue
        signs = {t.sign for t in tracts[a, b]}
        if not signs & {None, "mixed", each.sign} and each.sign != "mixed":
            said = " and ".join(sorted(str(s) for s in signs))
            yield Finding(
                kind="contradicts", path=f"{path}.sign", text=f"{a} to {b} is {each.sign}, {said} in the anatomy"
            )


def _unused(diagram: Diagram) -> Iterator[Finding]:
    assert diagram.anatomy is not None
    place = {c.name: c.place for c in diagram.components}
    taken, used = {(place[i.source], place[i.target]) for i in diagram.interfaces}, set(place.values())
    for k, tract in enumerate(diagram.anatomy.connections):
        if {tract.source, tract.target} <= used and (tract.source, tract.target) not in taken:
            yield Finding(
                kind="unused", path=f"$.anatomy.connections[{k}]",
                text=f"no interface takes the connection from {tract.source} to {tract.target}",
            )  # fmt: skip


def _unreached(diagram: Diagram) -> Iterator[Finding]:
    graph: nx.DiGraph[str] = nx.DiGraph((i.source, i.target) for i in diagram.interfaces)
    graph.add_nodes_from(c.name for c in diagram.components)
    ends = {role: {c.name for c in diagram.components if c.role == role} for role in ("input", "output")}
    ahead = set(ends["input"]).union(*(nx.descendants(graph, n) for n in ends["input"]))
    behind = set(ends["output"]).union(*(nx.ancestors(graph, n) for n in ends["output"]))
    for k, each in enumerate(diagram.components):
        for there, text in ((ahead, "no input reaches it"), (behind, "it reaches no output")):
            if each.name not in there:
                yield Finding(kind="unreached", path=f"$.components[{k}]", text=f"{each.name}: {text}")


def _tracts(diagram: Diagram) -> dict[tuple[str, str], list[Tract]]:
    assert diagram.anatomy is not None
    out: dict[tuple[str, str], list[Tract]] = {}
    for tract in diagram.anatomy.connections:
        out.setdefault((tract.source, tract.target), []).append(tract)
    return out
