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
* A blocked output sleeps until its link and the slot it needs are free; where the slot's time is not known yet, the pop
  that frees it wakes the output. So each output has at most one event.

Events live in a timing wheel of `WHEEL` ticks, linked through the port's own row (an event farther away is re-inserted
from the wheel's last slot). What is decided at t becomes visible later than t, so the order within a tick is irrelevant.

All integers are uint64: indices that cannot be negative need no wrap-around code, and nothing mixes signs. All state is
one array, addressed by absolute indices, so that the loop keeps few pointers: the wheel, a row of 16 words (two cache
lines) for each port - its input in the first eight, its output in the last eight -, eight words for each endpoint, the
slots of all FIFOs. An event is named by the index of its `NEXT` word. A slot of a router's FIFO has two words: while it
is empty, the tick from which it is free; while it is taken, OCCUPIED | arrival << key_bits | message, which is later than
any tick and is what the arbiter ``fifo`` compares (message numbers ascend with source, then sequence); then the carry:
output needed at this router | destination << 8 | service << 32.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from simulator.base.intrinsics import trailing_zeros

U = np.uint64
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
WHEEL = 1024
_MASK, _WORDS = U(WHEEL - 1), U(WHEEL // 64)
_0, _1, _2, _3, _4, _6, _8, _63 = U(0), U(1), U(2), U(3), U(4), U(6), U(8), U(63)
_ROW0 = U(WHEEL)  # the first port's row; a multiple of 16 words x 64 ports
_TURN, _GRANT, _OUT, _DST, _FLITS = U(255), U(256), U(255), U(0xFFFFFF), U(0xFFFFFFFF)
OCCUPIED = U(1 << 62)
LOCAL_PORT = U(4)
# Input half of a row: next event in its wheel slot, tick of the event, slot of the head, carry of the head, tick from which
# the port is idle, key of the head, who sends into it (its output or its core), first slot.
NEXT, TIME, HEAD, CARRY, IDLE, KEY, UP, RING = U(0), U(1), U(2), U(3), U(4), U(5), U(6), U(7)
# Output half, counted from its NEXT: tick from which the link is idle, inputs that ask, state, what it feeds (input row or
# core), slot it fills next, grants << 8 | input that a rotating priority asks first.
LINK, ASKED, STATE, FAR, TAIL, GRANTS = U(2), U(3), U(4), U(5), U(6), U(7)
# States of an output: nobody asks; its event is set; it is decided in this tick; it waits for a pop to free its slot.
QUIET, SET, NOW, WAITING = U(0), U(1), U(2), U(3)
# Words of an endpoint: first slot of its FIFO, last DONE, last GEN, next message, end of its messages, row of its port.
C_RING, C_DONE, C_GEN, C_MESSAGE, C_END, C_ENTRY = U(1), U(2), U(3), U(4), U(5), U(6)


def pack(dst: npt.NDArray[np.int32], srv: npt.NDArray[np.int32]) -> npt.NDArray[np.uint64]:
    """What the kernel carries of each message: destination << 8 | service << 32."""
    packed: npt.NDArray[np.uint64] = dst.astype(np.uint64) << _8 | srv.astype(np.uint64) << U(32)
    return packed


def unpack(carries: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Destination and service of `pack`."""
    return ((carries >> _8) & _DST).astype(np.int32), (carries >> U(32)).astype(np.int32)


@numba.njit(cache=True, nogil=True, inline="always")
def _output(there: np.uint64, here: np.uint64) -> np.uint64:
    """Output of a router towards an endpoint, x first, without a branch: N, E, S, W = 0, 1, 2, 3, else its local port."""
    differs = there ^ here
    direction = _2 - (U(there > here) << _1) + U(differs >> U(40) != _0)
    return direction if differs >> U(16) else there & _OUT


@numba.njit(cache=True, nogil=True)
def _set(S: U64, occupied: U64, busy: np.uint64, event: np.uint64, tick: np.uint64, now: np.uint64) -> np.uint64:
    """Put an event into the wheel, at `tick` > now or as far as the wheel reaches; returns the new `busy`."""
    S[event + TIME] = tick
    slot = (now + min(tick - now, _MASK)) & _MASK
    S[event] = S[slot]
    S[slot] = event
    word = slot >> _6
    occupied[word] |= _1 << (slot & _63)
    return busy | (_1 << word)


@numba.njit(cache=True, nogil=True)
def _set_if(
    S: U64,
    occupied: U64,
    busy: np.uint64,
    event: np.uint64,
    tick: np.uint64,
    now: np.uint64,
    wanted: bool,
    nowhere: np.uint64,
) -> np.uint64:
    """`_set` if wanted, without a branch: an event that is not wanted goes into a slot that is never read."""
    S[event + TIME] = tick
    slot = (now + min(tick - now, _MASK)) & _MASK
    at = slot if wanted else nowhere
    S[event] = S[at]
    S[at] = event
    word = slot >> _6
    occupied[word] |= U(wanted) << (slot & _63)
    return busy | (U(wanted) << word)


@numba.njit(cache=True, nogil=True)
def time_steps(
    off: I64, gap: I32, rel: I64, carries: U64, tail: I32, start: I64,
    entry: U64, where: U64, place: U64, far: U64, link_ticks: U64, key_bits: np.uint64, port_bits: np.uint64,
    enqueue: np.uint64, port_slots: np.uint64, core_slots: np.uint64, rotating: bool,
    stamps: I64, soma_end: I64, quiet: I64, grants: I64,
) -> None:  # fmt: skip
    """Times of T steps, one after another; every step finds an empty chip.

    Args:
        off: int64 [T, C + 1]; gap: int32 [M]; rel: int64 [M] or [0] where nothing is released late; carries: uint64 [M],
            destination << 8 | service << 32 (`pack`); tail: int32 [T, C]; start: int64 [C], >= 0.
        entry: uint64 [C], row of each endpoint's port.
        where: uint64 [C], column << 40 | row << 16 | local port of each endpoint; place: uint64 [R], the same of each router
            without a port.
        far: uint64 [rows], what an output feeds: the row of the input, or the endpoint of a local port.
        link_ticks: uint64 [rows], hop << 32 | flits of each output; key_bits: bits of a
            message number; port_bits: rows of a router = 1 << port_bits.
        enqueue ... core_slots: as in `Mesh`; rotating: the arbiter ``rr``.
        stamps: int64 [M, 5] or [0, 5], written where it has room.
        soma_end, quiet: int64 [T, C], written.
        grants: int64 [rows], added to.
    """
    T, C, rows = off.shape[0], entry.size, far.size
    keep, timed = stamps.shape[0] > 0, rel.size > 0
    nil = _ROW0 + (U(rows) << _4)
    cores0 = nil + U(16)
    ring_words = port_slots << _1
    rings0 = cores0 + (U(C) << _3)
    core_rings0 = rings0 + U(rows) * ring_words
    todo0 = core_rings0 + U(C) * core_slots
    links0 = todo0 + U(rows) + _1
    nowhere = links0 + U(rows)
    S = np.zeros(np.int64(nowhere) + 1, np.uint64)
    occupied = np.zeros(WHEEL // 64, np.uint64)  # a bit a slot
    busy = _0  # a bit a word of `occupied` that is not 0
    links_of = links0 - (_ROW0 >> _4)
    longest = (link_ticks & _FLITS).max()
    port_mask = (_1 << port_bits) - _1
    router_bits = port_bits + _4
    key_mask = (_1 << key_bits) - _1
    first_router = _ROW0 >> router_bits
    for i in range(WHEEL):
        S[i] = nil
    for i in range(rows):
        S[links0 + U(i)] = link_ticks[i]
    for row in range(rows):
        p = _ROW0 + (U(row) << _4)
        ring = rings0 + U(row) * ring_words
        S[p + HEAD] = ring
        S[p + RING] = ring
        if (U(row) & port_mask) < LOCAL_PORT:
            if far[row] < U(rows):
                q = _ROW0 + (far[row] << _4)
                S[p + _8 + FAR] = q
                S[p + _8 + TAIL] = rings0 + far[row] * ring_words
                S[q + UP] = p + _8
        else:
            S[p + _8 + FAR] = cores0 + (far[row] << _3)
            S[p + _8 + TAIL] = core_rings0 + far[row] * core_slots
    for c in range(C):
        core = cores0 + (U(c) << _3)
        p = _ROW0 + (entry[c] << _4)
        S[core + C_ENTRY] = p
        S[p + UP] = core
        S[core + C_RING] = core_rings0 + U(c) * core_slots
    now = _0
    for step in range(T):
        # Every step starts later than anything of the step before, so that what is left in the slots means "free".
        base = now + _1
        now = base
        left = _0
        for c in range(C):
            core = cores0 + (U(c) << _3)
            m, stop = U(off[step, c]), U(off[step, c + 1])
            left += stop - m
            p = S[core + C_ENTRY]
            S[core + C_END] = stop
            gen = base + U(start[c])
            slot = S[p + HEAD]
            ring = S[p + RING]
            first = OCCUPIED
            count = _0
            while m < stop and count < port_slots:
                gen += U(gap[m])
                if timed:
                    gen = max(gen, base + U(rel[m]))
                if keep:
                    stamps[m, 0] = np.int64(gen - base)
                arrival = gen + enqueue
                first = min(first, arrival)
                S[slot] = OCCUPIED | (arrival << key_bits) | m
                carry = carries[m]
                d = (carry >> _8) & _DST
                S[slot + _1] = carry | _output(where[d], place[(p >> router_bits) - first_router])
                slot += _2
                if slot == ring + ring_words:
                    slot = ring
                count += _1
                m += _1
            S[core + C_MESSAGE] = m
            S[core + C_GEN] = gen
            if count:
                S[p + KEY] = S[S[p + HEAD]]
                S[p + CARRY] = S[S[p + HEAD] + _1]
                busy = _set(S, occupied, busy, p, first, now)
        if rotating:
            for row in range(rows):
                S[_ROW0 + (U(row) << _4) + _8 + GRANTS] &= ~_TURN
        latest = base
        while left:
            # The next tick in which anything is decided: the rest of this word of slots, else the next word that has any.
            at = (now + _1) & _MASK
            word = at >> _6
            bits = occupied[word] >> (at & _63)
            if bits:
                at += trailing_zeros(bits)
            else:
                word += _1
                word = (word + trailing_zeros((busy >> word) | (busy << (_WORDS - word)))) & (_WORDS - _1)
                at = (word << _6) + trailing_zeros(occupied[word])
            now += (at - now) & _MASK
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
                    busy = _set(S, occupied, busy, event, S[event + TIME], now)
                elif event & _8:
                    S[event + STATE] = NOW
                    S[todo] = event
                    todo += _1
                else:
                    port = (event >> _4) & port_mask
                    out = event + ((S[event + CARRY] & _OUT) << _4) - (port << _4) + _8
                    S[out + ASKED] |= _1 << port
                    S[todo] = out
                    if S[out + STATE] == QUIET:
                        S[out + STATE] = NOW
                        todo += _1
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
                        busy = _set(S, occupied, busy, out, ready, now)
                    continue
                # Arbitration.
                asked = S[out + ASKED]
                link = S[links_of + (out >> _4)]
                tail_gone = now + (link & _FLITS)
                first_row = out - (port << _4) - _8
                if rotating:
                    turn = S[out + GRANTS] & _TURN
                    ahead = asked >> turn
                    chosen = turn + trailing_zeros(ahead) if ahead else trailing_zeros(asked)
                    S[out + GRANTS] = (S[out + GRANTS] & ~_TURN) | ((chosen + _1) & port_mask)
                else:
                    chosen = trailing_zeros(asked)
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
                S[out + GRANTS] += _GRANT
                S[out + LINK] = tail_gone
                # Pop the granted input; its slot is free when the tail has gone.
                p = first_row + (chosen << _4)
                m = S[p + KEY] & key_mask
                slot = S[p + HEAD]
                ring = S[p + RING]
                carry = S[p + CARRY]
                after = slot + _2
                if after == ring + ring_words:
                    after = ring
                S[p + HEAD] = after
                S[p + IDLE] = tail_gone
                S[slot] = tail_gone
                up = S[p + UP]
                if chosen >= LOCAL_PORT:
                    if keep:
                        stamps[m, 1] = np.int64(now - base)
                    w = S[up + C_MESSAGE]
                    if w < S[up + C_END]:  # the soma's next message takes the slot
                        gen = S[up + C_GEN] + U(gap[w])
                        if timed:
                            gen = max(gen, base + U(rel[w]))
                        gen = max(gen, tail_gone)
                        S[up + C_GEN] = gen
                        S[up + C_MESSAGE] = w + _1
                        if keep:
                            stamps[w, 0] = np.int64(gen - base)
                        S[slot] = OCCUPIED | ((gen + enqueue) << key_bits) | w
                        follows = carries[w]
                        d = (follows >> _8) & _DST
                        S[slot + _1] = follows | _output(where[d], place[(p >> router_bits) - first_router])
                elif S[up + STATE] == WAITING:
                    S[up + STATE] = SET
                    # Its link is free by then: it granted before now.
                    busy = _set(S, occupied, busy, up, tail_gone, now)
                head = S[after]
                there = head >= OCCUPIED  # the rest is not read where there is no head
                S[p + KEY] = head
                S[p + CARRY] = S[after + _1]
                due = max((head - OCCUPIED) >> key_bits, tail_gone)
                busy = _set_if(S, occupied, busy, p, due, now, there, nowhere)
                # Hand the packet on.
                if port < LOCAL_PORT:
                    arrival = now + (link >> U(32))
                    key = OCCUPIED | (arrival << key_bits) | m
                    S[into] = key
                    d = (carry >> _8) & _DST
                    carry = (carry & U(0xFFFFFFFFFFFFFF00)) | _output(
                        where[d], place[(far_end >> router_bits) - first_router]
                    )
                    S[into + _1] = carry
                    if into == S[far_end + HEAD]:
                        S[far_end + KEY] = key
                        S[far_end + CARRY] = carry
                        busy = _set(S, occupied, busy, far_end, max(arrival, S[far_end + IDLE]), now)
                    ring = S[far_end + RING]
                    into += _2
                    if into == ring + ring_words:
                        into = ring
                    S[out + TAIL] = into
                else:
                    arrival = tail_gone + (link >> U(32)) - _1
                    served = max(arrival, S[far_end + C_DONE])
                    done = served + (carry >> U(32))
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
                if asked:  # by others, who wait for the link and the next slot
                    ready = max(tail_gone, S[into])
                    if ready >= OCCUPIED:
                        S[out + STATE] = WAITING
                    else:
                        S[out + STATE] = SET
                        busy = _set(S, occupied, busy, out, ready, now)
                else:
                    S[out + STATE] = QUIET
        for c in range(C):
            core = cores0 + (U(c) << _3)
            ends = S[core + C_GEN] + U(tail[step, c])
            soma_end[step, c] = np.int64(ends - base)
            quiet[step, c] = np.int64(max(ends, S[core + C_DONE]) - base)
            latest = max(latest, ends)
        now = max(latest, now + longest) + _1
    for row in range(rows):
        grants[row] += np.int64(S[_ROW0 + (U(row) << _4) + _8 + GRANTS] >> _8)
