"""Spikes of a chunk of steps -> the work of every step, as one set of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import I32, I64, U64
from simulator.program.spikes import SpikeTrain
from simulator.timing.barrier import start_times
from simulator.timing.contract import StepWork
from simulator.timing.plan import Plan
from simulator.timing.words import unpack


@dataclass(frozen=True, eq=False)
class Chunk:
    """Work of the steps [first, first + T).

    Attributes:
        plan: what it was expanded from.
        first: first step.
        off: int64 [T, C + 1], rows of the messages of each step and endpoint, into the arrays below.
        gap: int32 [M], as in `StepWork`, all steps one after another.
        carries: uint64 [M], destinations and service ticks (`words.pack`).
        ends: uint64 [M], message after the last leaf of each message's packet, where the mesh multicasts; else None.
        tail: int32 [T, C].
        soma: int64 [C], ticks of soma and axon-out work over all steps.
        synapse: int64 [C], ticks of service over all steps.
    """

    plan: Plan
    first: int
    off: I64
    gap: I32
    carries: U64
    tail: I32
    soma: I64
    synapse: I64
    ends: U64 | None = None

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return int(self.off.shape[0])

    def step(self, i: int) -> StepWork:
        """Return the work of step ``first + i``, released by the barrier at tick 0."""
        lo, hi = int(self.off[i, 0]), int(self.off[i, -1])
        dst, srv = unpack(self.carries[lo:hi])
        return StepWork(
            off=self.off[i] - lo,
            gap=self.gap[lo:hi],
            rel=np.zeros(hi - lo, np.int64),
            dst=dst,
            srv=srv,
            tail=self.tail[i],
            start=start_times(self.plan.mesh),
            ends=None if self.ends is None else self.ends[lo:hi].astype(np.int64) - lo,
        )


def moved_ends(chunk: Chunk, order: I64) -> I64 | None:
    """Return `StepWork.ends` where messages are put into an order that leaves packets whole."""
    return None if chunk.ends is None else chunk.ends[order].astype(np.int64) - order + np.arange(order.size)


def message_counts(plan: Plan, spikes: SpikeTrain) -> I64:
    """Return the messages of each step, int64 [T]."""
    fan = np.zeros(plan.position.size + 1, np.int64)
    fan[plan.neuron] = np.diff(plan.ptr)
    running = np.zeros(spikes.ids.size + 1, np.int64)
    np.cumsum(fan[spikes.ids], out=running[1:])
    return np.diff(running[spikes.ptr])


def expand(plan: Plan, spikes: SpikeTrain, first: int, last: int, active: Any = None) -> Chunk:
    """Return the work of the steps [first, last).

    Args:
        plan: program and mesh.
        spikes: all events, inputs included.
        first, last: steps.
        active: bool [last - first, N], who got input or fired; not needed where updates cost the same either way.
    """
    ids = spikes.ids[spikes.ptr[first] : spikes.ptr[last]]
    fan = np.diff(plan.ptr)
    at = plan.position[ids]
    messages = int(fan[at[at >= 0]].sum())
    steps, n = last - first, plan.mesh.n_endpoints
    off, tail = np.empty((steps, n + 1), np.int64), np.empty((steps, n), np.int32)
    gap, carries = np.empty(messages, np.int32), np.empty(messages, np.uint64)
    soma, synapse = np.zeros(n, np.int64), np.zeros(n, np.int64)
    ends = np.empty(messages if plan.mesh.multicast else 0, np.uint64)
    flags = np.ones((0, 0), np.bool_) if active is None else np.ascontiguousarray(active, np.bool_)
    _expand(
        spikes.ptr[first : last + 1] - spikes.ptr[first], at, flags, plan.neuron,
        plan.base, plan.update_active, plan.update_inactive, plan.spike, plan.out, plan.ptr, plan.dst, plan.srv,
        off, gap, carries, tail, soma, synapse, ends,
    )  # fmt: skip
    return Chunk(plan, first, off, gap, carries, tail, soma, synapse, ends if plan.mesh.multicast else None)


@numba.njit(cache=True, nogil=True)
def _expand(
    ptr: I64, at: I32, active: Any, neuron: I32,
    base: I64, update_active: I64, update_inactive: I64, spike: I32, out: I32, ax_ptr: I64, ax_dst: I32, ax_srv: I32,
    off: I64, gap: I32, carries: Any, tail: I32, soma: I64, synapse: I64, ends: Any,
) -> None:  # fmt: skip
    C, N = base.size - 1, neuron.size
    words = (N + 7) // 8
    marks = np.zeros(words * 8, np.uint8)
    by_word = marks.view(np.uint64)
    fired = np.empty(N + 9, np.uint64)
    cost = np.zeros(N + 1, np.int64)  # running sum of update costs by position
    for i in range(N):
        cost[i + 1] = cost[i] + update_active[i]
    # Indices are unsigned where they can be: signed ones cost wrap-around code at every access.
    m: Any = np.uint64(0)
    one = np.uint64(1)
    for step in range(off.shape[0]):
        for k in range(ptr[step], ptr[step + 1]):
            if at[k] >= 0:
                marks[np.uint64(at[k])] = 1
        n: Any = np.uint64(0)
        for w in range(np.uint64(words)):
            if by_word[w] != 0:
                for i in range(np.uint64(8) * w, np.uint64(8) * w + np.uint64(8)):
                    fired[n] = i
                    n += np.uint64(marks[i])
                by_word[w] = 0
        fired[n] = np.uint64(N)
        if active.shape[0]:
            for i in range(N):
                cost[i + 1] = cost[i] + (update_active[i] if active[step, neuron[i]] else update_inactive[i])
        f: Any = np.uint64(0)
        for c in range(C):
            off[step, c] = np.int64(m)
            last, stop = np.uint64(base[c]), np.uint64(base[c + 1])
            work, owed, leaves = np.int64(0), np.int64(0), np.int64(out[c])
            while fired[f] < stop:
                p = fired[f]
                owed += cost[p + one] - cost[last] + spike[p]
                last = p + one
                f += one
                toll, first = leaves, m
                for a in range(np.uint64(ax_ptr[p]), np.uint64(ax_ptr[p + one])):
                    gap[m] = owed + toll
                    work += owed + toll
                    owed = np.int64(0)
                    if ends.size:  # one packet, paid once
                        toll = np.int64(0)
                    to, ticks = np.uint32(ax_dst[a]), ax_srv[a]
                    carries[m] = np.uint64(to) << np.uint64(8) | np.uint64(ticks) << np.uint64(32)
                    synapse[to] += ticks
                    m += one
                if ends.size:
                    ends[first:m] = m
            owed += cost[stop] - cost[last]
            tail[step, c] = owed
            soma[c] += work + owed
        off[step, C] = np.int64(m)
