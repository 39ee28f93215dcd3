"""The definition of the timing model: every decision point is evaluated in every tick. Slow on purpose, and short.

One tick has two phases. A: what is due at t takes effect (packets reach their FIFO, slots return to their sender, busy
timers end). B: every free decision point decides from the state after A. Every latency is at least one tick, so nothing
decided in t is seen in t by another decision point, and the order of the loops below does not matter.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Bools
from simulator.timing.bound import packets_of
from simulator.timing.check import check_mesh, check_work
from simulator.timing.contract import ARR, DONE, GEN, INJ, SRV, Mesh, StepTimes, StepWork
from simulator.timing.neighbours import LocalTimes, LocalWork, Neighbours, neighbours_from
from simulator.timing.wires import output_of, wires

_NONE = np.zeros(0, np.int64)


def run_clocked(mesh: Mesh, work: StepWork) -> StepTimes:
    """Return the times of one step by the definition.

    Raises:
        InputError: the mesh or the work is not well formed.
    """
    check_mesh(mesh)
    check_work(mesh, work)
    n = mesh.n_endpoints
    first, none = np.stack([work.off[:-1], work.off[1:]]), neighbours_from(mesh, _NONE, _NONE)
    due = np.bincount(work.dst, minlength=n)[None, :]
    times = _run(mesh, work, first, work.tail[None, :], due, none, False)
    return StepTimes(times.stamps, times.soma_end[0], times.link_busy)


def run_clocked_local(mesh: Mesh, local: LocalWork) -> LocalTimes:
    """Return the times of a run whose cores synchronise by neighbours, by the definition.

    Raises:
        InputError: the mesh or the work is not well formed.
    """
    check_mesh(mesh)
    check_work(mesh, local.work)
    return _run(mesh, local.work, local.first, local.tail, local.due, local.neighbours, True)


def _run(mesh: Mesh, work: StepWork, first: I64, tail: I32, due: I64, near: Neighbours, shaking: bool) -> LocalTimes:
    w = wires(mesh)
    stamps = np.zeros((work.dst.size, 5), np.int64)
    start, soma_end, quiet = (np.zeros(tail.shape, np.int64) for _ in range(3))
    start[0] = work.start
    busy = np.zeros((mesh.n_routers, mesh.n_ports), np.int64)
    _clock(
        work.off, work.gap, work.rel, work.dst, work.srv, packets_of(work), first, tail, due.cumsum(axis=0), start,
        near.ptr, near.who, near.ticks, near.sends, mesh.handshake_ticks, shaking,
        w.router, w.port, w.side, w.x, w.y, w.far_end, w.hop_ticks, w.flits, w.endpoint,
        mesh.n_links, mesh.n_ports, mesh.enqueue_ticks, mesh.port_slots, mesh.core_slots, mesh.arbiter == "rr",
        stamps, soma_end, quiet, busy.reshape(-1),
    )  # fmt: skip
    return LocalTimes(stamps, start, soma_end, quiet, busy)


@numba.njit(cache=True, nogil=True)
def _clock(
    off: I64, gap: I32, rel: I64, dst: I32, srv: I32, ends: I64, first: I64, tail: I32, due: I64, start: I64,
    ptr: I64, who: I32, ticks: I64, sends: Bools, handshake: int, shaking: bool,
    router: I64, port: I64, side: I64, x: I64, y: I64, far_end: I64, hop_ticks: I64, flits: I64, endpoint: I64,
    n_links: int, P: int, enqueue: int, port_slots: int, core_slots: int, rotating: bool,
    stamps: I64, soma_end: I64, quiet: I64, link_busy: I64,
) -> None:  # fmt: skip
    C, M, rows = off.size - 1, dst.size, far_end.size
    source = np.empty(M, np.int64)
    for c in range(C):
        source[off[c] : off[c + 1]] = c

    # Router inputs, one row each: a ring of message ids, of which `seen` have arrived and `sent` are on their way or here.
    ring = np.zeros((rows, port_slots), np.int64)
    beyond = np.zeros((rows, port_slots), np.int64)  # the packet there has the leaves [ring, beyond)
    granted, held = (
        np.zeros((rows, P), np.bool_),
        np.zeros(rows, np.int64),
    )  # of the head: outputs, until when they need it
    arrival = np.zeros((rows, port_slots), np.int64)
    sent, seen, popped = np.zeros(rows, np.int64), np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    slots = np.full(rows, port_slots)  # free slots of a router input, as its sender knows them
    input_free = np.full(rows, start[0].min())
    link_free = np.full(rows, start[0].min())
    turn = np.zeros(rows, np.int64)  # rotating priority: the input that an output asks first

    # Core inputs and the two stages of a core.
    core_ring = np.zeros((C, core_slots), np.int64)
    core_sent, core_seen, core_popped = np.zeros(C, np.int64), np.zeros(C, np.int64), np.zeros(C, np.int64)
    free_core_slots = np.full(C, core_slots)
    serving = np.full(C, -1)
    message = off[:-1].copy()  # next message of each soma
    step, finished, received = np.zeros(C, np.int64), np.zeros(C, np.int64), np.zeros(C, np.int64)
    ready = start[0].copy()
    for c in range(C):
        soma_end[0, c] = start[0, c] + tail[0, c]
        if message[c] < first[1, c]:
            ready[c] += gap[message[c]]

    # What takes effect later: rings over the next H ticks.
    H = max(enqueue, 1, hop_ticks.max() + flits.max()) + 1
    arriving, returning = np.zeros((H, rows), np.int64), np.zeros((H, rows), np.int64)
    core_arriving, core_returning = np.zeros((H, C), np.int64), np.zeros((H, C), np.int64)

    done, t = 0, start[0].min()
    while done < M or (shaking and finished.min() < tail.shape[0]):
        now = t % H
        # Phase A
        for row in range(rows):
            for _ in range(arriving[now, row]):
                arrival[row, seen[row] % port_slots] = t
                seen[row] += 1
            slots[row] += returning[now, row]
        for c in range(C):
            for _ in range(core_arriving[now, c]):
                stamps[core_ring[c, core_seen[c] % core_slots], ARR] = t
                core_seen[c] += 1
            free_core_slots[c] += core_returning[now, c]
            if serving[c] >= 0 and stamps[serving[c], DONE] == t:
                serving[c] = -1
                received[c] += 1
                done += 1
        arriving[now], returning[now], core_arriving[now], core_returning[now] = 0, 0, 0, 0

        # Phase B: somas, and the handshakes that let them begin a step, until neither changes anything
        changed = True
        while changed:
            for c in range(C):
                row = router[c] * P + port[c]
                while message[c] < first[step[c] + 1, c] and t >= max(ready[c], rel[message[c]]) and slots[row] > 0:
                    m = message[c]
                    stamps[m : ends[m], GEN] = t
                    ring[row, sent[row] % port_slots], beyond[row, sent[row] % port_slots] = m, ends[m]
                    sent[row] += 1
                    slots[row] -= 1
                    arriving[(t + enqueue) % H, row] += 1
                    message[c] = ends[m]
                    ready[c] = t + (gap[ends[m]] if ends[m] < first[step[c] + 1, c] else 0)
                    soma_end[step[c], c] = t + tail[step[c], c]
            changed = shaking and _shake(
                t, gap, first, tail, due, ptr, who, ticks, sends, handshake, message, received, step, finished, ready,
                start, soma_end, quiet,
            )  # fmt: skip
        # Phase B: router outputs
        for out in range(rows):
            r, o = out // P, out % P
            if t < link_free[out]:
                continue
            if o >= n_links:
                if endpoint[out] < 0 or free_core_slots[endpoint[out]] == 0:
                    continue
            elif far_end[out] < 0 or slots[far_end[out]] == 0:
                continue
            best, best_arrival, best_message = -1, 0, 0
            for k in range(P):
                i = (turn[out] + k) % P if rotating else k
                row = r * P + i
                if t < input_free[row] or popped[row] == seen[row]:
                    continue
                m, arrived = ring[row, popped[row] % port_slots], arrival[row, popped[row] % port_slots]
                stop = beyond[row, popped[row] % port_slots]
                if granted[row, o] or _leaf(x, y, r, router, port, side, dst, m, stop, o) == stop:
                    continue
                # Message ids ascend with source core, then sequence.
                if best < 0 or (not rotating and (arrived, m) < (best_arrival, best_message)):
                    best, best_arrival, best_message = i, arrived, m
            if best < 0:
                continue
            row, m, L = r * P + best, best_message, flits[out]
            stop = beyond[row, popped[row] % port_slots]
            granted[row, o] = True
            held[row] = max(held[row], t + L)
            turn[out] = (best + 1) % P
            link_free[out] = t + L
            link_busy[out] += L
            if _all_granted(x, y, r, router, port, side, dst, m, stop, granted[row]):
                popped[row] += 1
                input_free[row] = held[row]
                returning[held[row] % H, row] += 1
                granted[row] = False
                held[row] = 0
            # The branch: the leaves behind this output follow one another.
            m = _leaf(x, y, r, router, port, side, dst, m, stop, o)
            last = m + 1
            while last < stop and _leaf(x, y, r, router, port, side, dst, last, last + 1, o) == last:
                last += 1
            if best >= n_links:
                stamps[m:last, INJ] = t
            if o >= n_links:
                c = endpoint[out]
                core_ring[c, core_sent[c] % core_slots] = m
                core_sent[c] += 1
                free_core_slots[c] -= 1
                core_arriving[(t + hop_ticks[out] + L - 1) % H, c] += 1
            else:
                row = far_end[out]
                ring[row, sent[row] % port_slots], beyond[row, sent[row] % port_slots] = m, last
                sent[row] += 1
                slots[row] -= 1
                arriving[(t + hop_ticks[out]) % H, row] += 1
        # Phase B: synapse stages
        for c in range(C):
            if serving[c] < 0 and core_popped[c] < core_seen[c]:
                m = core_ring[c, core_popped[c] % core_slots]
                core_popped[c] += 1
                stamps[m, SRV], stamps[m, DONE] = t, t + srv[m]
                serving[c] = m
                core_returning[(t + 1) % H, c] += 1
        t += 1


@numba.njit(cache=True, nogil=True)
def _leaf(
    x: I64, y: I64, r: int, router: I64, port: I64, side: I64, dst: I32, m: int, stop: int, o: int
) -> int:  # fmt: skip
    """Return the first of the leaves [m, stop) that needs output o of router r; `stop` if none does."""
    for leaf in range(m, stop):
        if output_of(x, y, router, port, side, r, dst[leaf]) == o:
            return leaf
    return stop


@numba.njit(cache=True, nogil=True)
def _all_granted(
    x: I64, y: I64, r: int, router: I64, port: I64, side: I64, dst: I32, m: int, stop: int, granted: Bools
) -> bool:  # fmt: skip
    """Return whether every output that the leaves [m, stop) need is granted."""
    whole = True
    for leaf in range(m, stop):
        whole &= granted[output_of(x, y, router, port, side, r, dst[leaf])]
    return whole


@numba.njit(cache=True, nogil=True)
def _shake(
    t: int, gap: I32, first: I64, tail: I32, due: I64, ptr: I64, who: I32, ticks: I64, sends: Bools,
    handshake: int, message: I64, received: I64, step: I64, finished: I64, ready: I64, start: I64, soma_end: I64, quiet: I64,
) -> bool:  # fmt: skip
    """Find who is finished with its step at tick t, and who begins the next one (see `neighbours`); return whether anyone did."""
    changed = False
    for c in range(step.size):
        s = step[c]
        if finished[c] > s or message[c] < first[s + 1, c] or t < soma_end[s, c] or received[c] < due[s, c]:
            continue
        told = True
        for e in range(ptr[c], ptr[c + 1]):
            k = who[e]
            for back in range(ptr[k], ptr[k + 1]):
                if who[back] == c and sends[back]:
                    told &= step[k] == s and message[k] == first[s + 1, k] and t >= soma_end[s, k] + ticks[e]
        if told:
            quiet[s, c] = t
            finished[c] += 1
            changed = True
    for c in range(step.size):
        s = step[c]
        if s + 1 == tail.shape[0] or finished[c] == s or t < quiet[s, c] + handshake:
            continue
        told = True
        for e in range(ptr[c], ptr[c + 1]):
            told &= finished[who[e]] > s and t >= quiet[s, who[e]] + ticks[e] + handshake
        if told:
            step[c] = s + 1
            start[s + 1, c] = t
            ready[c] = t + (gap[message[c]] if message[c] < first[s + 2, c] else 0)
            soma_end[s + 1, c] = t + tail[s + 1, c]
            changed = True
    return changed
