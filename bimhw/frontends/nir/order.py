"""The order of a step: what is computed before what, and which edges carry the value of the step before.

Feed-forward values arrive in the same step. Around a cycle one edge must wait: a Delay on it is that wait
(k steps are exactly k), any other cycle waits on an edge that leaves a neuron. The choice:
walk from the Inputs depth first; an edge that returns to a node on the way closes a cycle; the wait moves from it back
to the edge that leaves the neuron, as long as nothing else reads the values in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from bimhw.frontends.nir.graph import NEURONS, Edge, NirGraph
from simulator.base.errors import InputError


@dataclass(frozen=True)
class Order:
    """Order of the work of one step.

    Attributes:
        nodes: every node once, each after all whose value of this step it needs.
        delayed: edges that carry the value of the step before.
    """

    nodes: tuple[str, ...]
    delayed: frozenset[Edge]


def order(graph: NirGraph, delayed: Collection[Edge] = ()) -> Order:
    """Return the order of a step, with the edges that wait.

    Args:
        graph: checked graph.
        delayed: edges that wait by the profile.

    Raises:
        InputError: `delayed` names an edge that is not there, or a cycle has no neuron and no Delay.
    """
    waits, edges = set(delayed), set(graph.edges)
    for edge in waits:
        if edge not in edges:
            raise InputError(
                f"delayed edge {list(edge)}", "is not in the graph", f"Edges: {[list(e) for e in graph.edges]}"
            )
    emitters = {n.name for n in graph.of_kind("Delay") if np.all(n.fields["delay"] > 0)}
    _break_cycles(graph, waits, emitters)
    return Order(_sorted(graph, waits, emitters), frozenset(waits))


def _now(graph: NirGraph, name: str, waits: Collection[Edge], emitters: Collection[str]) -> list[str]:
    """Return the nodes that need the value which `name` gives in this step (a Delay takes it in when the step ends)."""
    return [b for b in graph.targets(name) if (name, b) not in waits and b not in emitters]


def _break_cycles(graph: NirGraph, waits: set[Edge], emitters: set[str]) -> None:
    """Let one edge of every cycle of this step's values wait (added to `waits`): depth first, from the Inputs."""
    done: set[str] = set()
    for start in [n.name for n in graph.of_kind("Input")] + list(graph.nodes):
        if start in done:
            continue
        path, on_path = [start], {start}
        todo = [iter(_now(graph, start, waits, emitters))]
        while todo:
            step = next(todo[-1], None)
            if step is None:
                todo.pop()
                on_path.discard(path[-1])
                done.add(path.pop())
            elif step in on_path:
                edge = _waiting(graph, path[path.index(step) :], (path[-1], step))
                waits.add(edge)
                while path[-1] != edge[0]:  # what was reached over the edge is walked again, without it
                    on_path.discard(path.pop())
                    todo.pop()
                todo[-1] = iter(_now(graph, edge[0], waits, emitters))
            elif step not in done:
                path.append(step)
                on_path.add(step)
                todo.append(iter(_now(graph, step, waits, emitters)))


def _waiting(graph: NirGraph, cycle: list[str], edge: Edge) -> Edge:
    """Return the edge of a cycle (in order, from where it was entered; `edge` closes it) that waits."""
    if not any(graph.nodes[n].kind in NEURONS for n in cycle):
        path = " -> ".join([*cycle, cycle[0]])
        raise InputError(f"{graph.source}: cycle {path}", "has no neuron and no Delay", "Put one on it")
    return _at_neuron(graph, cycle, edge)


def _at_neuron(graph: NirGraph, cycle: list[str], edge: Edge) -> Edge:
    """Return the edge of the cycle that waits: out of a neuron where only the cycle reads what lies in between."""
    a, b = edge
    at = len(cycle) - 1  # of `a`
    while at > 0 and graph.nodes[a].kind not in NEURONS and len(graph.targets(a)) == 1:
        at -= 1
        a, b = cycle[at], a
    return a, b


def _sorted(graph: NirGraph, waits: set[Edge], emitters: set[str]) -> tuple[str, ...]:
    """Sort by Kahn's algorithm, in the order of the file where there is a choice."""
    needs = dict.fromkeys(graph.nodes, 0)
    for name in graph.nodes:
        for b in _now(graph, name, waits, emitters):
            needs[b] += 1
    ready = deque(n for n, k in needs.items() if k == 0)
    out: list[str] = []
    while ready:
        name = ready.popleft()
        out.append(name)
        for b in _now(graph, name, waits, emitters):
            needs[b] -= 1
            if needs[b] == 0:
                ready.append(b)
    return tuple(out)
