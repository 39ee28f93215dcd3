"""Label propagation on the synapses themselves: clusters of large graphs, and cheap sweeps over their parts.

A synapse from net e to one of its pins weighs rate_e / pins_e, so that a net weighs as much as the messages of one more
part. Each vertex looks at its own row of targets and at the sources that reach it, both contiguous in memory, and joins the
label that most of this weight has, if there is room. A pass visits every synapse twice; a pass over the nets of every vertex
would visit (pins)^2. The weight is a guide to messages, not their number: `mapping.multilevel.refine_lists` counts those.
Source: Meyerhenke, Sanders, Schulz, Partitioning Complex Networks via Size-Constrained Clustering (SEA 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from mapping.exchange import called, choose, swap, wait, waiting_room
from mapping.hypergraph import Hypergraph
from mapping.nets import Nets
from mapping.refine import Kinds, kinds_state, take
from simulator.base.arrays import F32, I32, I64, Floats

_ROUNDS, _COARSE_ROUNDS = 3, 4
_GROWTH = 2  # a cluster of the next level holds so many times as much
_LEAST, _FEW = 4, 8  # vertices of a cluster of the first level; clusters at which the hierarchy ends
_WINDOW = 64  # neighbouring parts whose vertices are swept together, for the cache
_MANY_PINS = 20_000_000  # larger graphs get one round less


@dataclass(frozen=True, eq=False)
class ClusterGraph:
    """Weighted graph of clusters, both directions of an edge added up; CSR.

    Attributes:
        ptr: int64 [k + 1].
        to: int32 [edges].
        weight: float32 [edges].
        size: int64 [k], vertices of each cluster.
    """

    ptr: I64
    to: I32
    weight: F32
    size: I64


def order_by_clusters(graph: Hypergraph, first_cap: int, seed: int) -> I64:
    """Order the vertices so that those that share synapses are near: by cluster, cluster of clusters, and so on.

    Args:
        graph: axons.
        first_cap: most vertices of a cluster of the first level.
        seed: of the order of visits.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    cap = max(_LEAST, first_cap)
    own = _first_clusters(graph, cap, rng)
    keys = [own]
    level = _contracted(graph, own)
    while level.size.size > _FEW:
        cap *= _GROWTH
        label = _clusters_of(level, cap, rng)
        own = label[own]
        keys.append(own)
        if int(label.max()) + 1 > 0.9 * level.size.size:
            break
        level = _merged(level, label)
    order: I64 = np.lexsort((*keys,))
    return order


def _first_clusters(graph: Hypergraph, cap: int, rng: np.random.Generator) -> I32:
    label, size = np.arange(graph.n, dtype=np.int32), np.ones(graph.n, np.int64)
    for _ in range(_ROUNDS if graph.pins.size < _MANY_PINS else _ROUNDS - 1):
        _join(rng.permutation(graph.n), *_wiring(graph), cap, label, size)
    return _numbered(label)


def _clusters_of(level: ClusterGraph, cap: int, rng: np.random.Generator) -> I32:
    k = level.size.size
    label, size = np.arange(k, dtype=np.int32), level.size.copy()
    for _ in range(_COARSE_ROUNDS):
        _join_clusters(rng.permutation(k), level.ptr, level.to, level.weight, level.size, cap, label, size)
    return _numbered(label)


def _numbered(label: I32) -> I32:
    return np.unique(label, return_inverse=True)[1].astype(np.int32)


def _wiring(graph: Hypergraph | Nets) -> tuple[I64, I32, I32, F32, I64, I32, I32]:
    share: F32 = (graph.rate / np.maximum(1, np.diff(graph.ptr))).astype(np.float32)
    return graph.ptr, graph.pins, graph.source, share, graph.back_ptr, graph.back, graph.owned


def _contracted(graph: Hypergraph, label: I32) -> ClusterGraph:
    size = np.bincount(label).astype(np.int64)
    members = np.argsort(label, kind="stable")
    ptr, pins, _, share, _, _, owned = _wiring(graph)
    first = np.concatenate([[0], np.cumsum(size)])
    edge_ptr, to, weight = _edges(ptr, pins, share, owned, label, first, members)
    return _both_ways(edge_ptr, to, weight, size)


def _merged(level: ClusterGraph, label: I32) -> ClusterGraph:
    from scipy.sparse import csr_array

    k, n = label.size, int(label.max()) + 1
    gather = csr_array((np.ones(k, np.float32), (label, np.arange(k))), shape=(n, k))
    coarse = (gather @ csr_array((level.weight, level.to, level.ptr), shape=(k, k)) @ gather.T).tocsr()
    coarse.setdiag(0.0)
    coarse.eliminate_zeros()
    size = np.bincount(label, level.size).astype(np.int64)
    return ClusterGraph(coarse.indptr.astype(np.int64), coarse.indices.astype(np.int32), coarse.data, size)


def _both_ways(ptr: I64, to: I32, weight: F32, size: I64) -> ClusterGraph:
    from scipy.sparse import csr_array

    one = csr_array((weight, to, ptr), shape=(size.size, size.size))
    both = (one + one.T).tocsr()
    return ClusterGraph(both.indptr.astype(np.int64), both.indices.astype(np.int32), both.data, size)


@nb.njit(cache=True, nogil=True)
def _near(v, ptr, pins, source, share, back_ptr, back, owned, label, score, touched):  # type: ignore[no-untyped-def]
    """Add up the weight of v's synapses by the label at their other end; return how many labels were met.

    A label is new where its sum is 0, so a synapse without weight (of a neuron that never fires) must not be met.
    """
    n = 0
    e = owned[v]
    if e >= 0 and share[e] > 0:
        w = share[e]
        for j in range(ptr[e], ptr[e + 1]):
            u = pins[j]
            if u != v:
                b = label[u]
                touched[n] = b
                n += int(score[b] == 0)
                score[b] += w
    for j in range(back_ptr[v], back_ptr[v + 1]):
        e = back[j]
        u = source[e]
        if u >= 0 and u != v and share[e] > 0:
            b = label[u]
            touched[n] = b
            n += int(score[b] == 0)
            score[b] += share[e]
    return n


@nb.njit(cache=True, nogil=True)
def _join(order, ptr, pins, source, share, back_ptr, back, owned, cap, label, size):  # type: ignore[no-untyped-def]
    """Let each vertex join the cluster that it has most synapses with; `cap` vertices at most in each."""
    score, touched = np.zeros(label.size, np.float32), np.empty(label.size + 1, np.int32)
    for v in order:
        home = label[v]
        n = _near(v, ptr, pins, source, share, back_ptr, back, owned, label, score, touched)
        best, most = home, score[home]
        for i in range(n):
            b = touched[i]
            if score[b] > most and size[b] < cap:
                best, most = b, score[b]
            score[b] = 0.0
        if best != home:
            size[home] -= 1
            size[best] += 1
            label[v] = best


@nb.njit(cache=True, nogil=True)
def _join_clusters(order, ptr, to, weight, own, cap, label, size):  # type: ignore[no-untyped-def]
    """Do the same for clusters of `own` vertices."""
    score, touched = np.zeros(label.size, np.float32), np.empty(label.size + 1, np.int32)
    for v in order:
        home, n = label[v], 0
        for j in range(ptr[v], ptr[v + 1]):
            if weight[j] <= 0:
                continue
            b = label[to[j]]
            touched[n] = b
            n += int(score[b] == 0)
            score[b] += weight[j]
        best, most = home, score[home]
        for i in range(n):
            b = touched[i]
            if score[b] > most and size[b] + own[v] <= cap:
                best, most = b, score[b]
            score[b] = 0.0
        if best != home:
            size[home] -= own[v]
            size[best] += own[v]
            label[v] = best


@nb.njit(cache=True, nogil=True)
def _edges(ptr, pins, share, owned, label, first, members):  # type: ignore[no-untyped-def]
    """Return directed edges between clusters (CSR): weights of all synapses from one to another, those within left out."""
    k = first.size - 1
    total, touched = np.zeros(k, np.float32), np.empty(k + 1, np.int32)
    out_ptr = np.zeros(k + 1, np.int64)
    to, weight = np.empty(1024, np.int32), np.empty(1024, np.float32)
    at = 0
    for c in range(k):
        n = 0
        for i in range(first[c], first[c + 1]):
            e = owned[members[i]]
            if e < 0 or share[e] <= 0:
                continue
            for j in range(ptr[e], ptr[e + 1]):
                b = label[pins[j]]
                if b != c:
                    touched[n] = b
                    n += int(total[b] == 0)
                    total[b] += share[e]
        if at + n > to.size:
            room = max(2 * to.size, at + n)
            more, heavier = np.empty(room, np.int32), np.empty(room, np.float32)
            for i in range(at):
                more[i], heavier[i] = to[i], weight[i]
            to, weight = more, heavier
        for i in range(n):
            b = touched[i]
            to[at], weight[at] = b, total[b]
            total[b] = 0.0
            at += 1
        out_ptr[c + 1] = at
    return out_ptr, to[:at].copy(), weight[:at].copy()


def refine_synapses(
    nets: Nets, part: I32, need: Floats, room: Floats, seed: int, kinds: Kinds | None = None, sweeps: int = 3
) -> I32:
    """Refine a partition by the weight of cut synapses: moves and exchanges of single vertices.

    Args:
        nets: with their sources, vertices in an order in which parts are near one another, for the cache.
        part: int32 [n], the partition to start from; must fit `room`.
        need: float64 [n, R]; room: float64 [K, R].
        seed: of the order of vertices.
        kinds: which words the vertices of a part store in common; none by default.
        sweeps: over all vertices.
    """
    part = part.astype(np.int32)
    kind, shared, held, left = kinds_state(kinds, part, need, room)
    rng = np.random.Generator(np.random.Philox(seed))
    for _ in range(sweeps):
        window = rng.permutation(-(-room.shape[0] // _WINDOW))[part // _WINDOW]
        order = np.lexsort((rng.random(part.size, np.float32), window))
        _sweep(order, *_wiring(nets), need, kind, shared, held, left, part)
    return part


@nb.njit(cache=True, nogil=True)
def _sweep(  # type: ignore[no-untyped-def]
    order, ptr, pins, source, share, back_ptr, back, owned, need, kind, shared, held, left, part
):
    """Pass once over the vertices."""
    k = left.shape[0]
    score, touched = np.zeros(k, np.float32), np.empty(k + 1, np.int32)
    waits, wants, turn = waiting_room(k)
    for v in order:
        a = np.int64(part[v])
        n = _near(v, ptr, pins, source, share, back_ptr, back, owned, part, score, touched)
        here = score[a]
        best, most, wish, highest = choose(score, touched, n, a, need[v], left, kind[v], shared, held)
        if wish != best:
            u = called(waits, wants, part, a, wish)
            if u >= 0:
                swap(v, a, u, wish, need, left, kind, shared, held)
                part[v] = wish
                n = _near(u, ptr, pins, source, share, back_ptr, back, owned, part, score, touched)
                both = highest - here + score[a] - score[wish]
                for i in range(n):
                    score[touched[i]] = 0.0
                if both > most - here and left[a].min() >= 0 and left[wish].min() >= 0:
                    part[u] = a
                    continue
                part[v] = a
                swap(u, a, v, wish, need, left, kind, shared, held)
            if best == a:
                wait(v, a, wish, waits, wants, turn)
        if best != a:
            take(need[v], left, a, best, kind[v], shared, held)
            part[v] = best
