"""Parts of large graphs: clusters of clusters give an order, the order gives parts, sweeps over sparse lists refine them.

Memory and time are linear in the pins; nothing is parts x nets. A net holds its source as a pin, so that

    cost = sum_e rate_e (parts of net e - 1)

is the number of remote messages (of the host's nets, a constant more). Clustering looks at a sample of each
vertex' nets and pins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from mapping.hypergraph import F32, I32, I64, Hypergraph, transpose
from mapping.refine import Kinds, fits, kinds_state, take

F64 = npt.NDArray[np.float64]
_SAMPLE = 12  # nets of a vertex and pins of a net that clustering looks at
_GROWTH = 2  # a cluster of the next level holds so many times as much
_COARSE_PINS = 3_000_000  # pins of a coarse level; nets beyond are left out at random
_ROUNDS, _SWEEPS = 2, 8
_WAITING = 16  # vertices of a part that wait for an exchange
_MANY_PINS = 20_000_000  # of larger graphs, half of the sweeps
_WINDOW = 64  # neighbouring parts whose vertices are swept together, for the cache


@dataclass(frozen=True, eq=False)
class Nets:
    """Nets with their sources among the pins, and the way back.

    Attributes:
        ptr, pins: int64 [E + 1], int32 [P], distinct vertices of each net.
        rate: float32 [E].
        back_ptr, back: int64 [n + 1], int32 [P], nets of each vertex.
    """

    ptr: I64
    pins: I32
    rate: F32
    back_ptr: I64
    back: I32


def order_by_clusters(graph: Hypergraph, first_cap: int, seed: int) -> I64:
    """Order the vertices so that those that share messages are near: by cluster, cluster of clusters, and so on."""
    rng = np.random.Generator(np.random.Philox(seed))
    nets = nets_of(graph, np.arange(graph.n))
    weight, cap = np.ones(graph.n, np.int64), max(2, first_cap)
    own = np.arange(graph.n)  # cluster of each vertex at this level
    keys = []
    while True:
        label = _clusters(nets, weight, cap, rng)
        kept, inverse = np.unique(label, return_inverse=True)
        label = inverse.astype(np.int32)
        keys.append(label[own])
        if kept.size <= 8 or kept.size > 0.9 * weight.size:
            break
        own = label[own]
        weight = np.bincount(label, weight).astype(np.int64)
        nets = _contract(nets, label, kept.size, rng)
        cap *= _GROWTH
        if not nets.pins.size:
            break
    order: I64 = np.lexsort((*keys,))
    return order


def _clusters(nets: Nets, weight: I64, cap: int, rng: np.random.Generator) -> I32:
    label, size = np.arange(weight.size, dtype=np.int32), weight.copy()
    for _ in range(_ROUNDS):
        order = rng.permutation(weight.size)
        _join(order, nets.ptr, nets.pins, nets.rate, nets.back_ptr, nets.back, weight, cap, label, size, _SAMPLE)
    return label


@nb.njit(cache=True, nogil=True)
def _join(order, ptr, pins, rate, back_ptr, back, weight, cap, label, size, sample):  # type: ignore[no-untyped-def]
    score = np.zeros(label.size, np.float32)
    touched = np.empty(sample * sample + sample, np.int64)
    for v in order:
        n, home = 0, label[v]
        many = back_ptr[v + 1] - back_ptr[v]
        step = max(1, many // sample)
        for j in range(back_ptr[v] + v % step, min(back_ptr[v + 1], back_ptr[v] + step * sample), step):
            e = back[j]
            own = ptr[e + 1] - ptr[e]
            if own < 2:
                continue
            stride = max(1, own // sample)
            w = rate[e] / np.float32(own - 1) * np.float32(stride)
            for k in range(ptr[e] + (v + e) % stride, min(ptr[e + 1], ptr[e] + stride * sample), stride):
                u = pins[k]
                if u != v:
                    b = label[u]
                    if score[b] == 0:
                        touched[n] = b
                        n += 1
                    score[b] += w
        best, most = home, score[home]
        for i in range(n):
            b = touched[i]
            if score[b] > most and size[b] + weight[v] <= cap:
                best, most = b, score[b]
            score[b] = 0.0
        if best != home:
            size[home] -= weight[v]
            size[best] += weight[v]
            label[v] = best


def _contract(nets: Nets, label: I32, n: int, rng: np.random.Generator) -> Nets:
    """Nets of clusters; those within one are dropped, and a random share of the others where they are too many."""
    keep = np.ones(nets.rate.size, bool)
    ptr, pins, index = _shrink(nets.ptr, nets.pins, label, keep)
    if pins.size > _COARSE_PINS:
        keep = rng.random(keep.size) < _COARSE_PINS / pins.size
        ptr, pins, index = _shrink(nets.ptr, nets.pins, label, keep)
    back_ptr, back = transpose(ptr, pins, n)
    return Nets(ptr, pins, nets.rate[index], back_ptr, back)


@nb.njit(cache=True, nogil=True)
def _shrink(ptr, pins, label, keep):  # type: ignore[no-untyped-def]
    out_ptr, out = np.zeros(ptr.size, np.int64), np.empty(pins.size, np.int32)
    index, seen = np.empty(ptr.size - 1, np.int64), np.full(label.max() + 1, -1, np.int64)
    m, at = 0, 0
    for e in range(ptr.size - 1):
        if not keep[e]:
            continue
        start = at
        for j in range(ptr[e], ptr[e + 1]):
            b = label[pins[j]]
            if seen[b] != e:
                seen[b] = e
                out[at] = b
                at += 1
        if at - start < 2:
            at = start
            continue
        index[m] = e
        m += 1
        out_ptr[m] = at
    return out_ptr[: m + 1].copy(), out[:at].copy(), index[:m].copy()


def nets_of(graph: Hypergraph, order: I64) -> Nets:
    """Nets with their sources, vertices renumbered by their place in `order` and nets by their source, for the cache."""
    rank = np.empty(graph.n, np.int32)
    rank[order] = np.arange(graph.n, dtype=np.int32)
    home = np.where(graph.source >= 0, rank[np.maximum(graph.source, 0)] if graph.n else 0, graph.n)
    by_source = np.argsort(home, kind="stable")
    ptr, pins = _with_sources(graph.ptr, graph.pins, graph.source, rank, by_source)
    back_ptr, back = transpose(ptr, pins, graph.n)
    return Nets(ptr, pins, graph.rate[by_source], back_ptr, back)


@nb.njit(cache=True, nogil=True)
def _with_sources(ptr, pins, source, rank, by_source):  # type: ignore[no-untyped-def]
    out_ptr, out = np.zeros(ptr.size, np.int64), np.empty(pins.size + source.size, np.int32)
    at = 0
    for i in range(by_source.size):
        e = by_source[i]
        missing = source[e] >= 0
        for j in range(ptr[e], ptr[e + 1]):
            missing &= pins[j] != source[e]
            out[at] = rank[pins[j]]
            at += 1
        if missing:
            out[at] = rank[source[e]]
            at += 1
        out_ptr[i + 1] = at
    return out_ptr, out[:at].copy()


def refine_lists(
    nets: Nets, part: I32, need: F64, room: F64, seed: int, kinds: Kinds | None = None, sweeps: int = _SWEEPS
) -> I32:
    """Refine a partition by moves of single vertices; a net keeps the list of its parts, not a row of all parts.

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
    parts, counts, length = _lists(nets.ptr, nets.pins, part, k)
    rng = np.random.Generator(np.random.Philox(seed))
    total = _cost(length, nets.rate)
    for _ in range(sweeps if nets.pins.size < _MANY_PINS else sweeps // 2):
        window = rng.permutation(-(-k // _WINDOW))[part // _WINDOW]
        order = np.lexsort((rng.random(part.size, np.float32), window))
        saved = _sweep_lists(
            order, nets.ptr, nets.rate, nets.back_ptr, nets.back, need, kind, shared, held, left, part,
            parts, counts, length,
        )  # fmt: skip
        if saved < 1e-3 * total:
            break
    return part


@nb.njit(cache=True, nogil=True)
def _cost(length, rate):  # type: ignore[no-untyped-def]
    total = 0.0
    for e in range(rate.size):
        total += max(0, length[e] - 1) * rate[e]
    return total


@nb.njit(cache=True, nogil=True)
def _lists(ptr, pins, part, k):  # type: ignore[no-untyped-def]
    """Distinct parts of each net, how many of its pins each holds, and how many there are; in the room of its pins."""
    parts, counts = np.empty(pins.size, np.int32), np.empty(pins.size, np.int32)
    length = np.zeros(ptr.size - 1, np.int32)
    seen, place = np.full(k, -1, np.int64), np.empty(k, np.int64)
    for e in range(ptr.size - 1):
        at = ptr[e]
        for j in range(ptr[e], ptr[e + 1]):
            b = part[pins[j]]
            if seen[b] != e:
                seen[b], place[b] = e, at
                parts[at], counts[at] = b, 1
                at += 1
            else:
                counts[place[b]] += 1
        length[e] = at - ptr[e]
    return parts, counts, length


@nb.njit(cache=True, nogil=True)
def _gains(v, a, ptr, rate, back_ptr, back, parts, counts, length, gain, touched):  # type: ignore[no-untyped-def]
    """Messages that each part near v would save it: rates of v's nets that are there without v. Return how many parts."""
    n = 0
    for j in range(back_ptr[v], back_ptr[v + 1]):
        e = back[j]
        w = rate[e]
        for i in range(ptr[e], ptr[e] + length[e]):
            b = parts[i]
            if b == a and counts[i] == 1:
                continue
            if gain[b] == 0:
                touched[n] = b
                n += 1
            gain[b] += w
    return n


@nb.njit(cache=True, nogil=True)
def _shift(v, a, b, ptr, back_ptr, back, parts, counts, length, part):  # type: ignore[no-untyped-def]
    part[v] = b
    for j in range(back_ptr[v], back_ptr[v + 1]):
        _count_move(back[j], a, b, ptr, parts, counts, length)


@nb.njit(cache=True, nogil=True)
def _sweep_lists(  # type: ignore[no-untyped-def]
    order, ptr, rate, back_ptr, back, need, kind, shared, held, left, part, parts, counts, length
):
    """One pass over the vertices; return the messages saved.

    A vertex whose best part is full waits there in one of `_WAITING` places; one of that part that wants the other way is
    exchanged with it, if both together save.
    """
    k = left.shape[0]
    gain, touched = np.zeros(k, np.float32), np.empty(k, np.int64)
    waits, wants = np.full((k, _WAITING), -1, np.int64), np.full((k, _WAITING), -1, np.int64)
    turn = np.zeros(k, np.int64)
    saved = 0.0
    for v in order:
        a = part[v]
        n = _gains(v, a, ptr, rate, back_ptr, back, parts, counts, length, gain, touched)
        here = gain[a]
        best, most, wish, highest = a, here, a, here
        for i in range(n):
            b = touched[i]
            if gain[b] > highest:
                wish, highest = b, gain[b]
            if gain[b] > most and fits(need[v], left, b, kind[v], shared, held):
                best, most = b, gain[b]
        for i in range(n):
            gain[touched[i]] = 0.0
        if wish != best:
            other = -1
            for i in range(_WAITING):
                u = waits[wish, i]
                if u >= 0 and wants[wish, i] == a and part[u] == wish:
                    other = i
                    break
            if other >= 0:
                u = waits[wish, other]
                waits[wish, other] = -1
                take(need[v], left, a, wish, kind[v], shared, held)
                take(need[u], left, wish, a, kind[u], shared, held)
                _shift(v, a, wish, ptr, back_ptr, back, parts, counts, length, part)
                n = _gains(u, wish, ptr, rate, back_ptr, back, parts, counts, length, gain, touched)
                both = highest - here + gain[a] - gain[wish]
                for i in range(n):
                    gain[touched[i]] = 0.0
                if both > max(1e-6, most - here) and left[a].min() >= 0 and left[wish].min() >= 0:
                    _shift(u, wish, a, ptr, back_ptr, back, parts, counts, length, part)
                    saved += both
                    continue
                take(need[u], left, a, wish, kind[u], shared, held)
                take(need[v], left, wish, a, kind[v], shared, held)
                _shift(v, wish, a, ptr, back_ptr, back, parts, counts, length, part)
            if best == a:
                waits[a, turn[a]], wants[a, turn[a]] = v, wish
                turn[a] = (turn[a] + 1) % _WAITING
        if best != a:
            saved += most - here
            take(need[v], left, a, best, kind[v], shared, held)
            _shift(v, a, best, ptr, back_ptr, back, parts, counts, length, part)
    return saved


@nb.njit(cache=True, nogil=True)
def _count_move(e, a, b, ptr, parts, counts, length):  # type: ignore[no-untyped-def]
    """One pin of net e goes from part a to part b."""
    at_a, at_b, end = -1, -1, ptr[e] + length[e]
    for i in range(ptr[e], end):
        if parts[i] == a:
            at_a = i
        elif parts[i] == b:
            at_b = i
    counts[at_a] -= 1
    if at_b >= 0:
        counts[at_b] += 1
        if counts[at_a] == 0:
            parts[at_a], counts[at_a] = parts[end - 1], counts[end - 1]
            length[e] -= 1
    elif counts[at_a] == 0:
        parts[at_a], counts[at_a] = b, 1
    else:
        parts[end], counts[end] = b, 1
        length[e] += 1
