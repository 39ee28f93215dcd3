"""The graph that mapping cuts: one hyperedge (net) for each source neuron, its axon, to the distinct neurons it reaches.

Letters: n vertices (neurons on the chip), E nets, P pins (distinct (net, target vertex) pairs), K parts (cores).

    messages(part) = sum_e rate_e |{part(v) : v in pins_e} without part(source_e)|

A source outside the chip (the host's input) has no part, so each core that its axon reaches costs a message. Edge cut is
another quantity, and a bad guide to this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numba as nb
import numpy as np
import numpy.typing as npt

from mapping.network import Network
from simulator.base.arrays import F32, I32, I64, Floats
from simulator.base.names import INPUT_MODEL
from simulator.program.blocks import BLOCK, rows_of
from simulator.program.graph import Projection
from simulator.program.shared import unrolled_all


@dataclass(frozen=True, eq=False)
class Hypergraph:
    """Axons as nets.

    Attributes:
        ptr: int64 [E + 1]; the pins of net e are ``pins[ptr[e]:ptr[e + 1]]``, ascending and distinct.
        pins: int32 [P], vertices.
        source: int32 [E], vertex that owns the net; -1 for the host's inputs.
        rate: float32 [E], messages a step if the net reaches one core.
        back_ptr: int64 [n + 1]; the nets that vertex v is a pin of are ``back[back_ptr[v]:back_ptr[v + 1]]``.
        back: int32 [P], nets.
        owned: int32 [n], the net that the vertex is the source of, or -1.
    """

    ptr: I64
    pins: I32
    source: I32
    rate: F32
    back_ptr: I64
    back: I32
    owned: I32

    @property
    def n(self) -> int:
        """Number of vertices."""
        return int(self.owned.size)

    @property
    def n_nets(self) -> int:
        """Number of nets."""
        return int(self.source.size)


def make_hypergraph(ptr: I64, pins: I32, source: I32, rate: npt.ArrayLike, n: int) -> Hypergraph:
    """Make a hypergraph from its nets; the way back is computed."""
    back_ptr, back = transpose(ptr, pins, n)
    owned = np.full(n, -1, np.int32)
    inside = source >= 0
    owned[source[inside]] = np.nonzero(inside)[0]
    return Hypergraph(ptr, pins, source, np.asarray(rate, np.float32), back_ptr, back, owned)


def axon_hypergraph(network: Network, rates: Mapping[str, Floats] | None = None) -> Hypergraph:
    """Return the hypergraph of a network; vertices are its neurons on the chip in logical order.

    Args:
        network: either stage.
        rates: population -> messages a step of each neuron; all 1 where unknown.
    """
    network = replace(network, projections=unrolled_all(network.projections))  # pins are read synapse by synapse
    vertex, first = {}, 0
    for p in network.populations:
        if p.model != INPUT_MODEL:
            vertex[p.name] = first
            first += p.size
    ptrs, pins, sources, weights = [np.zeros(1, np.int64)], [], [], []
    for p in network.populations:
        ptr, own = _axons(network, p.name, p.size, vertex)
        ptrs.append(ptr[1:] + ptrs[-1][-1])
        pins.append(own)
        on_chip = p.name in vertex
        sources.append(np.arange(p.size, dtype=np.int32) + vertex[p.name] if on_chip else np.full(p.size, -1, np.int32))
        weights.append(np.ones(p.size) if rates is None or p.name not in rates else rates[p.name])
    pinned = pins[0] if len(pins) == 1 else np.concatenate(pins, dtype=np.int32)
    owner = np.concatenate(sources, dtype=np.int32)
    del pins
    return make_hypergraph(np.concatenate(ptrs), pinned, owner, np.concatenate(weights), first)


def _axons(network: Network, name: str, size: int, vertex: Mapping[str, int]) -> tuple[I64, I32]:
    """Return the distinct target vertices of each neuron of a population, over all its projections."""
    out = [(*rows_of(parts), vertex[parts[0].target]) for parts in _in_series(network, name)]
    if not out:
        return np.zeros(size + 1, np.int64), np.empty(0, np.int32)
    ptr, indices, first = out[0]
    pins: I32 = np.add(indices, first, dtype=np.int32) if first else np.asarray(indices)
    for indptr, indices, first in out[1:]:
        ptr, pins = _union(ptr, pins, indptr, indices, first)
    return ptr, pins


def _in_series(network: Network, name: str) -> list[list[Projection]]:
    """Projections of a population; blocks that follow one another over the same targets stand together."""
    out: list[list[Projection]] = []
    for q in (q for q in network.projections if q.source == name):
        if out and _follows(out[-1][-1], q):
            out[-1].append(q)
        else:
            out.append([q])
    return out


def _follows(before: Projection, q: Projection) -> bool:
    return before.indices.dtype == np.uint16 and before.target == q.target and q.first >= before.first + BLOCK


@nb.njit(cache=True, nogil=True)
def _union(ptr, pins, indptr, indices, first):  # type: ignore[no-untyped-def]
    """Unite sorted rows one by one; the second's indices are shifted by `first`."""
    size = ptr.size - 1
    out_ptr = np.zeros(size + 1, np.int64)
    out = np.empty(pins.size + indices.size, np.int32)
    at = 0
    for row in range(size):
        a, b = ptr[row], indptr[row]
        while a < ptr[row + 1] or b < indptr[row + 1]:
            take_b = a == ptr[row + 1] or (b < indptr[row + 1] and indices[b] + first < pins[a])
            value = indices[b] + first if take_b else pins[a]
            if not take_b:
                a += 1
            if b < indptr[row + 1] and indices[b] + first == value:
                b += 1
            out[at] = value
            at += 1
        out_ptr[row + 1] = at
    return out_ptr, out[:at].copy()


@nb.njit(cache=True, nogil=True)
def transpose(ptr, pins, n):  # type: ignore[no-untyped-def]
    """Return the nets of each vertex (CSR) from the pins of each net."""
    back_ptr = np.zeros(n + 1, np.int64)
    for k in range(pins.size):
        back_ptr[pins[k] + 1] += 1
    for v in range(n):
        back_ptr[v + 1] += back_ptr[v]
    at = back_ptr[:-1].copy()
    back = np.empty(pins.size, np.int32)
    for e in range(ptr.size - 1):
        for k in range(ptr[e], ptr[e + 1]):
            back[at[pins[k]]] = e
            at[pins[k]] += 1
    return back_ptr, back


@nb.njit(cache=True, nogil=True)
def _traffic(ptr, pins, source, rate, part, k):  # type: ignore[no-untyped-def]
    out = np.zeros((k + 1, k))
    seen = np.full(k, -1, np.int64)
    for e in range(source.size):
        home = part[source[e]] if source[e] >= 0 else k
        for j in range(ptr[e], ptr[e + 1]):
            core = part[pins[j]]
            if seen[core] != e:
                seen[core] = e
                out[home, core] += rate[e]
    return out


def traffic(graph: Hypergraph, part: I32, k: int) -> Floats:
    """Return the messages a step from part to part, float64 [K + 1, K]; the last row is the host. Diagonal: within a core."""
    result: Floats = _traffic(graph.ptr, graph.pins, graph.source, graph.rate, part, k)
    return result


def remote_messages(graph: Hypergraph, part: I32, k: int, stride: int = 1) -> float:
    """Compute the objective: expected messages a step that leave their core; estimated from every `stride`-th net."""
    return stride * float(_remote(graph.ptr, graph.pins, graph.source, graph.rate, part, k, stride))


@nb.njit(cache=True, nogil=True)
def _remote(ptr, pins, source, rate, part, k, stride):  # type: ignore[no-untyped-def]
    seen = np.full(k, -1, np.int64)
    total = 0.0
    for e in range(0, source.size, stride):
        if source[e] >= 0:
            seen[part[source[e]]] = e
        n = 0
        for j in range(ptr[e], ptr[e + 1]):
            b = part[pins[j]]
            n += seen[b] != e
            seen[b] = e
        total += n * rate[e]
    return total
