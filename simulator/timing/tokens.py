"""The handshake between neighbours, as the compiled timing kernel does it: what is known to whom, and what that lets begin.

Every time is a maximum of times that are known when the last of them is fixed, and that is before it comes. So a token costs
no event: whoever fixes the last time that an endpoint waits for computes what follows from it, through as many endpoints and
steps as follow. `neighbours` states the protocol.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from simulator.base.arrays import I32, I64, U64, Bools
from simulator.timing.words import C_END, C_ENTRY, C_GEN, C_MESSAGE, U, fill

_3 = U(3)


class Tables(NamedTuple):
    """Waits between cores, known times, and the results. Times count from the kernel's own tick 0.

    Attributes:
        first: int64 [T + 1, C], messages of step s at endpoint c are [first[s, c], first[s + 1, c]).
        tail: int32 [T, C].
        due: int64 [T, C], messages of each step for each endpoint.
        ptr, who, ticks, sends: neighbours of each endpoint, as in `neighbours.Neighbours`.
        senders: int64 [C], how many neighbours send spikes to an endpoint.
        handshake: ticks between an endpoint's last token and its next step.
        step: int64 [C], step that the soma works on.
        finished: int64 [C], steps that an endpoint is through with.
        missing: int64 [C], what an endpoint's finish still waits for: senders, messages, its own soma.
        known: int64 [C], latest time of what came.
        waiting: int64 [2, C], tokens that the next step still waits for, by parity of the step before.
        begins: int64 [2, C], latest time of those that came.
        ended, told: int64 [C], endpoints whose soma, and that themselves, are just through.
        starts, ends, quiets: int64 [T, C], results.
    """

    first: I64
    tail: I32
    due: I64
    ptr: I64
    who: I32
    ticks: I64
    sends: Bools
    senders: I64
    handshake: int
    step: I64
    finished: I64
    missing: I64
    known: I64
    waiting: I64
    begins: I64
    ended: I64
    told: I64
    starts: I64
    ends: I64
    quiets: I64


@numba.njit(cache=True, nogil=True)
def settle(
    S: U64, occupied: U64, busy: np.uint64, now: np.uint64, base: np.uint64, local: Tables, n_ended: int, n_told: int,
    cores0: np.uint64, gap: I32, rel: I64, carries: U64, ends: U64 | None, where: U64, place: U64,
    router_bits: np.uint64, first_router: np.uint64, enqueue: np.uint64, ring_words: np.uint64, key_bits: np.uint64, stamps: I64,
) -> np.uint64:  # fmt: skip
    """Follow what the somas in `local.ended` and the endpoints in `local.told` let happen; returns the new `busy`."""
    steps = local.tail.shape[0]
    while n_ended + n_told:
        if n_ended:  # a soma is through: tokens to those it sends spikes to
            n_ended -= 1
            c = local.ended[n_ended]
            s = local.step[c]
            over = np.int64(S[cores0 + (U(c) << _3) + C_GEN]) + local.tail[s, c]
            local.ends[s, c] = over - np.int64(base)
            for e in range(local.ptr[c] - 1, local.ptr[c + 1]):
                own = e < local.ptr[c]
                if own or local.sends[e]:
                    to = c if own else np.int64(local.who[e])
                    local.known[to] = max(local.known[to], over if own else over + local.ticks[e])
                    local.missing[to] -= 1
                    if local.missing[to] == 0:
                        local.told[n_told] = to
                        n_told += 1
            continue
        n_told -= 1  # an endpoint is through: tokens to all neighbours
        c = local.told[n_told]
        s = local.finished[c]
        quiet, parity = local.known[c], s & 1
        local.quiets[s, c] = quiet - np.int64(base)
        local.finished[c] = s + 1
        if s + 1 == steps:
            continue
        local.known[c] = 0
        local.missing[c] = local.senders[c] + local.due[s + 1, c] + 1
        for e in range(local.ptr[c] - 1, local.ptr[c + 1]):
            own = e < local.ptr[c]
            to = c if own else np.int64(local.who[e])
            local.begins[parity, to] = max(local.begins[parity, to], quiet if own else quiet + local.ticks[e])
            local.waiting[parity, to] -= 1
            if local.waiting[parity, to]:
                continue
            start = local.begins[parity, to] + local.handshake
            local.begins[parity, to] = 0
            local.waiting[parity, to] = local.ptr[to + 1] - local.ptr[to] + 1
            local.step[to] = s + 1
            local.starts[s + 1, to] = start - np.int64(base)
            core = cores0 + (U(to) << _3)
            S[core + C_GEN] = U(start)
            S[core + C_END] = U(local.first[s + 2, to])
            busy = fill(
                S, occupied, busy, core, now, base, gap, rel, carries, ends, where,
                place[(S[core + C_ENTRY] >> router_bits) - first_router], enqueue, ring_words, key_bits, stamps,
            )  # fmt: skip
            if S[core + C_MESSAGE] == S[core + C_END]:
                local.ended[n_ended] = to
                n_ended += 1
    return busy
