"""Run a network by ranges of neurons: threads take tickets (step, range), so that a step needs neither Python nor a barrier.

A ticket is: take what the events of the step before send to the range, then update its neurons. Tickets are dealt in order of
steps, the longest ranges first. A thread waits while ranges of the step before are at work, and needs no other thread: one alone
does all tickets.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.np.numpy_support import carray

from simulator.base import intrinsics
from simulator.function.fast import compact, fetch_row, lif, lif_counted, prefetch
from simulator.function.fast_run import load, store
from simulator.function.large import Large
from simulator.function.state import Running
from simulator.program.spikes import SpikeTrain

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Integers = npt.NDArray[np.signedinteger]
Targets = npt.NDArray[np.integer]
Flags = npt.NDArray[np.uint8]

_MASK = 64
_BATCH = 1 << 22  # spikes that there is room for between two looks of Python
_LINE = 8  # words of a cache line
_ENDLESS = (1 << 60,)  # arrays by address know no length
fetch_add: Any = intrinsics.fetch_add
load_acquired: Any = intrinsics.load_acquired
pointer: Any = intrinsics.pointer
yield_core: Any = intrinsics.yield_core


def advance_large(simulation: Running, form: Large, inputs: SpikeTrain, steps: int, count_active: bool = True) -> None:
    """Do `steps` steps of a simulation whose layout has this form."""
    rule = form.rule
    v, u = load(simulation, rule)
    active = np.zeros(v.size if count_active else 0, np.int32)
    in_ptr = np.full(steps + 1, inputs.ids.size, np.int64)
    known = min(steps, inputs.steps) + 1
    in_ptr[:known] = inputs.ptr[:known]
    in_ids = np.ascontiguousarray(inputs.ids, np.int32)
    bounds = np.array([*(r.low for r in form.ranges), rule.n], np.int64)
    order = np.array(sorted(range(len(form.ranges)), key=lambda k: -form.ranges[k].synapses), np.int64)
    rows, first_row = _table(form)
    flag = np.zeros(rule.n + (bounds.size + 1) * _MASK, np.uint8)
    room = max(1, min(steps, _BATCH // max(1, rule.n)))
    out, before = np.empty(room * rule.n, np.int32), np.empty(0, np.int32)
    private = [np.empty(rule.n_in + rule.n, np.int32) for _ in range(form.threads)]
    with ThreadPoolExecutor(max(1, form.threads - 1)) as pool:
        for begin in range(0, steps, room):
            now = min(room, steps - begin)
            rounds = now + (begin + now == steps)  # the last events of all arrive, and no step follows
            counters, ends = np.zeros(2 * _LINE, np.int64), np.zeros((order.size, now + 1), np.int64)
            n_active, own_ptr = np.zeros((order.size, now), np.int64), in_ptr[begin : begin + now + 1]
            shared = (
                counters, order, bounds, rows, first_row, before, own_ptr, in_ids, now, rounds, v, u, rule.bias, flag, active,
                rule.threshold, rule.decay_shift, rule.exponent, rule.n_in, out, room, ends, n_active,
            )  # fmt: skip
            others = [pool.submit(take_tickets, *shared, events) for events in private[1:]]
            take_tickets(*shared, private[0])
            for other in others:
                other.result()
            ids, ptr = merge(own_ptr, in_ids, out, room, bounds, ends)
            before = ids[ptr[-2] :].copy()
            simulation.record.ids.append(ids)
            simulation.record.payload.append(None)
            simulation.record.counts.extend(np.diff(ptr).tolist())
            simulation.record.active.extend(n_active.sum(axis=0).tolist())
    simulation.record.saturated.extend([0] * steps)
    store(simulation, rule, v, u)
    simulation.state.step += steps
    if count_active:
        simulation.active_of_neuron[rule.n_in :] += active[: rule.n]


def _table(form: Large) -> tuple[I64, I64]:
    """Return the rows of all ranges as addresses and sizes, int64 [rows, 9], and where those of each range begin."""
    table = [
        (
            r.source, len(r.edges), r.edges.ctypes.data, r.edges.strides[0] // 8, r.target.ctypes.data,
            r.weight.ctypes.data, r.target.itemsize, r.weight.itemsize, r.offset,
        )
        for own in form.ranges
        for r in own.rows
    ]  # fmt: skip
    first = np.cumsum([0, *(len(own.rows) for own in form.ranges)])
    return np.array(table, np.int64).reshape(-1, 9), first


_4, _8 = np.uint64(4), np.uint64(8)


@numba.njit(cache=True, nogil=True)
def take_tickets(  # type: ignore[no-untyped-def]
    counters, order, bounds, rows, first_row, before, in_ptr, in_ids, steps, rounds, v, u, bias, flag, active,
    threshold, shift, exponent, n_in, out, room, ends, n_active, events,
):  # fmt: skip
    """Do tickets until none is left: `steps` steps of every range, then one arrival more where `rounds` is more.

    Args:
        counters: int64, tickets dealt and, a line of the cache further, tickets done.
        order: ranges, the longest first.
        bounds: first neuron of each range, and the end.
        rows, first_row: see `_table`.
        before: events of the step before the first.
        in_ptr, in_ids: inputs by step.
        out, ends: ids that fired in each range from `room` times its first neuron on, and where each step of them ends.
        n_active: by range and step.
        events: room for the events of one step, of this thread alone.
    """
    dealt = np.uint64(counters.ctypes.data)
    done, n = dealt + np.uint64(8 * 8), order.size
    mask, s = np.int32((1 << shift) - 1), np.int32(shift)
    e, limit = np.int32(exponent), np.int32(threshold)
    gathered, size = -1, 0
    while True:
        ticket = fetch_add(dealt, 1)
        t, p = ticket // n, order[ticket % n]
        if t >= rounds:
            return
        while load_acquired(done) < t * n:
            yield_core()
        if gathered != t:
            size = _gather(t, before, in_ptr, in_ids, out, room, bounds, ends, events)
            gathered = t
        low, high = bounds[p], bounds[p + 1]
        for r in range(first_row[p], first_row[p + 1]):
            _receive(events[:size], rows[r], u[low:high])
        if t < steps:
            start = (low // 64 + p) * 64
            own = flag[start : start + (high - low + 63) // 64 * 64]
            here = out[room * low : room * high]
            if active.size:
                n_active[p, t] = lif_counted(
                    v[low:high], u[low:high], bias[low:high], own, mask, s, e, limit, active[low:high]
                )
            else:
                lif(v[low:high], u[low:high], bias[low:high], own, mask, s, e, limit)
            ends[p, t + 1] = np.int64(compact(own, np.int32(n_in + low), here, np.uint64(ends[p, t])))
        fetch_add(done, 1)


@numba.njit(cache=True, nogil=True)
def _gather(t, before, in_ptr, in_ids, out, room, bounds, ends, events):  # type: ignore[no-untyped-def]
    """Put the events of the step before t in one ascending list; returns how many."""
    if t == 0:
        events[: before.size] = before
        return before.size
    at = in_ptr[t] - in_ptr[t - 1]
    events[:at] = in_ids[in_ptr[t - 1] : in_ptr[t]]
    for p in range(bounds.size - 1):
        first = room * bounds[p]
        fired = out[first + ends[p, t - 1] : first + ends[p, t]]
        events[at : at + fired.size] = fired
        at += fired.size
    return at


@numba.njit(cache=True, nogil=True)
def merge(in_ptr, in_ids, out, room, bounds, ends):  # type: ignore[no-untyped-def]
    """Return the events of all steps, ascending in each, and where each step begins."""
    steps = in_ptr.size - 1
    total = in_ptr[steps] - in_ptr[0] + ends[:, steps].sum()
    ids, ptr = np.empty(total, np.int32), np.zeros(steps + 1, np.int64)
    for t in range(steps):
        own = ids[ptr[t] :]
        ptr[t + 1] = ptr[t] + _gather(t + 1, ids[:0], in_ptr, in_ids, out, room, bounds, ends, own)
    return ids, ptr


@numba.njit(nogil=True)
def _receive(events, row, u):  # type: ignore[no-untyped-def]
    """Add what the events send here by one projection's rows to the sums."""
    lo, hi = np.searchsorted(events, row[0]), np.searchsorted(events, row[0] + row[1])
    if lo < hi:
        ids, weights = events[lo:hi], pointer(np.uint64(row[5]))
        if row[7] == 1:
            _by_target(ids, row, carray(weights, _ENDLESS, np.int8), u)
        elif row[7] == 2:
            _by_target(ids, row, carray(weights, _ENDLESS, np.int16), u)
        else:
            _by_target(ids, row, carray(weights, _ENDLESS, np.int32), u)


@numba.njit(nogil=True)
def _by_target(ids, row, weight, u):  # type: ignore[no-untyped-def]
    source, width, target, offset = row[0], row[3], pointer(np.uint64(row[4])), row[8]
    edges = carray(pointer(np.uint64(row[2])), _ENDLESS, np.int64)
    if row[6] == 2:
        scatter(ids, source, edges, width, carray(target, _ENDLESS, np.uint16), weight, offset, u)
    else:
        scatter(ids, source, edges, width, carray(target, _ENDLESS, np.uint32), weight, offset, u)


@numba.njit(nogil=True)
def scatter(
    ids: I32, source: int, edges: I64, width: int, target: Targets, weight: Integers, offset: int, u: Integers
) -> None:
    """u[target + offset] += weight for every synapse of every event; rows are asked for four events ahead."""
    targets, weights = np.uint64(target.ctypes.data), np.uint64(weight.ctypes.data)
    places, step = np.uint64(edges.ctypes.data), np.uint64(width)
    target_size, weight_size = np.uint64(target.itemsize), np.uint64(weight.itemsize)
    first, last, shift = np.int32(source), np.uint64(ids.size), np.uint64(offset)
    for k in range(last):
        if k + _8 < last:
            far = places + np.uint64(np.uint32(ids[k + _8] - first)) * step * _8
            prefetch(far)
            prefetch(far + _8)
        if k + _4 < last:
            near = np.uint64(np.uint32(ids[k + _4] - first)) * step
            a, b = np.uint64(edges[near]), np.uint64(edges[near + np.uint64(1)])
            fetch_row(targets, a, b, target_size)
            fetch_row(weights, a, b, weight_size)
        row = np.uint64(np.uint32(ids[k] - first)) * step
        for j in range(np.uint64(edges[row]), np.uint64(edges[row + np.uint64(1)])):
            u[np.uint64(target[j]) + shift] += weight[j]
