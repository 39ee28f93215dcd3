"""Messages between the parts of a partition, as a sparse table: at 100,000 parts most pairs exchange nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from mapping.hypergraph import Hypergraph
from simulator.base.arrays import I32, I64, Floats


@dataclass(frozen=True, eq=False)
class Flow:
    """Messages a step from part to part, CSR by the sending part; the last row is the host's.

    Attributes:
        ptr: int64 [K + 2].
        to: int32 [entries], receiving part, distinct within a row.
        rate: float64 [entries], messages a step; the diagonal holds those that stay within a part.
    """

    ptr: I64
    to: I32
    rate: Floats

    @property
    def k(self) -> int:
        """Number of parts K."""
        return int(self.ptr.size - 2)

    @property
    def sender(self) -> I64:
        """Sending part of each entry, K for the host."""
        return np.repeat(np.arange(self.k + 1), np.diff(self.ptr))

    @property
    def leaving(self) -> float:
        """Messages a step that leave their part, the host's included."""
        return float(self.rate[self.sender != self.to].sum())

    def dense(self) -> Floats:
        """Return the table as float64 [K + 1, K]."""
        out = np.zeros((self.k + 1, self.k))
        out[self.sender, self.to] = self.rate
        return out


def as_flow(table: Floats | Flow) -> Flow:
    """Take a dense table [K + 1, K] as a `Flow`."""
    if isinstance(table, Flow):
        return table
    sender, to = np.nonzero(table)
    ptr = np.searchsorted(sender, np.arange(table.shape[0] + 1)).astype(np.int64)
    return Flow(ptr, to.astype(np.int32), table[sender, to])


def flow_of(graph: Hypergraph, part: I32, k: int) -> Flow:
    """Add up the messages between the parts of a partition."""
    home = np.where(graph.source >= 0, part[np.maximum(graph.source, 0)] if part.size else -1, k)
    order = np.argsort(home, kind="stable")
    nets = np.searchsorted(home[order], np.arange(k + 2)).astype(np.int64)
    ptr, to, rate = _flow(graph.ptr, graph.pins, graph.rate, part, k, order, nets)
    return Flow(ptr, to, rate)


@nb.njit(cache=True, nogil=True)
def _flow(ptr, pins, rate, part, k, order, nets):  # type: ignore[no-untyped-def]
    out_ptr = np.zeros(k + 2, np.int64)
    to, value = np.empty(1024, np.int32), np.empty(1024, np.float64)
    total, touched = np.zeros(k), np.empty(k, np.int64)
    seen, row = np.full(k, -1, np.int64), np.full(k, -1, np.int64)
    at = 0
    for p in range(k + 1):
        n = 0
        for i in range(nets[p], nets[p + 1]):
            e = order[i]
            for j in range(ptr[e], ptr[e + 1]):
                b = part[pins[j]]
                if seen[b] != e:
                    seen[b] = e
                    if row[b] != p:
                        row[b] = p
                        touched[n] = b
                        n += 1
                    total[b] += rate[e]
        if at + n > to.size:
            grown = max(2 * to.size, at + n)
            bigger, more = np.empty(grown, np.int32), np.empty(grown, np.float64)
            for i in range(at):
                bigger[i], more[i] = to[i], value[i]
            to, value = bigger, more
        touched[:n].sort()
        for i in range(n):
            b = touched[i]
            to[at], value[at] = b, total[b]
            total[b] = 0.0
            at += 1
        out_ptr[p + 1] = at
    return out_ptr, to[:at].copy(), value[:at].copy()
