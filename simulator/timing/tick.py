"""Tick synchronisation: step s begins at s * period on every core, whether or not the packets of the last step are through.

Steps may overlap, so all of them are one piece of work: the messages of each core one step after another, each step's first
message not before its tick. With end_s the end of a soma's step s (its last GEN + tail, or its start + tail):
    start of step s + 1 = max(end_s, (s + 1) * period)
which as gap and release of the next message m is: GEN >= GEN of the message before + work in between, and
GEN >= s' * period + work since the beginning of s', for every step s' in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numba
import numpy as np

from simulator.base.arrays import I32, I64
from simulator.base.errors import InputError
from simulator.timing.bound import link_busy_of
from simulator.timing.contract import DONE, GEN, Mesh, StepTimes, StepWork
from simulator.timing.expand import Chunk, moved_ends
from simulator.timing.plan import Plan
from simulator.timing.words import unpack


@dataclass(frozen=True, eq=False)
class TickWork:
    """All steps of a run as one `StepWork`.

    Attributes:
        work: the messages, by source and then by step.
        order: int64 [M], message of the chunk (by step and then by source) at each place of `work`.
        step: int64 [M], step of each message of `work`.
    """

    work: StepWork
    order: I64
    step: I64


def merge_steps(chunk: Chunk, period: int) -> TickWork:
    """Merge all steps of a chunk to one `StepWork`, step s released at s * period."""
    n, messages = chunk.tail.shape[1], chunk.gap.size
    per = np.diff(chunk.off, axis=1)
    off = np.zeros(n + 1, np.int64)
    np.cumsum(per.sum(axis=0), out=off[1:])
    order, step = np.empty(messages, np.int64), np.empty(messages, np.int64)
    gap, rel = np.empty(messages, np.int32), np.zeros(messages, np.int64)
    tail = np.zeros(n, np.int32)
    _merge(chunk.off, chunk.gap, chunk.tail, period, off, order, step, gap, rel, tail)
    dst, srv = (a[order] for a in unpack(chunk.carries))
    return TickWork(
        StepWork(off, gap, rel, dst, srv, tail, np.zeros(n, np.int64), moved_ends(chunk, order)), order, step
    )


@numba.njit(cache=True, nogil=True)
def _merge(
    off: I64, gap: I32, tail: I32, period: int, merged: I64, order: I64, step_of: I64, new_gap: I32, rel: I64, last: I32
) -> None:
    steps, C = tail.shape
    for c in range(C):
        k = merged[c]
        owed, release = 0, 0
        for s in range(steps):
            release = max(release, s * period)
            for m in range(off[s, c], off[s, c + 1]):
                order[k], step_of[k] = m, s
                new_gap[k], rel[k] = owed + gap[m], release + gap[m] if release else 0
                owed, release = 0, 0
                k += 1
            owed += tail[s, c]
            if release:
                release += tail[s, c]
        last[c] = owed


def soma_ends(chunk: Chunk, ticks: TickWork, times: StepTimes, period: int) -> I64:
    """Return the end of each step at each endpoint, int64 [T, C]."""
    ends = np.zeros(chunk.tail.shape, np.int64)
    gen = np.empty(chunk.gap.size, np.int64)
    gen[ticks.order] = times.stamps[:, GEN]
    before = np.zeros(chunk.tail.shape[1], np.int64)
    for s in range(chunk.steps):
        begin = np.maximum(before, s * period)
        lo, hi = chunk.off[s, :-1], chunk.off[s, 1:]
        last = np.where(hi > lo, gen[np.maximum(hi - 1, 0)], begin) if gen.size else begin
        before = ends[s] = last + chunk.tail[s]
    return ends


def late_messages(ticks: TickWork, times: StepTimes, steps: int, period: int) -> I64:
    """Return the messages of each step that are done after its tick has ended, int64 [T]."""
    late = times.stamps[:, DONE] > (ticks.step + 1) * period
    return np.bincount(ticks.step[late], minlength=steps).astype(np.int64)


def time_ticks(
    plan: Plan, chunk: Chunk, period: int, time_step: Callable[[Mesh, StepWork], StepTimes], keep: range
) -> TickTimes:
    """Time all steps of a run under tick synchronisation by any engine; stamps kept count from the step's own tick."""
    _check_tails(chunk)
    ticks = merge_steps(chunk, period)
    times = time_step(plan.mesh, ticks.work)
    ends = soma_ends(chunk, ticks, times, period)
    stamps = np.empty_like(times.stamps)
    stamps[ticks.order] = times.stamps
    kept = {}
    for s in keep:
        if s < chunk.steps:
            work = replace(chunk.step(s), start=np.zeros(plan.mesh.n_endpoints, np.int64))
            own = stamps[chunk.off[s, 0] : chunk.off[s, -1]] - s * period
            kept[s] = (work, StepTimes(own, ends[s] - s * period, link_busy_of(plan.mesh, work)))
    begin = np.maximum(np.vstack([np.zeros_like(ends[:1]), ends[:-1]]), np.arange(chunk.steps)[:, None] * period)
    stall = (ends - begin).sum(axis=0) - chunk.soma
    return TickTimes(late_messages(ticks, times, chunk.steps, period), stall, times.link_busy, kept)


@dataclass(frozen=True, eq=False)
class TickTimes:
    """Times of a run under tick synchronisation.

    Attributes:
        late: int64 [T], messages of each step that are done after its tick has ended.
        stall: int64 [C], ticks that somas waited for a free slot.
        link_busy: int64 [R, P].
        steps: kept steps.
    """

    late: I64
    stall: I64
    link_busy: I64
    steps: dict[int, tuple[StepWork, StepTimes]]


def _check_tails(chunk: Chunk) -> None:
    if chunk.steps and int(chunk.tail.sum(axis=0, dtype=np.int64).max()) >= 1 << 31:
        raise InputError(
            "run", f"of {chunk.steps} steps is too long for tick synchronisation at once", "Time it in parts"
        )
