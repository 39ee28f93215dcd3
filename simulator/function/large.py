"""The fast path for large populations whose synapses lie in blocks of 65,536 targets: nothing is copied.

The rule is that of `simulator.function.fast`, step by step. Neurons are shared out by ranges: a range takes what the last step's
events send to it, then updates its neurons, so that its sums stay in the cache. Ranges touch nothing of one another, so several
threads may share them; spikes and states are the same for any number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numba
import numpy as np
import numpy.typing as npt

from simulator.function.fast import Rule, rule_of
from simulator.function.layout import Layout, Synapses
from simulator.program.program import Program

I64 = npt.NDArray[np.int64]
Integers = npt.NDArray[np.signedinteger]
Targets = npt.NDArray[np.integer]

_SHARED = 10_000_000  # synapses from which a step is long beside what threads wait for one another in it
_UNEVEN = 1.04  # work of the busiest thread over the mean that is no reason to cut
_MASK = 64


@dataclass(frozen=True, eq=False)
class Rows:
    """Synapses of one projection onto one range.

    Attributes:
        source: id of the source of row 0.
        edges: int64 [rows, 2], where each row begins and ends in `target` and `weight`; both in one line of the cache.
        target: counted from `offset` neurons after the first of the range; before it where the offset is negative.
        weight: of each synapse.
    """

    source: int
    edges: I64
    target: Targets
    weight: Integers
    offset: int


@dataclass(frozen=True, eq=False)
class Range:
    """Neurons [low, high) and the synapses that end on them."""

    low: int
    high: int
    rows: tuple[Rows, ...]

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return sum(int((r.edges[:, 1] - r.edges[:, 0]).sum()) for r in self.rows)


@dataclass(frozen=True, eq=False)
class Large:
    """A layout by ranges of neurons.

    Attributes:
        rule: of its neurons.
        ranges: of all neurons, ascending.
        threads: that share the ranges.
        synapse_bytes: memory of the synapses, row pointers apart.
    """

    rule: Rule
    ranges: tuple[Range, ...]
    threads: int
    synapse_bytes: int


def large(layout: Layout, threads: int = 1) -> Large | None:
    """Return the form by ranges, or None where the layout has another rule or one thread is faster without."""
    blocks = any(s.first for s in layout.synapses)
    if threads == 1 and not blocks:
        return None
    rule = rule_of(layout)
    if rule is None or any(s.indices.dtype.kind not in "iu" for s in layout.synapses):
        return None
    ranges = _ranges(layout, rule)
    if ranges is None:
        return None
    ranges = _shared_out(ranges, threads)
    total = sum(s.indices.nbytes + s.weights.nbytes for s in layout.synapses)
    return Large(rule, ranges, threads, total)


def useful_threads(program: Program, threads: int) -> int:
    """Return how many of so many threads one run of a program makes use of: all, from 10 M synapses on, else one."""
    return threads if sum(q.n_synapses for q in program.projections) >= _SHARED else 1


def _ranges(layout: Layout, rule: Rule) -> tuple[Range, ...] | None:
    """One range for each place where synapses begin to count; None where synapses of one reach into the next."""
    found: dict[int, list[Rows]] = {0: []}
    reach: dict[int, int] = {}
    for s in layout.synapses:
        if s.indices.size:
            low = layout.cells[s.target].first + s.first - rule.n_in
            found.setdefault(low, []).append(_rows(layout, s))
            reach[low] = max(reach.get(low, 0), low + int(s.indices.max()) + 1)
    bounds = [*sorted(found), rule.n]
    if any(reach.get(low, 0) > high for low, high in pairwise(bounds)):
        return None
    return tuple(Range(low, high, tuple(found[low])) for low, high in pairwise(bounds))


def _rows(layout: Layout, s: Synapses) -> Rows:
    indices: Targets = s.indices if s.indices.itemsize == 2 else s.indices.view(np.uint32)
    edges = np.lib.stride_tricks.sliding_window_view(s.indptr, 2)
    return Rows(layout.cells[s.source].first, edges, indices, s.weights, 0)


def _shared_out(ranges: tuple[Range, ...], threads: int) -> tuple[Range, ...]:
    """Cut as few ranges as threads need for equal work: each cut makes every event look up one row more."""
    order = sorted(range(len(ranges)), key=lambda k: ranges[k].synapses)
    work = [r.synapses for r in ranges]
    for cut in [set[int](), *({k} for k in order), *(set(order[:n]) for n in range(2, len(order) + 1))]:
        parts = [work[k] / threads for k in cut for _ in range(threads)] + [
            w for k, w in enumerate(work) if k not in cut
        ]
        if _slowest(parts, threads) <= _UNEVEN * sum(work):
            break
    return tuple(p for k, r in enumerate(ranges) for p in (_cut(r, threads) if k in cut else [r]))


def _slowest(work: list[float], threads: int) -> float:
    """Return the work of the thread with the most, times the threads, where each takes the largest piece that is left."""
    busy = [0.0] * threads
    for w in sorted(work, reverse=True):
        busy[busy.index(min(busy))] += w
    return threads * max(busy)


def _cut(whole: Range, parts: int) -> list[Range]:
    """Cut a range into so many of about equally many synapses, at whole masks."""
    fan_in = np.zeros(whole.high - whole.low, np.int64)
    for r in whole.rows:
        own = np.bincount(r.target)
        fan_in[: own.size] += own
    load_ = np.cumsum(fan_in + 1)
    places = np.searchsorted(load_, load_[-1] * np.arange(1, parts) / parts) // _MASK * _MASK
    bounds = np.unique(np.concatenate([[0], places, [fan_in.size]])).tolist()
    pieces: list[list[Rows]] = [[] for _ in bounds[1:]]
    for r in whole.rows:
        inner = (_split_rows(r.edges, r.target, b) for b in bounds[1:-1])
        ends = np.stack([r.edges[:, 0], *inner, r.edges[:, 1]], axis=1)
        for k, (piece, low) in enumerate(zip(pieces, bounds, strict=False)):
            piece.append(replace(r, edges=ends[:, k : k + 2], offset=-low))
    return [Range(whole.low + a, whole.low + b, tuple(p)) for (a, b), p in zip(pairwise(bounds), pieces, strict=True)]


@numba.njit(cache=True, nogil=True)
def _split_rows(edges: I64, target: Targets, bound: int) -> I64:
    """Place in each row of the first target that is not below the bound."""
    out = np.empty(edges.shape[0], np.int64)
    for row in range(out.size):
        lo, hi = edges[row]
        while lo < hi:
            middle = (lo + hi) >> 1
            if np.int64(target[middle]) < bound:
                lo = middle + 1
            else:
                hi = middle
        out[row] = lo
    return out
