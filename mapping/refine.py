"""Local search on the messages of a partition: move one neuron at a time to the core where its axons cost least.

For a vertex v and a part B, with counts c of each net's pins by part (`mapping.nets`: sources are pins)::

    near(v, B) = sum_{nets e of v} rate_e [c_e(B) > 0]
    alone(v)   = sum_{nets e of v} rate_e [c_e(A) = 1], A the part of v

and moving v from A to B saves exactly near(v, B) - near(v, A) + alone(v) messages, here in whole units of the rates. The parts
of a net are bits, 32 to a word, and so are those where it has one pin: a look at a vertex reads some bytes of each of its nets.
With a temperature the part is drawn by the heat bath (Gumbel noise on what is saved, so that parts are drawn in proportion to
exp(saved / T)); without one only moves that save are made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from mapping.nets import Nets
from simulator.base.arrays import I32, U32, Floats
from simulator.base.intrinsics import sum_where_set, trailing_zeros

_DENSE = 8.0  # set bits of a word from which all its lanes are added at once
_PIECE = 4096  # nets at once
_WHOLE = 2**30  # units of the largest sum of the rates of a vertex's nets


@dataclass(frozen=True, eq=False)
class Kinds:
    """Words that the vertices of one kind store once on a part.

    Attributes:
        kind: int32 [n], kind of each vertex.
        shared: float64 [kinds, R], resources that a part gives for the first vertex of a kind.
    """

    kind: I32
    shared: Floats


def kinds_state(kinds: Kinds | None, part: I32, need: Floats, room: Floats) -> tuple[I32, Floats, I32, Floats]:
    """Return kind of each vertex, shared words, vertices by part and kind [K, kinds], and what each part has left [K, R]."""
    n, k = part.size, room.shape[0]
    if kinds is None or not kinds.shared.any():
        kinds = Kinds(np.zeros(n, np.int32), np.zeros((1, need.shape[1])))
    m = kinds.shared.shape[0]
    held = np.bincount(part.astype(np.int64) * m + kinds.kind, minlength=k * m).reshape(k, m).astype(np.int32)
    left = room - (held > 0) @ kinds.shared
    for r in range(need.shape[1]):
        left[:, r] -= np.bincount(part, need[:, r], minlength=k)
    return kinds.kind, kinds.shared, held, left


@nb.njit(cache=True, nogil=True)
def fits(need, room, b, kind, shared, held):  # type: ignore[no-untyped-def]
    """Tell if a vertex of this kind fits part b; the first of its kind there brings the shared words."""
    ok = True
    first = held[b, kind] == 0
    for r in range(need.size):
        ok &= need[r] + (shared[kind, r] if first else 0.0) <= room[b, r]
    return ok


@nb.njit(cache=True, nogil=True)
def take(need, room, a, b, kind, shared, held):  # type: ignore[no-untyped-def]
    """Account for a vertex of this kind that goes from part a to part b."""
    held[a, kind] -= 1
    room[a] += need
    if held[a, kind] == 0:
        room[a] += shared[kind]
    if held[b, kind] == 0:
        room[b] -= shared[kind]
    held[b, kind] += 1
    room[b] -= need


@nb.njit(cache=True, nogil=True)
def tables(ptr, pins, part, k):  # type: ignore[no-untyped-def]
    """Return pins of each net by part, uint16 [E, K]; as bits, uint32 [E, K / 32], its parts, and those where it has one pin."""
    nets = ptr.size - 1
    counts = np.zeros((nets, k), np.uint16)
    there, single = np.zeros((nets, (k + 31) // 32), np.uint32), np.zeros((nets, (k + 31) // 32), np.uint32)
    for e in range(nets):
        for j in range(ptr[e], ptr[e + 1]):
            b = part[pins[j]]
            counts[e, b] += np.uint16(1)
            bit = np.uint32(1) << np.uint32(b & 31)
            if counts[e, b] == 1:
                there[e, b >> 5] |= bit
                single[e, b >> 5] |= bit
            elif counts[e, b] == 2:
                single[e, b >> 5] &= ~bit
    return counts, there, single


@nb.njit(cache=True, nogil=True)
def score(v, a, back_ptr, back, unit, there, single, dense, out):  # type: ignore[no-untyped-def]
    """out[b] = units of v's nets that reach part b without v, which lies in part a; `dense`: most bits of a word are set."""
    own, lane = np.uint64(a) >> np.uint64(5), np.uint32(a & 31)
    start, stop, words = np.uint64(back_ptr[v]), np.uint64(back_ptr[v + 1]), np.uint64(there.shape[1])
    if dense:
        for i in range(words):
            sum_where_set(out, back, start, stop, there, words, i, unit)
    else:
        out[:] = 0
        for j in range(start, stop):
            e = np.uint32(back[j])
            w = unit[e]
            for i in range(words):
                rest = np.uint64(there[e, i])
                while rest:
                    out[np.uint64(32) * i + trailing_zeros(rest)] += w
                    rest &= rest - np.uint64(1)
    alone = np.int32(0)  # every net of v is there; take those with no other pin away
    for j in range(start, stop):
        e = np.uint32(back[j])
        alone += unit[e] * np.int32((single[e, own] >> lane) & np.uint32(1))
    out[a] -= alone


@nb.njit(cache=True, nogil=True)
def move(v, a, b, back_ptr, back, counts, there, single, part):  # type: ignore[no-untyped-def]
    """Move v from part a to part b, and correct the tables."""
    bit_a, bit_b = np.uint32(1) << np.uint32(a & 31), np.uint32(1) << np.uint32(b & 31)
    for j in range(back_ptr[v], back_ptr[v + 1]):
        e = np.uint32(back[j])
        counts[e, a] -= np.uint16(1)
        if counts[e, a] == 0:
            there[e, a >> 5] &= ~bit_a
            single[e, a >> 5] &= ~bit_a
        elif counts[e, a] == 1:
            single[e, a >> 5] |= bit_a
        counts[e, b] += np.uint16(1)
        if counts[e, b] == 1:
            there[e, b >> 5] |= bit_b
            single[e, b >> 5] |= bit_b
        elif counts[e, b] == 2:
            single[e, b >> 5] &= ~bit_b
    part[v] = b


@nb.njit(cache=True, nogil=True)
def _sweep(  # type: ignore[no-untyped-def]
    order, temperature, dense, rng, back_ptr, back, unit, need, kind, shared, held, part, counts, there, single, room
):
    """Pass once over the vertices; return the units saved.

    Without a temperature, a vertex whose best part is full waits; one of that part that wants the other way is exchanged with it.
    """
    saved, k, exchange = 0, room.shape[0], temperature == 0
    saves = np.zeros(32 * there.shape[1], np.int32)
    size = k if exchange else 0
    waits = np.full((size, size), -1, np.int64)  # a vertex of one part that wants another
    of = np.full(unit.size if exchange else 0, -1, np.int64)  # the vertex that looked at a net last
    for v in order:
        a = int(np.int64(part[v]))  # 64 bits as every part below: one compiled form of each helper
        score(v, a, back_ptr, back, unit, there, single, dense, saves)
        if temperature > 0:
            best = _drawn(saves, v, a, k, temperature, rng, need, kind, shared, held, room)
        else:
            best = a
            for b in range(k):
                if saves[b] > saves[best] and fits(need[v], room, b, kind[v], shared, held):
                    best = b
        if exchange:
            wish = int(np.argmax(saves[:k]))
            if saves[wish] > saves[best]:
                u = waits[wish, a]
                if u >= 0 and part[u] == wish:
                    waits[wish, a] = -1
                    gain = np.int64(saves[wish] - saves[a]) + _after(v, u, a, wish, back_ptr, back, unit, counts, of)
                    if gain > saves[best] - saves[a]:
                        take(need[v], room, a, wish, kind[v], shared, held)
                        take(need[u], room, wish, a, kind[u], shared, held)
                        if room[a].min() >= 0 and room[wish].min() >= 0:
                            move(v, a, wish, back_ptr, back, counts, there, single, part)
                            move(u, wish, a, back_ptr, back, counts, there, single, part)
                            saved += gain
                            continue
                        take(need[u], room, a, wish, kind[u], shared, held)
                        take(need[v], room, wish, a, kind[v], shared, held)
                if best == a:
                    waits[a, wish] = v
        if best != a:
            saved += saves[best] - saves[a]
            take(need[v], room, a, best, kind[v], shared, held)
            move(v, a, best, back_ptr, back, counts, there, single, part)
    return saved


@nb.njit(cache=True, nogil=True)
def _drawn(saves, v, a, k, temperature, rng, need, kind, shared, held, room):  # type: ignore[no-untyped-def]
    """Draw the part of v by the heat bath."""
    reach = saves[:k].max() - 8.0 * temperature  # others are drawn once in 3000 times at most
    best, best_value = a, -np.inf
    for b in range(k):
        if saves[b] >= reach and (b == a or fits(need[v], room, b, kind[v], shared, held)):
            value = saves[b] - temperature * np.log(-np.log(rng.random() + 1e-12))
            if value > best_value:
                best, best_value = b, value
    return best


@nb.njit(cache=True, nogil=True)
def _after(v, u, a, b, back_ptr, back, unit, counts, of):  # type: ignore[no-untyped-def]
    """Return units that moving u from part b to a saves once v has gone from a to b."""
    for j in range(back_ptr[v], back_ptr[v + 1]):
        of[back[j]] = v
    gain = 0
    for j in range(back_ptr[u], back_ptr[u + 1]):
        e = np.uint32(back[j])
        both = int(of[e] == v)
        gain += unit[e] * (int(counts[e, a] > both) - int(counts[e, b] + both > 1))
    return gain


def refine(
    nets: Nets,
    part: I32,
    need: Floats,
    room: Floats,
    seed: int,
    temperatures: tuple[float, ...] = (),
    most_passes: int = 12,
    least_gain: float = 1e-3,
    kinds: Kinds | None = None,
) -> I32:
    """Improve a partition until moves and exchanges save nothing more; one without messages is returned as it is.

    Args:
        nets: axons with their sources.
        part: int32 [n], the partition to start from; must fit `room`.
        need: float64 [n, R], what each vertex needs of each resource.
        room: float64 [K, R], what each part has in all.
        seed: of the order of vertices and of the noise; the same seed gives the same partition.
        temperatures: of the heat-bath passes before the plain ones, in units of the mean rate.
        most_passes: of plain passes; they end early when one saves less than `least_gain` of the messages.
        least_gain: see there.
        kinds: which words the vertices of a part store in common; none by default.
    """
    k, n = room.shape[0], part.size
    part = part.astype(np.int32)
    kind, shared, held, left = kinds_state(kinds, part, need, room)
    unit, scale = units(nets)
    counts, there, single = tables(nets.ptr, nets.pins, part, k)
    if not _total(counts, unit):  # no pass can save anything
        return part
    rng = np.random.default_rng(seed)
    fixed = (rng, nets.back_ptr, nets.back, unit, need, kind, shared, held, part, counts, there, single, left)
    mean = float(nets.rate.mean()) * scale if nets.rate.size else 1.0
    for t in temperatures:
        _sweep(rng.permutation(n), t * mean, _is_dense(there), *fixed)
    total = max(int(_total(counts, unit)), 1)
    for _ in range(most_passes):
        if _sweep(rng.permutation(n), 0.0, _is_dense(there), *fixed) <= least_gain * total:
            break
    return part


def _is_dense(there: U32) -> bool:
    return bool(there.size) and float(np.bitwise_count(there).mean()) > _DENSE


def units(nets: Nets) -> tuple[I32, float]:
    """Return the rate of each net in whole units, and units of a rate of 1; any sum over a vertex's nets fits 31 bits."""
    of_vertex, rate = np.zeros(max(1, nets.back_ptr.size - 1)), nets.rate.astype(np.float64)
    for first in range(0, nets.rate.size, _PIECE):  # all pins at once would take 16 bytes each
        ptr = nets.ptr[first : first + _PIECE + 1]
        np.add.at(of_vertex, nets.pins[ptr[0] : ptr[-1]], np.repeat(rate[first : first + _PIECE], np.diff(ptr)))
    scale = _WHOLE / max(float(of_vertex.max()), 1e-200)
    return np.minimum(nets.rate.astype(np.float64) * scale, _WHOLE).astype(np.int32), scale


@nb.njit(cache=True, nogil=True)
def _total(counts, unit):  # type: ignore[no-untyped-def]
    total = 0
    for e in range(unit.size):
        n = 0
        for b in range(counts.shape[1]):
            n += counts[e, b] > 0
        total += max(n - 1, 0) * unit[e]
    return total
