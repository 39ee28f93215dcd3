"""Refinement of the parts of large graphs by sweeps that count messages exactly, over lists and not tables.

Memory and time are linear in the pins; nothing is parts x nets. Each net (`mapping.nets`) keeps the list of its parts in the
room of its own pins, an entry of 4 bytes for each: count << 18 | part (8 bytes where parts or counts are more).
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from mapping.exchange import called, choose, swap, wait, waiting_room
from mapping.nets import Nets
from mapping.refine import Kinds, kinds_state, take
from simulator.base.arrays import I32, U32, U64, Floats
from simulator.base.intrinsics import prefetch

_SWEEPS, _FEW_SWEEPS = 8, 2
_MANY_PINS = 4_000_000  # larger graphs get few sweeps
_HEAD = np.dtype([("first", np.int64), ("length", np.int32), ("rate", np.float32)])
_WINDOW = 64  # neighbouring parts whose vertices are swept together, for the cache


def refine_lists(
    nets: Nets, part: I32, need: Floats, room: Floats, seed: int, kinds: Kinds | None = None, sweeps: int = _SWEEPS
) -> I32:
    """Refine a partition by moves and exchanges of single vertices; a net keeps the list of its parts, not a row of all.

    Args:
        nets: with their sources.
        part: int32 [n], the partition to start from; must fit `room`.
        need: float64 [n, R]; room: float64 [K, R].
        seed: of the order of vertices.
        kinds: which words the vertices of a part store in common; none by default.
        sweeps: over all vertices.
    """
    part, k = part.astype(np.int32), room.shape[0]
    kind, shared, held, left = kinds_state(kinds, part, need, room)
    heads, entries, bits = lists_of(nets, part, k)
    rng = np.random.Generator(np.random.Philox(seed))
    total = _cost(heads)
    for _ in range(sweeps if nets.pins.size < _MANY_PINS else _FEW_SWEEPS):
        window = rng.permutation(-(-k // _WINDOW))[part // _WINDOW]
        order = np.lexsort((rng.random(part.size, np.float32), window))
        saved = _sweep_lists(
            order, nets.back_ptr, nets.back, heads, entries, bits, need, kind, shared, held, left, part
        )  # fmt: skip
        if saved < 1e-3 * total:
            break
    return part


def lists_of(nets: Nets, part: I32, k: int) -> tuple[npt.NDArray[np.void], U32 | U64, int]:
    """List the distinct parts of each net, in the room of its pins.

    Returns:
        heads [E] (first entry, number of parts, rate of each net, in one place for the cache), entries [P]
        (count << bits | part), bits of a part number.
    """
    bits = max(1, int(k - 1).bit_length())
    most = int(np.bincount(part, minlength=k).max(initial=0)) if part.size else 0
    narrow = 2 * most < 1 << (32 - bits)  # parts may fill up while they are refined
    size = nets.pins.size
    entries: U32 | U64
    entries = np.empty(size, np.uint32) if narrow else np.empty(size, np.uint64)
    heads = np.zeros(nets.ptr.size - 1, _HEAD)
    heads["first"], heads["rate"] = nets.ptr[:-1], nets.rate
    _lists(nets.ptr, nets.pins, part, k, bits, heads, entries)
    return heads, entries, bits


@nb.njit(cache=True, nogil=True)
def _cost(heads):  # type: ignore[no-untyped-def]
    total = 0.0
    for e in range(heads.size):
        total += max(0, heads[e].length - 1) * heads[e].rate
    return total


@nb.njit(cache=True, nogil=True)
def _lists(ptr, pins, part, k, bits, heads, entries):  # type: ignore[no-untyped-def]
    seen, place = np.full(k, -1, np.int64), np.empty(k, np.int64)
    for e in range(ptr.size - 1):
        at = ptr[e]
        for j in range(ptr[e], ptr[e + 1]):
            b = part[pins[j]]
            if seen[b] != e:
                seen[b], place[b] = e, at
                entries[at] = (1 << bits) | b
                at += 1
            else:
                entries[place[b]] += 1 << bits
        heads[e].length = at - ptr[e]


@nb.njit(cache=True, nogil=True)
def _fetch(back, j, stop, heads, entries):  # type: ignore[no-untyped-def]
    """Ask for the parts of the net four ahead, and for the head of that eight ahead: they lie all over memory."""
    if j + 8 < stop:
        prefetch(np.uint64(heads.ctypes.data) + np.uint64(back[j + 8]) * np.uint64(heads.itemsize))
    if j + 4 < stop:
        ahead = heads[back[j + 4]]
        line = np.uint64(entries.ctypes.data) + np.uint64(ahead.first) * np.uint64(entries.itemsize)
        beyond = line + np.uint64(ahead.length) * np.uint64(entries.itemsize)
        while line < beyond:
            prefetch(line)
            line += np.uint64(64)


@nb.njit(cache=True, nogil=True)
def _gains(v, a, back_ptr, back, heads, entries, bits, gain, touched):  # type: ignore[no-untyped-def]
    """Return messages that each part near v would save it: rates of v's nets that are there without v. Return how many parts."""
    n = 0
    alone = (1 << bits) | a
    mask = (1 << bits) - 1
    stop = back_ptr[v + 1]
    for j in range(back_ptr[v], stop):
        _fetch(back, j, stop, heads, entries)
        head = heads[back[j]]
        w, first = head.rate, head.first
        if w <= 0:  # saves nothing, and a part is new where its gain is 0
            continue
        for i in range(first, first + head.length):
            entry = np.int64(entries[i])
            if entry == alone:
                continue
            b = entry & mask
            touched[n] = b
            n += int(gain[b] == 0)
            gain[b] += w
    return n


@nb.njit(cache=True, nogil=True)
def _shift(v, a, b, back_ptr, back, heads, entries, bits, part):  # type: ignore[no-untyped-def]
    part[v] = b
    for j in range(back_ptr[v], back_ptr[v + 1]):
        _count_move(back[j], a, b, heads, entries, bits)


@nb.njit(cache=True, nogil=True)
def _sweep_lists(  # type: ignore[no-untyped-def]
    order, back_ptr, back, heads, entries, bits, need, kind, shared, held, left, part
):
    """Pass once over the vertices; return the messages saved."""
    k = left.shape[0]
    gain, touched = np.zeros(k, np.float32), np.empty(k + 1, np.int64)
    waits, wants, turn = waiting_room(k)
    saved = 0.0
    for v in order:
        a = np.int64(part[v])
        n = _gains(v, a, back_ptr, back, heads, entries, bits, gain, touched)
        here = gain[a]
        best, most, wish, highest = choose(gain, touched, n, a, need[v], left, kind[v], shared, held)
        if wish != best:
            u = called(waits, wants, part, a, wish)
            if u >= 0:
                swap(v, a, u, wish, need, left, kind, shared, held)
                _shift(v, a, wish, back_ptr, back, heads, entries, bits, part)
                n = _gains(u, wish, back_ptr, back, heads, entries, bits, gain, touched)
                both = highest - here + gain[a] - gain[wish]
                for i in range(n):
                    gain[touched[i]] = 0.0
                if both > max(1e-6, most - here) and left[a].min() >= 0 and left[wish].min() >= 0:
                    _shift(u, wish, a, back_ptr, back, heads, entries, bits, part)
                    saved += both
                    continue
                swap(u, a, v, wish, need, left, kind, shared, held)
                _shift(v, wish, a, back_ptr, back, heads, entries, bits, part)
            if best == a:
                wait(v, a, wish, waits, wants, turn)
        if best != a:
            saved += most - here
            take(need[v], left, a, best, kind[v], shared, held)
            _shift(v, a, best, back_ptr, back, heads, entries, bits, part)
    return saved


@nb.njit(cache=True, nogil=True)
def _count_move(e, a, b, heads, entries, bits):  # type: ignore[no-untyped-def]
    """Move one pin of net e from part a to part b."""
    first, length = heads[e].first, heads[e].length
    at_a, at_b, end, one, mask = -1, -1, first + length, 1 << bits, (1 << bits) - 1
    for i in range(first, end):
        p = np.int64(entries[i]) & mask
        if p == a:
            at_a = i
        elif p == b:
            at_b = i
    only = (np.int64(entries[at_a]) >> bits) == 1
    if at_b >= 0:
        entries[at_b] = np.int64(entries[at_b]) + one
        if only:
            entries[at_a] = entries[end - 1]
            heads[e].length = length - 1
        else:
            entries[at_a] = np.int64(entries[at_a]) - one
    elif only:
        entries[at_a] = one | b
    else:
        entries[at_a] = np.int64(entries[at_a]) - one
        entries[end] = one | b
        heads[e].length = length + 1
