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

from simulator.base.arrays import I32, U8, AnyInts, Integers
from simulator.base.intrinsics import prefetch
from simulator.base.team import Team
from simulator.function.fast import Rule, lif, lif_counted, rule_of
from simulator.function.fast_run import load, store
from simulator.function.kernels import add_row, compact, fetch_row
from simulator.function.layout import Layout, Synapses
from simulator.function.state import Running
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Pointers = Integers
Targets = AnyInts
Flags = U8

_WHOLE = 1 << 16  # neurons up to which one thread is faster with all synapses together (`Plain`)
_SHARED = 10_000_000  # synapses from which a step is long beside the two turns that threads take in it
_RANGES_A_THREAD = 4
_MASK = 64


@dataclass(frozen=True, eq=False)
class Rows:
    """Synapses of one projection onto one range.

    Attributes:
        source: id of the source of row 0.
        bounds: int32 or int64, row r is [bounds[r * stride], bounds[r * stride + 1]) of `target` and `weight`.
        stride: 1 where rows follow one another; 2 where each has bounds of its own.
        target: counted from `offset` neurons after the first of the range; before it where the offset is negative.
        weight: of each synapse.
    """

    source: int
    bounds: Pointers
    stride: int
    target: Targets
    weight: Integers
    offset: int

    @property
    def begin(self) -> Pointers:
        """Begin of each row, [rows]."""
        return self.bounds[: -1 : self.stride]

    @property
    def end(self) -> Pointers:
        """End of each row, [rows]."""
        return self.bounds[1 :: self.stride]


@dataclass(frozen=True, eq=False)
class Range:
    """Neurons [low, high) and the synapses that end on them."""

    low: int
    high: int
    rows: tuple[Rows, ...]

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return sum(int((r.end - r.begin).sum()) for r in self.rows)


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
    if threads > 1 and len(ranges) < _RANGES_A_THREAD * threads:
        ranges = _balanced(ranges, threads)
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
    return Rows(layout.cells[s.source].first, s.indptr, 1, indices, s.weights, 0)


def _balanced(ranges: tuple[Range, ...], threads: int) -> tuple[Range, ...]:
    """Cut the ranges where the threads' equal shares end, and nowhere else: both halves of a row cost its memory lines again."""
    load_ = np.cumsum([r.synapses + r.high - r.low for r in ranges])
    shares = load_[-1] * np.arange(1, threads) / threads
    before = np.append(0, load_[:-1])
    pieces = (
        _cut(r, [(s - first) / (last - first) for s in shares if first < s < last])
        for r, first, last in zip(ranges, before, load_, strict=True)
    )
    return tuple(piece for cut in pieces for piece in cut)


def _cut(whole: Range, shares: list[float]) -> list[Range]:
    """Cut a range behind these shares of its synapses, at whole masks."""
    if not shares:
        return [whole]
    fan_in = np.zeros(whole.high - whole.low, np.int64)
    for r in whole.rows:
        own = np.bincount(r.target)
        fan_in[: own.size] += own
    load_ = np.cumsum(fan_in + 1)
    places = np.searchsorted(load_, load_[-1] * np.array(shares)) // _MASK * _MASK
    bounds = np.unique(np.concatenate([[0], places, [fan_in.size]])).tolist()
    pieces: list[list[Rows]] = [[] for _ in bounds[1:]]
    for r in whole.rows:
        ends = [r.begin, *(_split_rows(r.begin, r.end, r.target, b) for b in bounds[1:-1]), r.end]
        for piece, (begin, end), low in zip(pieces, pairwise(ends), bounds, strict=False):
            piece.append(replace(r, bounds=np.stack([begin, end], axis=1).reshape(-1), stride=2, offset=-low))
    return [Range(whole.low + a, whole.low + b, tuple(p)) for (a, b), p in zip(pairwise(bounds), pieces, strict=True)]


def advance_large(simulation: Running, form: Large, inputs: SpikeTrain, steps: int, count_active: bool = True) -> None:
    """Do `steps` steps of a simulation whose layout has this form."""
    rule = form.rule
    v, u = load(simulation, rule)
    active = np.zeros(v.size if count_active else 0, np.int32)
    cells = [_Cells(rule, r, v, u, active) for r in form.ranges]
    events: I32 = np.empty(0, np.int32)
    order = sorted(range(len(cells)), key=lambda k: -form.ranges[k].synapses)  # the longest first
    turns, last = [cells[k].receive_and_update for k in order], [cells[k].receive for k in order]
    team: Team[I32, int] = Team(form.threads)
    with team:
        for t in range(steps):
            done = team.each(turns, events)
            known = t < inputs.steps
            outside = inputs.ids[int(inputs.ptr[t]) : int(inputs.ptr[t + 1])] if known else inputs.ids[:0]
            events = np.concatenate([outside, *(c.fired for c in cells)], dtype=np.int32)
            simulation.record.remember(events, None)
            simulation.record.counts.append(events.size)
            simulation.record.active.append(sum(done))
            simulation.record.saturated.append(0)
        team.each(last, events)
    store(simulation, rule, v, u)
    simulation.state.step += steps
    if count_active:
        simulation.active_of_neuron[rule.n_in :] += active[: rule.n]


class _Cells:
    """The neurons of a range while they run.

    Attributes:
        fired: ids of the last step, ascending.
    """

    def __init__(self, rule: Rule, own: Range, v: I32, u: Integers, active: I32) -> None:
        part, n = slice(own.low, own.high), own.high - own.low
        self._rule = rule
        self._v, self._u, self._bias, self._active = v[part], u[part], rule.bias[part], active[part]
        self._flag = np.zeros(-(-n // _MASK) * _MASK, np.uint8)
        self._ids = np.empty(n + _MASK, np.int32)
        self._first = rule.n_in + own.low
        # What `receive` asks of each projection: ids of its sources, arguments of `scatter`.
        self._rows = [
            (
                np.array([r.source, r.source + r.begin.size], np.int32),
                (r.source, r.bounds, r.stride, r.target, r.weight, r.offset, self._u),
            )
            for r in own.rows
        ]
        self.fired: I32 = self._ids[:0]

    def receive(self, events: I32) -> int:
        """Add what the events send here to the sums."""
        for sources, rows in self._rows:
            lo, hi = events.searchsorted(sources)
            if lo < hi:
                scatter(events[lo:hi], *rows)
        return 0

    def receive_and_update(self, events: I32) -> int:
        """Take the last step's events, then do a step; returns the number of active updates."""
        self.receive(events)
        r = self._rule
        end, active = update(
            self._v, self._u, self._bias, self._flag, r.threshold, r.decay_shift, r.exponent, self._first, self._ids,
            self._active,
        )  # fmt: skip
        self.fired = self._ids[: int(end)]
        return int(active)


_1, _4, _8 = np.uint64(1), np.uint64(4), np.uint64(8)


@numba.njit(cache=True, nogil=True)
def scatter(
    ids: I32, source: int, bounds: Pointers, stride: int, target: Targets, weight: Integers, offset: int, u: Integers
) -> None:
    """u[target + offset] += weight for every synapse of every event; rows are asked for four events ahead."""
    targets, weights = np.uint64(target.ctypes.data), np.uint64(weight.ctypes.data)
    places, each = np.uint64(bounds.ctypes.data), np.uint64(stride)
    size, target_size, weight_size = np.uint64(bounds.itemsize), np.uint64(target.itemsize), np.uint64(weight.itemsize)
    first, last, shift = np.int32(source), np.uint64(ids.size), np.uint64(offset)
    for k in range(last):
        if k + _8 < last:
            far = places + np.uint64(np.uint32(ids[k + _8] - first)) * each * size
            prefetch(far)
            prefetch(far + size)
        if k + _4 < last:
            near = np.uint64(np.uint32(ids[k + _4] - first)) * each
            a, b = np.uint64(bounds[near]), np.uint64(bounds[near + _1])
            fetch_row(targets, a, b, target_size)
            fetch_row(weights, a, b, weight_size)
        row = np.uint64(np.uint32(ids[k] - first)) * each
        add_row(u, shift, target, weight, np.uint64(bounds[row]), np.uint64(bounds[row + _1]), 1)


@numba.njit(cache=True, nogil=True)
def update(
    v: I32, u: Integers, bias: I32, flag: Flags, threshold: int, shift: int, exponent: int, first: int, ids: I32,
    active: I32,
) -> tuple[np.uint64, np.int32]:  # fmt: skip
    """One step of a range: returns (end of the ids that fired, active updates); those are counted where `active` is not empty."""
    mask, s = np.int32((1 << shift) - 1), np.int32(shift)
    e, limit, n_active = np.int32(exponent), np.int32(threshold), np.int32(0)
    if active.size:
        n_active = lif_counted(v, u, bias, flag, mask, s, e, limit, active)
    else:
        lif(v, u, bias, flag, mask, s, e, limit)
    return compact(flag, np.int32(first), ids, np.uint64(0)), n_active


@numba.njit(cache=True, nogil=True)
def _split_rows(begin: Pointers, end: Pointers, target: Targets, bound: int) -> Pointers:
    """Place in each row of the first target that is not below the bound."""
    out = np.empty(begin.size, begin.dtype)
    for row in range(begin.size):
        lo, hi = begin[row], end[row]
        while lo < hi:
            middle = (lo + hi) >> 1
            if np.int64(target[middle]) < bound:
                lo = middle + 1
            else:
                hi = middle
        out[row] = lo
    return out
