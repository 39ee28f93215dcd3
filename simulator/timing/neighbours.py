"""Synchronisation by neighbours: a core goes on when it and the cores that it exchanges spikes with are through with a step.

Two cores are neighbours where one may send spikes to the other; the host is one more core. A token takes the time of a barrier
token over the same way. Of step s at core c:

    sent:      the soma is through, its last packet on its way, at e_c(s). A token goes to every core that c may send spikes to;
               one that got packets is told how many.
    finished:  q_c(s) = max(e_c(s), e_k(s) + token(k, c) of every core k that may send to c, DONE of the last packet of step s)
               A token goes to every neighbour.
    next step: start_c(s + 1) = max(q_c(s), q_m(s) + token(m, c) of every neighbour m) + handshake

So neighbours are never more than one step apart: a packet of step s + 1 finds the sums of step s taken, two sets of sums are
enough, and a token needs one bit of the step's number. What crosses the links is counted by `simulator.timing.forked_tokens`.
Spikes are those of a barrier, bit for bit. Steps of cores far apart
overlap in the network, so a run is timed as a whole; arbiters go on where they are. A run ends when its last core is finished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Bools
from simulator.timing.bound import link_busy_of, quiet_bound
from simulator.timing.contract import Mesh, StepTimes, StepWork
from simulator.timing.expand import Chunk, moved_ends
from simulator.timing.plan import Plan
from simulator.timing.wires import token_ticks
from simulator.timing.words import unpack


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs of cores that exchange spikes.

    Attributes:
        ptr: int64 [C + 1], neighbours of endpoint c are rows [ptr[c], ptr[c + 1]).
        who: int32 [rows], ascending within an endpoint.
        ticks: int64 [rows], time of a token, the same both ways.
        sends: bool [rows], whether the endpoint may send spikes to this neighbour.
        senders: int64 [C], how many neighbours may send spikes to an endpoint.
    """

    ptr: I64
    who: I32
    ticks: I64
    sends: Bools
    senders: I64

    @property
    def source(self) -> I32:
        """Endpoint of each row, int32 [rows]."""
        return np.repeat(np.arange(self.ptr.size - 1, dtype=np.int32), np.diff(self.ptr))


@dataclass(frozen=True, eq=False)
class LocalWork:
    """All steps of a run as one piece of work.

    Attributes:
        neighbours: who waits for whom.
        work: the messages by source and then by step; every endpoint starts at tick 0, and its `tail` is 0.
        first: int64 [T + 1, C], messages of step s at endpoint c are [first[s, c], first[s + 1, c]).
        tail: int32 [T, C], soma work of each step after its last message.
        due: int64 [T, C], messages of each step for each endpoint.
        order: int64 [M], message of the chunk (by step and then by source) at each place.
    """

    neighbours: Neighbours
    work: StepWork
    first: I64
    tail: I32
    due: I64
    order: I64


@dataclass(frozen=True, eq=False)
class LocalTimes:
    """Times of all events of a run.

    Attributes:
        stamps: int64 [M, 5], as in `StepTimes`, in the order of the work.
        start, soma_end, quiet: int64 [T, C], when each endpoint began, had sent and had finished each step.
        link_busy: int64 [R, P].
    """

    stamps: I64
    start: I64
    soma_end: I64
    quiet: I64
    link_busy: I64

    @property
    def over(self) -> I64:
        """Tick at which the last endpoint has finished each step, int64 [T]."""
        over: I64 = self.quiet.max(axis=1)
        return over


LocalEngine = Callable[[Mesh, LocalWork], LocalTimes]


def neighbours_of(plan: Plan) -> Neighbours:
    """Return the neighbours of each endpoint, by the packets that its neurons may send."""
    source = np.repeat(np.arange(plan.mesh.n_endpoints), np.diff(plan.ptr[plan.base]))
    return neighbours_from(plan.mesh, source, plan.dst.astype(np.int64))


def neighbours_from(mesh: Mesh, source: I64, target: I64) -> Neighbours:
    """Return neighbours where endpoint source[i] may send spikes to target[i]; a pair may come more than once."""
    n = mesh.n_endpoints
    sends = np.unique(source * n + target)
    sends = sends[sends // n != sends % n]
    pairs = np.union1d(sends, sends % n * n + sends // n)
    a, b = pairs // n, pairs % n
    ptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(a, minlength=n), out=ptr[1:])
    return Neighbours(
        ptr, b.astype(np.int32), token_ticks(mesh, a, b), np.isin(pairs, sends, assume_unique=True),
        np.bincount(sends % n, minlength=n).astype(np.int64),
    )  # fmt: skip


def merge_all(chunk: Chunk, neighbours: Neighbours) -> LocalWork:
    """Return the steps of a chunk as one piece of work."""
    steps, n = chunk.tail.shape
    per = np.vstack([np.zeros(n, np.int64), np.diff(chunk.off, axis=1)])
    off = np.zeros(n + 1, np.int64)
    np.cumsum(per.sum(axis=0), out=off[1:])
    first = off[:-1] + per.cumsum(axis=0)
    order, due = np.empty(chunk.gap.size, np.int64), np.zeros((steps, n), np.int64)
    dst, srv = unpack(chunk.carries)
    _by_source(chunk.off, first, dst, order, due)
    zero = np.zeros(n, np.int64)
    work = StepWork(
        off, chunk.gap[order], np.zeros(order.size, np.int64), dst[order], srv[order], zero.astype(np.int32), zero,
        moved_ends(chunk, order),
    )  # fmt: skip
    return LocalWork(neighbours, work, first, chunk.tail, due, order)


@numba.njit(cache=True, nogil=True)
def _by_source(off: I64, first: I64, dst: I32, order: I64, due: I64) -> None:
    for s in range(due.shape[0]):
        for c in range(due.shape[1]):
            k = first[s, c]
            for m in range(off[s, c], off[s, c + 1]):
                order[k] = m
                due[s, dst[m]] += 1
                k += 1


def bound_local(mesh: Mesh, local: LocalWork) -> LocalTimes:
    """Lower bounds of `start` and `quiet`: each step's own bound, one after another; no stamps."""
    n, steps = local.neighbours, local.tail.shape[0]
    start, quiet = np.zeros(local.tail.shape, np.int64), np.zeros(local.tail.shape, np.int64)
    source = n.source
    for s in range(steps):
        quiet[s], links = quiet_bound(mesh, work_of_step(local, s, start[s]))
        worst = int(quiet[s].argmax())
        if s + 1 < steps:
            start[s + 1] = quiet[s]
            np.maximum.at(start[s + 1], source, quiet[s][n.who] + n.ticks)
            start[s + 1] += mesh.handshake_ticks
        quiet[s, worst] = max(int(quiet[s, worst]), links)  # some endpoint is quiet no earlier than the heaviest link
    return LocalTimes(np.zeros((0, 5), np.int64), start, quiet, quiet, link_busy_of(mesh, local.work))


def work_of_step(local: LocalWork, s: int, start: I64) -> StepWork:
    """Return the work of one step that begins at `start`."""
    count = local.first[s + 1] - local.first[s]
    off = np.zeros(count.size + 1, np.int64)
    np.cumsum(count, out=off[1:])
    rows = np.arange(off[-1]) + np.repeat(local.first[s] - off[:-1], count)
    w = local.work
    ends = None if w.ends is None else w.ends[rows] - rows + np.arange(rows.size)
    return StepWork(
        off, w.gap[rows], np.zeros(rows.size, np.int64), w.dst[rows], w.srv[rows], local.tail[s], start, ends
    )


@dataclass(frozen=True, eq=False)
class LocalRun:
    """Times of some steps.

    Attributes:
        over: int64 [T], tick at which each step is finished everywhere.
        stall: int64 [C], ticks that somas waited for a free slot.
        link_busy: int64 [R, P].
        steps: kept steps; their times count from the tick at which the step before was finished everywhere.
    """

    over: I64
    stall: I64
    link_busy: I64
    steps: dict[int, tuple[StepWork, StepTimes]]


def time_neighbours(plan: Plan, chunk: Chunk, neighbours: Neighbours, engine: LocalEngine, keep: range) -> LocalRun:
    """Time the steps of a chunk, the first of which all endpoints begin at tick 0, by any engine."""
    local = merge_all(chunk, neighbours)
    times = engine(plan.mesh, local)
    if times.stamps.shape[0] < chunk.gap.size:  # a bound, which knows no queues
        return LocalRun(times.over, np.zeros_like(chunk.soma), times.link_busy, {})
    stamps = np.empty_like(times.stamps)
    stamps[local.order] = times.stamps
    kept = {}
    for s in range(chunk.steps):
        if chunk.first + s in keep:
            origin = int(times.over[s - 1]) if s else 0
            work = replace(chunk.step(s), start=times.start[s] - origin)
            own = stamps[chunk.off[s, 0] : chunk.off[s, -1]] - origin
            kept[chunk.first + s] = (work, StepTimes(own, times.soma_end[s] - origin, link_busy_of(plan.mesh, work)))
    stall = (times.soma_end - times.start).sum(axis=0) - chunk.soma
    return LocalRun(times.over, stall, times.link_busy, kept)
