"""Nets that hold their sources among the pins: what refinement works on.

With the source as a pin,

    cost = sum_e rate_e (parts of net e - 1)

is the number of remote messages (of the host's nets, a constant more).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from mapping.hypergraph import Hypergraph, transpose
from simulator.base.arrays import F32, I32, I64


@dataclass(frozen=True, eq=False)
class Nets:
    """Nets with their sources among the pins, and the way back.

    Attributes:
        ptr, pins: int64 [E + 1], int32 [P], distinct vertices of each net.
        rate: float32 [E].
        source: int32 [E], vertex that owns the net; -1 for the host's inputs.
        owned: int32 [n], the net that the vertex is the source of, or -1.
        back_ptr, back: int64 [n + 1], int32 [P], nets of each vertex.
    """

    ptr: I64
    pins: I32
    rate: F32
    source: I32
    owned: I32
    back_ptr: I64
    back: I32


def nets_of(graph: Hypergraph, order: I64) -> Nets:
    """Return nets with their sources, vertices renumbered by their place in `order` and nets by their source, for the cache."""
    rank = np.empty(graph.n, np.int32)
    rank[order] = np.arange(graph.n, dtype=np.int32)
    home = np.where(graph.source >= 0, rank[np.maximum(graph.source, 0)] if graph.n else 0, graph.n)
    by_source = np.argsort(home, kind="stable")
    ptr, pins = _with_sources(graph.ptr, graph.pins, graph.source, rank, by_source)
    back_ptr, back = transpose(ptr, pins, graph.n)
    source = np.where(home < graph.n, home, -1)[by_source].astype(np.int32)
    owned = np.full(graph.n, -1, np.int32)
    owned[source[source >= 0]] = np.nonzero(source >= 0)[0]
    return Nets(ptr, pins, graph.rate[by_source], source, owned, back_ptr, back)


@nb.njit(cache=True, nogil=True)
def _with_sources(ptr, pins, source, rank, by_source):  # type: ignore[no-untyped-def]
    out_ptr, out = np.zeros(ptr.size, np.int64), np.empty(pins.size + source.size, np.int32)
    at = 0
    for i in range(by_source.size):
        e = by_source[i]
        missing = source[e] >= 0
        for j in range(ptr[e], ptr[e + 1]):
            missing &= pins[j] != source[e]
            out[at] = rank[pins[j]]
            at += 1
        if missing:
            out[at] = rank[source[e]]
            at += 1
        out_ptr[i + 1] = at
    return out_ptr, out[:at].copy()
