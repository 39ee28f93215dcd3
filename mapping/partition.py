"""Parts for neurons: several starts, each refined, the one with the fewest messages kept.

Starts: contiguous blocks (the given one); where the graph has structure, METIS if pymetis is installed, else the clusters of
label propagation, annealed; Mt-KaHyPar only when asked for, as it takes twenty times as long. Never worse than the given blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapping import partitioners as extras
from mapping.hypergraph import Hypergraph, remote_messages
from mapping.multilevel import refine_lists
from mapping.nets import Nets, nets_of
from mapping.propagation import order_by_clusters, refine_synapses
from mapping.refine import Kinds, kinds_state, refine, take
from simulator.base.arrays import I32, I64, Floats

_PIN_VISITS = 7_000_000  # work of the annealed start
_MOST_ANNEALINGS = 8
_MOST_TEMPERATURES, _HOT, _COLD = 25, 3.0, 0.5
_DENSE = 1 << 27  # nets x parts up to which tables are held; beyond, as lists (`mapping.multilevel`)
_MANY_PINS = 3_000_000  # pins from which one start, by clusters, is refined
_TABLES, _TABLE_PASSES = 2, 2  # nets x parts / pins up to which tables take no more memory than lists; passes over them
_CLUSTERS_A_PART = 3
_COARSE = 4e-3  # starts are refined until a pass saves less than this share
_MOST_PASSES = 12
_PASS_VISITS = 40_000_000  # visits of pins in the plain passes of one start; large graphs get fewer passes
_IN_ORDER, _FEW = 0.9, 0.1  # blocks that refinement takes less than a tenth off, at a tenth of random parts, are good
_SETTLED = 0.01  # parts with so few of the messages of random ones are not annealed: nothing measurable is left to gain
_HOPELESS = 2.0  # refinement takes 10 to 45 % off another package's parts; worse ones are not refined
_STRUCTURED = (
    0.8  # a graph that refined blocks do not bring below this share of random parts is not worth a second start
)


@dataclass(frozen=True, eq=False)
class Partition:
    """Parts of vertices and how they were found.

    Attributes:
        part: int32 [n].
        messages: expected remote messages a step.
        start: the start that led to it.
        tried: start -> messages after refinement; ``blocks`` before any.
    """

    part: I32
    messages: float
    start: str
    tried: dict[str, float]


def partition(
    graph: Hypergraph,
    blocks: I32,
    need: Floats,
    room: Floats,
    seed: int = 0,
    use: str = "auto",
    kinds: Kinds | None = None,
    order: I64 | None = None,
) -> Partition:
    """Partition vertices so that few messages leave their part.

    Args:
        graph: axons.
        blocks: int32 [n], a partition that fits.
        need: float64 [n, R], resources of each vertex.
        room: float64 [K, R], resources of each part.
        seed: the same seed gives the same partition.
        use: ``auto``, ``builtin`` (no other packages), ``metis`` or ``mtkahypar``.
        kinds: which words the vertices of a part store in common; none by default.
        order: int64 [n], vertices by clusters (`mapping.propagation.order_by_clusters`), if it is at hand; large graphs only.
    """
    k = room.shape[0]
    if (graph.n_nets * k > _DENSE or graph.pins.size > _MANY_PINS) and use in ("auto", "builtin"):
        return _of_large(graph, blocks, need, room, seed, kinds, order)
    found: dict[str, I32] = {"blocks": blocks.astype(np.int32)}
    nets, passes = nets_of(graph, np.arange(graph.n)), _passes(graph)
    second, clusters = use not in ("auto", "builtin"), None
    if remote_messages(graph, blocks, k) < _STRUCTURED * random_messages(graph, k):
        found["contiguous"] = refine(nets, blocks, need, room, seed, (), passes, _COARSE, kinds)
        second = second or _worth_more(graph, found, k)
    else:  # the order of the neurons holds nothing; do the synapses?
        clusters = by_clusters(graph, None, need, room, seed, kinds)
        if clusters is not None and remote_messages(graph, clusters, k) < _STRUCTURED * random_messages(graph, k):
            second = True
        else:
            found["contiguous"] = refine(nets, blocks, need, room, seed, (), passes, _COARSE, kinds)
    if second:
        name, start = _second_start(graph, clusters, need, room, seed, use, kinds)
        if start is not None and (name == "clusters" or "contiguous" not in found or _hopeful(graph, found, start, k)):
            found[name] = _refined(graph, nets, start, need, room, seed, name == "clusters", kinds)
    tried = {name: remote_messages(graph, part, k) for name, part in found.items()}
    best = min(tried, key=lambda name: tried[name])
    part = refine(nets, found[best], need, room, seed, (), (passes + 1) // 2, kinds=kinds)
    messages = remote_messages(graph, part, k)
    if messages > tried[best]:  # rounding of the rates
        part, messages = found[best], tried[best]
    return Partition(part, messages, best, tried)


def _of_large(
    graph: Hypergraph, blocks: I32, need: Floats, room: Floats, seed: int, kinds: Kinds | None, order: I64 | None
) -> Partition:
    """Refine blocks of the given order, or parts of the clusters' order where it costs less."""
    k = room.shape[0]
    tried = {"blocks": remote_messages(graph, blocks, k)}
    start = by_clusters(graph, order, need, room, seed, kinds)
    name, first = "blocks", blocks
    if start is not None:
        tried["clusters"] = remote_messages(graph, start, k)
        if tried["clusters"] < tried["blocks"]:
            name, first = "clusters", start
    order = np.argsort(first, kind="stable")
    rank = np.argsort(order)
    own = None if kinds is None else Kinds(kinds.kind[order], kinds.shared)
    nets = nets_of(graph, order)
    starts = [refine_synapses(nets, first[order], need[order], room, seed, own)]
    if (
        remote_messages(graph, starts[0][rank], k) >= tried[name]
    ):  # fewer cut synapses, but more messages: try without, too
        starts.append(first[order])
    tables = graph.n_nets * k <= min(_TABLES * graph.pins.size, _DENSE)
    parts = [
        (
            refine(nets, start, need[order], room, seed, (), _TABLE_PASSES, kinds=own)
            if tables
            else refine_lists(nets, start, need[order], room, seed, own)
        )[rank]
        for start in starts
    ]
    messages, best = min((remote_messages(graph, part, k), i) for i, part in enumerate(parts))
    return Partition(parts[best], messages, name, tried)


def by_clusters(
    graph: Hypergraph, order: I64 | None, need: Floats, room: Floats, seed: int, kinds: Kinds | None
) -> I32 | None:
    """Return parts of the order by clusters, found if it is not given; None where they do not fit."""
    if order is None:
        order = order_by_clusters(graph, max(1, graph.n // (_CLUSTERS_A_PART * room.shape[0])), seed)
    return repair(cut(order, need, room), need, room, kinds)


def cut(order: I64, need: Floats, room: Floats) -> I32:
    """Cut an order of vertices into parts of equal use of the resource that is scarcest; other limits may be broken."""
    share = need.sum(axis=0) / np.maximum(room.sum(axis=0), 1e-300)
    running = np.cumsum(need[order, int(np.argmax(share))])
    part = np.empty(order.size, np.int32)
    last = running[-1] if running.size else 1.0
    part[order] = np.minimum(room.shape[0] - 1, (running - running[:1] / 2) * room.shape[0] / max(last, 1e-300))
    return part


def _worth_more(graph: Hypergraph, found: dict[str, I32], k: int) -> bool:
    """Return whether a second start may pay: not where wiring is random, nor where the order of the neurons holds structure."""
    blocks, refined = (remote_messages(graph, found[name], k) for name in ("blocks", "contiguous"))
    by_chance = random_messages(graph, k)
    in_order = refined > _IN_ORDER * blocks and refined < _FEW * by_chance
    return refined < _STRUCTURED * by_chance and not in_order


def _hopeful(graph: Hypergraph, found: dict[str, I32], start: I32, k: int) -> bool:
    """Return whether another package's parts may become better than what there is."""
    return remote_messages(graph, start, k) < _HOPELESS * remote_messages(graph, found["contiguous"], k)


def _refined(
    graph: Hypergraph, nets: Nets, start: I32, need: Floats, room: Floats, seed: int, anneal: bool, kinds: Kinds | None
) -> I32:
    """Refine a start; where the graph is small enough and there is something to gain, take the best of several annealings."""
    passes, k = _passes(graph), room.shape[0]
    if not anneal or remote_messages(graph, start, k) <= _SETTLED * random_messages(graph, k):
        return refine(nets, start, need, room, seed, (), passes, _COARSE, kinds)
    temperatures = _temperatures(graph)
    times = int(np.clip(_PIN_VISITS / (len(temperatures) * max(graph.pins.size, 1)), 1, _MOST_ANNEALINGS))
    parts = [refine(nets, start, need, room, seed + i, temperatures, passes, _COARSE, kinds) for i in range(times)]
    return min(parts, key=lambda part: remote_messages(graph, part, k))


def random_messages(graph: Hypergraph, k: int) -> float:
    """Return the expected messages when every neuron sits on a random part: sum_e rate_e K (1 - (1 - 1/K)^pins_e)."""
    return float(graph.rate @ (k * -np.expm1(np.diff(graph.ptr) * np.log1p(-1.0 / max(k, 2)))))


def _second_start(
    graph: Hypergraph, clusters: I32 | None, need: Floats, room: Floats, seed: int, use: str, kinds: Kinds | None
) -> tuple[str, I32 | None]:
    """Return a start that does not know the order of the neurons."""
    k, average = room.shape[0], graph.n / room.shape[0]
    imbalance = min(1.0, max(0.0, float(room[:, 0].min()) / average - 1.0))
    if use == "mtkahypar":
        return use, repair(extras.mtkahypar(graph, k, imbalance, seed), need, room, kinds)
    if use == "metis" or (use == "auto" and extras.installed("pymetis")):
        return "metis", repair(extras.metis(graph, k, 0.9 * imbalance, seed), need, room, kinds)
    return "clusters", by_clusters(graph, None, need, room, seed, kinds) if clusters is None else clusters


def _passes(graph: Hypergraph) -> int:
    return int(np.clip(_PASS_VISITS / max(graph.pins.size, 1), 3, _MOST_PASSES))


def _temperatures(graph: Hypergraph) -> tuple[float, ...]:
    passes = int(np.clip(_PIN_VISITS / max(graph.pins.size, 1), 2, _MOST_TEMPERATURES))
    return tuple(float(t) for t in np.geomspace(_HOT, _COLD, passes))


def repair(part: I32, need: Floats, room: Floats, kinds: Kinds | None = None) -> I32 | None:
    """Move vertices out of overfull parts to where there is most room; None where none has any."""
    part = part.astype(np.int32)
    kind, shared, held, left = kinds_state(kinds, part, need, room)
    for p in np.nonzero((left < 0).any(axis=1))[0]:
        for v in np.nonzero(part == p)[0]:
            if (left[p] >= 0).all():
                break
            more = need[v] + (held[:, kind[v]] == 0)[:, None] * shared[kind[v]]
            fits = (left >= more).all(axis=1)
            fits[p] = False
            if not fits.any():
                return None
            to = int(np.argmax(np.where(fits, left[:, 0], -np.inf)))
            take(need[v], left, p, to, kind[v], shared, held)
            part[v] = to
    return part
