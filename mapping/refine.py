"""Local search on the messages of a partition: move one neuron at a time to the core where its axons cost least.

For a vertex v and a part B, with counts c of each net's pins by part taken without v::

    aff_B = sum_{nets e of v as a pin} rate_e [c_e(B) > 0 or B = part(source_e)] + rate_own [c_own(B) > 0]

and moving v from A to B saves exactly aff_B - aff_A messages. With a temperature the part is drawn by the heat bath
(Gumbel noise on aff, so that parts are drawn in proportion to exp(aff / T)); without one only moves that save are made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from mapping.hypergraph import I32, Hypergraph

F64 = npt.NDArray[np.float64]
_LATE = 0.05  # exchanges pay once single moves save less than this share in a pass


@dataclass(frozen=True, eq=False)
class Kinds:
    """Words that the vertices of one kind store once on a part.

    Attributes:
        kind: int32 [n], kind of each vertex.
        shared: float64 [kinds, R], resources that a part gives for the first vertex of a kind.
    """

    kind: I32
    shared: F64


def kinds_state(kinds: Kinds | None, part: I32, need: F64, room: F64) -> tuple[I32, F64, I32, F64]:
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
def _count(ptr, pins, part, k):  # type: ignore[no-untyped-def]
    counts = np.zeros((ptr.size - 1, k), np.uint16)
    for e in range(ptr.size - 1):
        for j in range(ptr[e], ptr[e + 1]):
            counts[e, part[pins[j]]] += np.uint16(1)
    return counts


@nb.njit(cache=True, nogil=True)
def _affinity(v, back_ptr, back, owned, source, rate, part, counts, aff):  # type: ignore[no-untyped-def]
    """Compute aff[:] of vertex v; see the module's text."""
    k = aff.size
    aff[:] = np.float32(0.0)
    home = part[v]
    for j in range(back_ptr[v], back_ptr[v + 1]):
        e = back[j]
        row, w = counts[np.uint32(e)], rate[np.uint32(e)]
        for b in range(k):
            aff[b] += w if row[b] > 0 else np.float32(0.0)
        alone = row[home] == 1
        if alone:
            aff[home] -= w
        s = source[e]
        if s >= 0 and s != v:
            there = part[s]
            if row[there] == 0 or (there == home and alone):
                aff[there] += w
    own = owned[v]
    if own >= 0:
        row, w = counts[own], rate[own]
        self_pin = False
        for j in range(back_ptr[v], back_ptr[v + 1]):  # an autapse was counted above already
            self_pin |= back[j] == own
        if not self_pin:
            for b in range(k):
                aff[b] += w if row[b] > 0 else np.float32(0.0)


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
def _move(v, a, b, back_ptr, back, counts, part, need, room, kind, shared, held):  # type: ignore[no-untyped-def]
    for j in range(back_ptr[v], back_ptr[v + 1]):
        e = back[j]
        counts[e, a] -= np.uint16(1)
        counts[e, b] += np.uint16(1)
    part[v] = b
    take(need[v], room, a, b, kind[v], shared, held)


@nb.njit(cache=True, nogil=True)
def _sweep(  # type: ignore[no-untyped-def]
    order, back_ptr, back, owned, source, rate, need, kind, shared, held, part, counts, room, temperature, aff, rng
):
    """Pass once over the vertices; return the messages saved."""
    saved = 0.0
    k = aff.size
    for v in order:
        a = int(np.int64(part[v]))  # 64 bits as every part below: one compiled form of each helper
        _affinity(v, back_ptr, back, owned, source, rate, part, counts, aff)
        best, best_value = a, aff[a]
        if temperature > 0:
            reach = aff.max() - np.float32(8.0) * temperature  # others are drawn once in 3000 times at most
            best_value = np.float32(-np.inf)
            for b in range(k):
                if aff[b] >= reach and (b == a or fits(need[v], room, b, kind[v], shared, held)):
                    value = aff[b] - temperature * np.float32(np.log(-np.log(rng.random() + 1e-12)))
                    if value > best_value:
                        best, best_value = b, value
        else:
            for b in range(k):
                if aff[b] > best_value and fits(need[v], room, b, kind[v], shared, held):
                    best, best_value = b, aff[b]
        if best != a:
            saved += aff[best] - aff[a]
            _move(v, a, best, back_ptr, back, counts, part, need, room, kind, shared, held)
    return saved


@nb.njit(cache=True, nogil=True)
def _swap_sweep(  # type: ignore[no-untyped-def]
    order, back_ptr, back, owned, source, rate, need, kind, shared, held, part, counts, room, wants, aff, tried
):
    """Exchange pairs whose best parts are each other's and full; `wants[v]` is the best part of v."""
    saved = 0.0
    k = aff.size
    first = np.full((k, k), -1, np.int64)  # a vertex of part a that wants part b
    for v in order:
        a = int(np.int64(part[v]))  # 64 bits as every part below: one compiled form of each helper
        _affinity(v, back_ptr, back, owned, source, rate, part, counts, aff)
        b = np.argmax(aff)
        wants[v] = b
        if b == a or aff[b] <= aff[a]:
            continue
        u = first[b, a]
        if u < 0 or part[u] != b:
            first[a, b] = v
            continue
        gain_v = aff[b] - aff[a]
        take(need[v], room, a, b, kind[v], shared, held)
        take(need[u], room, b, a, kind[u], shared, held)
        full = room[a].min() < 0 or room[b].min() < 0
        take(need[u], room, a, b, kind[u], shared, held)
        take(need[v], room, b, a, kind[v], shared, held)
        if full:
            continue
        _move(v, a, b, back_ptr, back, counts, part, need, room, kind, shared, held)
        _affinity(u, back_ptr, back, owned, source, rate, part, counts, tried)
        gain = gain_v + tried[a] - tried[b]
        if gain > 1e-6:
            _move(u, b, a, back_ptr, back, counts, part, need, room, kind, shared, held)
            saved += gain
        else:
            _move(v, b, a, back_ptr, back, counts, part, need, room, kind, shared, held)
        first[b, a] = -1
    return saved


def refine(
    graph: Hypergraph,
    part: I32,
    need: F64,
    room: F64,
    seed: int,
    temperatures: tuple[float, ...] = (),
    most_passes: int = 12,
    least_gain: float = 1e-3,
    kinds: Kinds | None = None,
) -> I32:
    """Improve a partition until moves and exchanges save nothing more.

    Args:
        graph: axons.
        part: int32 [n], the partition to start from; must fit `room`.
        need: float64 [n, R], what each vertex needs of each resource.
        room: float64 [K, R], what each part has in all.
        seed: of the order of vertices and of the noise; the same seed gives the same partition.
        temperatures: of the heat-bath passes before the plain ones, in units of the mean rate.
        most_passes: of plain passes; they end early when one saves less than `least_gain` of the messages.
        least_gain: see there.
        kinds: which words the vertices of a part store in common; none by default.
    """
    k = room.shape[0]
    part = part.astype(np.int32)
    kind, shared, held, left = kinds_state(kinds, part, need, room)
    counts = _count(graph.ptr, graph.pins, part, k)
    aff, rng = np.zeros(k, np.float32), np.random.default_rng(seed)
    fixed = (graph.back_ptr, graph.back, graph.owned, graph.source, graph.rate, need, kind, shared, held)
    unit = float(graph.rate.mean()) if graph.rate.size else 1.0
    for t in temperatures:
        order = rng.permutation(graph.n)
        _sweep(order, *fixed, part, counts, left, np.float32(t * unit), aff, rng)
    total = max(_messages(counts, graph, part), 1e-12)
    wants, tried = np.zeros(graph.n, np.int32), np.zeros(k, np.float32)
    for _ in range(most_passes):
        order = rng.permutation(graph.n)
        saved = _sweep(order, *fixed, part, counts, left, np.float32(0.0), aff, rng)
        if saved < _LATE * total:
            saved += _swap_sweep(order, *fixed, part, counts, left, wants, aff, tried)
        if saved <= least_gain * total:
            break
    return part


@nb.njit(cache=True, nogil=True)
def _total(counts, source, rate, part):  # type: ignore[no-untyped-def]
    total = 0.0
    for e in range(source.size):
        n = 0
        for b in range(counts.shape[1]):
            n += counts[e, b] > 0
        if source[e] >= 0 and counts[e, part[source[e]]] > 0:
            n -= 1
        total += n * rate[e]
    return total


def _messages(counts: npt.NDArray[np.uint16], graph: Hypergraph, part: I32) -> float:
    return float(_total(counts, graph.source, graph.rate, part))
