"""Words of the compiled timing kernel: where everything lies in its one array, and its timing wheel.

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

from simulator.base.arrays import I32, I64, U64

U = np.uint64
WHEEL = 1024
MASK, WORDS = U(WHEEL - 1), U(WHEEL // 64)
_0, _1, _2, _6, _8, _63 = U(0), U(1), U(2), U(6), U(8), U(63)
ROW0 = U(WHEEL)  # the first port's row; a multiple of 16 words x 64 ports
TURN, GRANT, OUT, DST, FLITS = U(255), U(256), U(255), U(0xFFFFFF), U(0xFFFFFFFF)
OCCUPIED = U(1 << 62)
# Input half of a row: next event in its wheel slot, tick of the event, slot of the head, carry of the head, tick from which
# the port is idle, key of the head, who sends into it (its output or its core), first slot.
NEXT, TIME, HEAD, CARRY, IDLE, KEY, UP, RING = U(0), U(1), U(2), U(3), U(4), U(5), U(6), U(7)
# Output half, counted from its NEXT: tick from which the link is idle, inputs that ask, state, what it feeds (input row or
# core), slot it fills next, grants << 8 | input that a rotating priority asks first.
LINK, ASKED, STATE, FAR, TAIL, GRANTS = U(2), U(3), U(4), U(5), U(6), U(7)
# States of an output: nobody asks; its event is set; it is decided in this tick; it waits for a pop to free its slot.
QUIET, SET, NOW, WAITING = U(0), U(1), U(2), U(3)
# Words of an endpoint: slot of its router's input that it fills next, first slot of its FIFO, last DONE, last GEN, next
# message, end of its messages, row of its port.
C_TAIL, C_RING, C_DONE, C_GEN, C_MESSAGE, C_END, C_ENTRY = U(0), U(1), U(2), U(3), U(4), U(5), U(6)


def pack(dst: I32, srv: I32) -> U64:
    """Pack what the kernel carries of each message: destination << 8 | service << 32."""
    packed: U64 = dst.astype(np.uint64) << _8 | srv.astype(np.uint64) << U(32)
    return packed


def unpack(carries: U64) -> tuple[I32, I32]:
    """Return destination and service of `pack`."""
    return ((carries >> _8) & DST).astype(np.int32), (carries >> U(32)).astype(np.int32)


@numba.njit(cache=True, nogil=True, inline="always")
def output_towards(there: np.uint64, here: np.uint64) -> np.uint64:
    """Return a router's output towards an endpoint, x first, without a branch: N, E, S, W of its network, else its local port."""
    differs = there ^ here
    direction = ((there >> _8) & OUT) + _2 - (U(there > here) << _1) + U(differs >> U(40) != _0)
    return direction if differs >> U(16) else there & OUT


@numba.njit(cache=True, nogil=True)
def put(S: U64, occupied: U64, busy: np.uint64, event: np.uint64, tick: np.uint64, now: np.uint64) -> np.uint64:
    """Put an event into the wheel, at `tick` > now or as far as the wheel reaches; returns the new `busy`."""
    S[event + TIME] = tick
    slot = (now + min(tick - now, MASK)) & MASK
    S[event] = S[slot]
    S[slot] = event
    word = slot >> _6
    occupied[word] |= _1 << (slot & _63)
    return busy | (_1 << word)


@numba.njit(cache=True, nogil=True)
def put_if(
    S: U64,
    occupied: U64,
    busy: np.uint64,
    event: np.uint64,
    tick: np.uint64,
    now: np.uint64,
    wanted: bool,
    nowhere: np.uint64,
) -> np.uint64:
    """Call `put` if wanted, without a branch: an event that is not wanted goes into a slot that is never read."""
    S[event + TIME] = tick
    slot = (now + min(tick - now, MASK)) & MASK
    at = slot if wanted else nowhere
    S[event] = S[at]
    S[at] = event
    word = slot >> _6
    occupied[word] |= U(wanted) << (slot & _63)
    return busy | (U(wanted) << word)


@numba.njit(cache=True, nogil=True)
def fill(
    S: U64, occupied: U64, busy: np.uint64, core: np.uint64, now: np.uint64, base: np.uint64,
    gap: I32, rel: I64, carries: U64, ends: U64 | None, where: U64, here: np.uint64,
    enqueue: np.uint64, ring_words: np.uint64, key_bits: np.uint64, stamps: I64,
) -> np.uint64:  # fmt: skip
    """Put the next packets of an endpoint into its router's input, as many as it has free slots; returns the new `busy`.

    A slot holds the tick from which it is free, so that a packet which has to wait for it is fixed here as well.
    """
    p, gen, slot = S[core + C_ENTRY], S[core + C_GEN], S[core + C_TAIL]
    m, stop, beyond = S[core + C_MESSAGE], S[core + C_END], S[p + RING] + ring_words
    while m < stop and S[slot] < OCCUPIED:
        gen = max(gen + U(gap[m]), S[slot])
        if rel.size > 0:
            gen = max(gen, base + U(rel[m]))
        following = m + _1 if ends is None else ends[m]
        S[slot] = OCCUPIED | ((gen + enqueue) << key_bits) | m
        if ends is None:
            S[slot + _1] = carries[m] | output_towards(where[(carries[m] >> _8) & DST], here)
        else:
            S[slot + _1] = following
        if stamps.shape[0] > 0:
            stamps[m:following, 0] = np.int64(gen - base)
        if slot == S[p + HEAD]:
            S[p + KEY], S[p + CARRY] = S[slot], S[slot + _1]
            busy = put(S, occupied, busy, p, max(gen + enqueue, S[p + IDLE]), now)
        slot += _2
        if slot == beyond:
            slot -= ring_words
        m = following
    S[core + C_MESSAGE], S[core + C_GEN], S[core + C_TAIL] = m, gen, slot
    return busy
