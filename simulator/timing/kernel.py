"""The head-only event kernel: the times of `clocked`, found without visiting ticks in which nothing is decided.

Why so few events give the same times (time only ever enters through maxima of known quantities):

* A FIFO slot holds the tick from which it is free again. Slots are used in ring order, so a sender has a credit at t
  exactly when the free tick of the slot it would use next is <= t. No credit events, no counters.
* One output feeds a core's FIFO, in order, so at the ejection grant everything about the packet is known:
  ARR = g + hop + L - 1, SRV = max(ARR, DONE of the packet before), DONE = SRV + srv, slot free at SRV + 1. No core events.
* The first `port_slots` messages of a core are put into its router input at the start; each later one is fixed when the
  slot that it needs is popped at g: GEN = max(ready, rel, g + L). No soma events.
* Only the head of a FIFO can be granted, and not before the tail of its predecessor has left: a head gets one event at
  max(its arrival, g of its predecessor + L). Packets that arrive behind others cost no event.
* A packet with several leaves asks all outputs that it needs; each grants it on its own, and it is popped by the last.
* A blocked output sleeps until its link and the slot it needs are free; where the slot's time is not known yet, the pop
  that frees it wakes the output. So each output has at most one event.

Events live in a timing wheel of `WHEEL` ticks, linked through the port's own row (an event farther away is re-inserted
from the wheel's last slot). What is decided at t becomes visible later than t, so the order within a tick is irrelevant.

`words` says where everything lies in the kernel's one array.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.intrinsics import trailing_zeros
from simulator.timing.arbiter import branch
from simulator.timing.layout import lay_out
from simulator.timing.tokens import Tables, settle

# isort: off
from simulator.timing.words import (
    ASKED, C_DONE, C_END, C_ENTRY, C_GEN, C_MESSAGE, C_RING, C_TAIL, CARRY, DST, FAR, FLITS, GRANT, GRANTS, HEAD, IDLE, KEY,
    LINK, MASK, NOW, OCCUPIED, OUT, QUIET, RING, ROW0, SET, STATE, TAIL, TIME, TURN, UP, WAITING, WHEEL, WORDS,
    U, fill, output_towards, put, put_if,
)  # fmt: skip
from simulator.base.arrays import I32, I64, U64
# isort: on

_0, _1, _2, _3, _4, _6, _8, _63 = U(0), U(1), U(2), U(3), U(4), U(6), U(8), U(63)
_32 = U(32)


@numba.njit(cache=True, nogil=True)
def time_steps(
    off: I64, gap: I32, rel: I64, carries: U64, tail: I32, start: I64,
    entry: U64, where: U64, place: U64, far: U64, link_ticks: U64, key_bits: np.uint64, port_bits: np.uint64,
    n_links: np.uint64, enqueue: np.uint64, port_slots: np.uint64, core_slots: np.uint64, rotating: bool,
    stamps: I64, soma_end: I64, quiet: I64, grants: I64, ends: U64 | None, local: Tables | None,
) -> None:  # fmt: skip
    """Time T steps, one after another; every step finds an empty chip.

    Args:
        off: int64 [T, C + 1]; gap: int32 [M]; rel: int64 [M] or [0] where nothing is released late; carries: uint64 [M],
            destination << 8 | service << 32 (`pack`); tail: int32 [T, C]; start: int64 [C], >= 0.
        entry: uint64 [C], row of each endpoint's port; place: uint64 [R], `where` of each router without a port.
        where: uint64 [C], column << 40 | row << 16 | local port of each endpoint.
        far: uint64 [rows], what an output feeds: the row of the input, or the endpoint of a local port.
        link_ticks: uint64 [rows], hop << 32 | flits of each output; key_bits: bits of a message number.
        port_bits: rows of a router = 1 << port_bits; n_links, enqueue ... core_slots: as in `Mesh`; rotating: the arbiter ``rr``.
        stamps: int64 [M, 5] or [0, 5], written where it has room; soma_end, quiet: int64 [T, C], written.
        grants: int64 [rows], added to.
        ends: uint64 [M], message after the last leaf of each message's packet; None: a packet has one leaf. Either way is
            compiled on its own.
        local: tables of `tokens.Tables` where cores shake hands with their neighbours instead of a barrier: the messages are
            then those of all steps, by source and then by step, and T is 1; None: a barrier.
    """
    T, C, rows = off.shape[0], entry.size, far.size
    keep, timed = stamps.shape[0] > 0, rel.size > 0
    # Not a literal, each of which would have `settle` compiled once more.
    none: int = np.int64(0)  # type: ignore[assignment]
    nil = ROW0 + (U(rows) << _4)
    cores0, ring_words = nil + U(16), port_slots << _1
    rings0 = cores0 + (U(C) << _3)
    core_rings0 = rings0 + U(rows) * ring_words
    todo0 = core_rings0 + U(C) * core_slots
    links0 = todo0 + U(rows) + _1
    nowhere = links0 + U(rows)
    S = np.zeros(np.int64(nowhere) + 1, np.uint64)
    occupied = np.zeros(WHEEL // 64, np.uint64)  # a bit a slot
    busy = _0  # a bit a word of `occupied` that is not 0
    links_of = links0 - (ROW0 >> _4)
    longest = (link_ticks & FLITS).max()
    router_bits = port_bits + _4
    port_mask, key_mask = (_1 << port_bits) - _1, (_1 << key_bits) - _1
    first_router = ROW0 >> router_bits
    lay_out(
        S, entry, far, link_ticks, nil, port_mask, cores0, rings0, ring_words, core_rings0, core_slots, links0, n_links
    )  # fmt: skip
    now = _0
    for step in range(T):
        # Every step starts later than anything of the step before, so that what is left in the slots means "free".
        base = now + _1
        now = base
        left = _0
        for c in range(C):
            core = cores0 + (U(c) << _3)
            left += U(off[step, c + 1] - off[step, c])
            p = S[core + C_ENTRY]
            S[core + C_TAIL] = S[p + HEAD]
            S[core + C_MESSAGE] = U(off[step, c])
            S[core + C_END] = U(off[step, c + 1]) if local is None else U(local.first[1, c])
            S[core + C_GEN] = base + U(start[c])
            busy = fill(
                S, occupied, busy, core, now, base, gap, rel, carries, ends, where,
                place[(p >> router_bits) - first_router], enqueue, ring_words, key_bits, stamps,
            )  # fmt: skip
        n_ended, n_told = none, none  # of endpoints whose soma is through with its step, and that know all of it
        if local is not None:
            for c in range(C):
                core = cores0 + (U(c) << _3)
                if S[core + C_MESSAGE] == S[core + C_END]:
                    local.ended[n_ended] = c
                    n_ended += 1
            busy = settle(
                S, occupied, busy, now, base, local, n_ended, n_told, cores0, gap, rel, carries, ends, where, place,
                router_bits, first_router, enqueue, ring_words, key_bits, stamps,
            )  # fmt: skip
            n_ended = none
        if rotating:
            for row in range(rows):
                S[ROW0 + (U(row) << _4) + _8 + GRANTS] &= ~TURN
        latest = base
        while left:
            # The next tick in which anything is decided: the rest of this word of slots, else the next word that has any.
            at = (now + _1) & MASK
            word = at >> _6
            bits = occupied[word] >> (at & _63)
            if bits:
                at += trailing_zeros(bits)
            else:
                word += _1
                word = (word + trailing_zeros((busy >> word) | (busy << (WORDS - word)))) & (WORDS - _1)
                at = (word << _6) + trailing_zeros(occupied[word])
            now += (at - now) & MASK
            event = S[at]
            S[at] = nil
            bits = occupied[word] & ~(_1 << (at & _63))
            occupied[word] = bits
            busy &= ~(U(bits == _0) << word)
            # Phase A: heads ask for their outputs.
            todo = todo0
            while event != nil:
                following = S[event]
                if S[event + TIME] > now:
                    busy = put(S, occupied, busy, event, S[event + TIME], now)
                elif event & _8:
                    S[event + STATE] = NOW
                    S[todo] = event
                    todo += _1
                else:
                    port = (event >> _4) & port_mask
                    outputs = event - (port << _4) + _8
                    if ends is None:
                        out = outputs + ((S[event + CARRY] & OUT) << _4)
                        S[out + ASKED] |= _1 << port
                        S[todo] = out
                        if S[out + STATE] == QUIET:
                            S[out + STATE] = NOW
                            todo += _1
                    else:  # leaves behind one output follow one another
                        last, branches, beyond = nil, _0, S[event + CARRY] & FLITS
                        here = place[(event >> router_bits) - first_router]
                        for leaf in range(S[event + KEY] & key_mask, beyond):
                            out = outputs + (output_towards(where[(carries[leaf] >> _8) & DST], here) << _4)
                            if out != last:
                                last = out
                                branches += _1
                                S[out + ASKED] |= _1 << port
                                S[todo] = out
                                if S[out + STATE] == QUIET:
                                    S[out + STATE] = NOW
                                    todo += _1
                        S[event + CARRY] = beyond | branches << _32
                event = following
            # Phase B: outputs decide.
            while todo != todo0:
                todo -= _1
                out = S[todo]
                port = (out >> _4) & port_mask
                far_end = S[out + FAR]
                into = S[out + TAIL]
                ready = max(S[out + LINK], S[into])
                if ready > now:
                    if ready >= OCCUPIED:
                        S[out + STATE] = WAITING
                    else:
                        S[out + STATE] = SET
                        busy = put(S, occupied, busy, out, ready, now)
                    continue
                asked = S[out + ASKED]
                link = S[links_of + (out >> _4)]
                tail_gone = now + (link & FLITS)
                first_row = out - (port << _4) - _8
                # The input served: the first from the output's turn on, or the one with the oldest head. In line: a call here
                # would count references to S, two locked instructions a grant.
                chosen = trailing_zeros(asked)
                if rotating:
                    turn = S[out + GRANTS] & TURN
                    ahead = asked >> turn
                    chosen = turn + trailing_zeros(ahead) if ahead else chosen
                    S[out + GRANTS] = (S[out + GRANTS] & ~TURN) | ((chosen + _1) & port_mask)
                else:
                    rest = asked & (asked - _1)
                    best = S[first_row + (chosen << _4) + KEY]
                    while rest:
                        i = trailing_zeros(rest)
                        rest &= rest - _1
                        key = S[first_row + (i << _4) + KEY]
                        if key < best:
                            best, chosen = key, i
                asked ^= _1 << chosen
                S[out + ASKED] = asked
                S[out + GRANTS] += GRANT
                S[out + LINK] = tail_gone
                # Pop the granted input once its last branch is granted; its slot is free when the tails have gone.
                p = first_row + (chosen << _4)
                m = S[p + KEY] & key_mask
                carry = S[p + CARRY]
                gone, popped, beyond = tail_gone, True, m + _1
                if ends is not None:
                    here = place[(p >> router_bits) - first_router]
                    m, beyond = branch(carries, where, here, port, m, carry & FLITS)
                    gone = max(tail_gone, S[p + IDLE])
                    popped = carry >> _32 == _1
                    S[p + CARRY] = carry - (_1 << _32)
                S[p + IDLE] = gone
                if keep and chosen >= n_links:
                    if ends is None:
                        stamps[m, 1] = np.int64(now - base)
                    else:
                        stamps[m:beyond, 1] = np.int64(now - base)
                if popped:
                    slot = S[p + HEAD]
                    ring = S[p + RING]
                    after = slot + _2
                    if after == ring + ring_words:
                        after = ring
                    S[p + HEAD] = after
                    S[slot] = gone
                    up = S[p + UP]
                    if chosen >= n_links:
                        w = S[up + C_MESSAGE]
                        if w < S[up + C_END]:  # the soma's next packet takes the slot
                            gen = S[up + C_GEN] + U(gap[w])
                            if timed:
                                gen = max(gen, base + U(rel[w]))
                            gen = max(gen, gone)
                            S[up + C_GEN] = gen
                            S[slot] = OCCUPIED | ((gen + enqueue) << key_bits) | w
                            if ends is None:
                                S[slot + _1] = carries[w] | output_towards(
                                    where[(carries[w] >> _8) & DST], place[(p >> router_bits) - first_router]
                                )
                            else:
                                S[slot + _1] = ends[w]
                            if keep:
                                if ends is None:
                                    stamps[w, 0] = np.int64(gen - base)
                                else:
                                    stamps[w : ends[w], 0] = np.int64(gen - base)
                            S[up + C_MESSAGE] = w + _1 if ends is None else ends[w]
                            if local is not None:
                                S[up + C_TAIL] = after
                            if local is not None and S[up + C_MESSAGE] == S[up + C_END]:
                                local.ended[0] = np.int64((up - cores0) >> _3)
                                n_ended = 1
                    elif S[up + STATE] == WAITING:
                        S[up + STATE] = SET
                        # Its link is free by then: it granted before now.
                        busy = put(S, occupied, busy, up, gone, now)
                    head = S[after]
                    there = head >= OCCUPIED  # the rest is not read where there is no head
                    S[p + KEY] = head
                    S[p + CARRY] = S[after + _1]
                    due = max((head - OCCUPIED) >> key_bits, gone)
                    busy = put_if(S, occupied, busy, p, due, now, there, nowhere)
                # Hand the packet on.
                if port < n_links:
                    arrival = now + (link >> _32)
                    key = OCCUPIED | (arrival << key_bits) | m
                    S[into] = key
                    if ends is None:
                        d = (carry >> _8) & DST
                        carry = (carry & U(0xFFFFFFFFFFFFFF00)) | output_towards(
                            where[d], place[(far_end >> router_bits) - first_router]
                        )
                    else:
                        carry = beyond
                    S[into + _1] = carry
                    if into == S[far_end + HEAD]:
                        S[far_end + KEY] = key
                        S[far_end + CARRY] = carry
                        busy = put(S, occupied, busy, far_end, max(arrival, S[far_end + IDLE]), now)
                    ring = S[far_end + RING]
                    into += _2
                    if into == ring + ring_words:
                        into = ring
                    S[out + TAIL] = into
                else:
                    arrival = tail_gone + (link >> _32) - _1
                    served = max(arrival, S[far_end + C_DONE])
                    done = served + ((carry if ends is None else carries[m]) >> _32)
                    S[far_end + C_DONE] = done
                    latest = max(latest, done)
                    S[into] = served + _1
                    ring = S[far_end + C_RING]
                    into += _1
                    if into == ring + core_slots:
                        into = ring
                    S[out + TAIL] = into
                    if keep:
                        stamps[m, 2] = np.int64(arrival - base)
                        stamps[m, 3] = np.int64(served - base)
                        stamps[m, 4] = np.int64(done - base)
                    left -= _1
                    if local is not None:
                        told = np.int64((far_end - cores0) >> _3)
                        local.known[told] = max(local.known[told], np.int64(done))
                        local.missing[told] -= 1
                        if local.missing[told] == 0:
                            local.told[0] = told
                            n_told = 1
                if asked:  # by others, who wait for the link and the next slot
                    ready = max(tail_gone, S[into])
                    if ready >= OCCUPIED:
                        S[out + STATE] = WAITING
                    else:
                        S[out + STATE] = SET
                        busy = put(S, occupied, busy, out, ready, now)
                else:
                    S[out + STATE] = QUIET
                if local is not None and n_ended + n_told:
                    busy = settle(
                        S, occupied, busy, now, base, local, n_ended, n_told, cores0, gap, rel, carries, ends, where, place,
                        router_bits, first_router, enqueue, ring_words, key_bits, stamps,
                    )  # fmt: skip
                    n_ended, n_told = none, none
        for c in range(C):
            core = cores0 + (U(c) << _3)
            over = S[core + C_GEN] + U(tail[step, c])
            soma_end[step, c] = np.int64(over - base)
            quiet[step, c] = np.int64(max(over, S[core + C_DONE]) - base)
            latest = max(latest, over)
        now = max(latest, now + longest) + _1
    for row in range(rows):
        grants[row] += np.int64(S[ROW0 + (U(row) << _4) + _8 + GRANTS] >> _8)
