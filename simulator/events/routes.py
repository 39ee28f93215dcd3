"""Synapses that a packet meets, and owners of the places in the plan."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.base.arrays import I16, I64
from simulator.events.host import Route
from simulator.function.layout import Layout, Synapses
from simulator.timing.plan import Plan


def population_of(layout: Layout, plan: Plan) -> I16:
    """Return the population of each position of the plan."""
    of_neuron = np.empty(layout.n_neurons, np.int16)
    for k, c in enumerate(layout.cells):
        of_neuron[c.first : c.first + c.size] = k
    return of_neuron[plan.neuron]


def routes_of(layout: Layout, plan: Plan) -> list[list[tuple[Synapses, Route]]]:
    """Return for each population its projections with the synapses that each packet meets."""
    core = layout.program.core
    rows = int(plan.dst.size)
    out: list[list[tuple[Synapses, Route]]] = []
    for k, c in enumerate(layout.cells):
        routes = []
        position = plan.position[c.first : c.first + c.size]
        for j in layout.by_source[k]:
            s = layout.synapses[j]
            target = layout.cells[s.target]
            to = core[target.first + s.first : target.first + target.size]
            lo, hi = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
            order = np.empty(s.indices.size, np.int64)
            _segments(s.indptr, s.indices, to, position, plan.ptr, plan.dst, order, lo, hi)
            routes.append((s, Route(order, lo, hi)))
        out.append(routes)
    return out


@numba.njit(cache=True, nogil=True)
def _segments(
    indptr: Any, indices: Any, core: Any, position: Any, ptr: Any, dst: Any, order: Any, lo: Any, hi: Any
) -> None:
    """Sort each row's synapses by destination core (stable) and note the part that each of its packets meets."""
    for i in range(indptr.size - 1):
        p = position[i]
        if p < 0:
            continue
        at = indptr[i]
        for row in range(ptr[p], ptr[p + 1]):
            lo[row] = at
            for j in range(indptr[i], indptr[i + 1]):
                if core[indices[j]] == dst[row]:
                    order[at] = j
                    at += 1
            hi[row] = at


def packet_ends(plan: Plan, rows: list[int]) -> I64:
    """Return `StepWork.ends` of the messages of a step that meet these rows of the plan: those of one spike are one packet."""
    position = np.searchsorted(plan.ptr, np.array(rows, np.int64), side="right")
    last = np.append(np.flatnonzero(np.diff(position)) + 1, position.size)
    ends: I64 = np.repeat(last, np.diff(last, prepend=0))
    return ends
