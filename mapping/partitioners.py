"""Partitions from other packages, where they are installed: METIS (edge cut) and Mt-KaHyPar (the messages themselves).

Both are balanced by neurons alone; memory is checked afterwards.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numba as nb
import numpy as np

from mapping.hypergraph import Hypergraph, make_hypergraph
from simulator.base.arrays import I32
from simulator.base.errors import MissingExtraError

_UNITS = 1000.0  # integer weight of the mean rate
METIS_PINS = 32  # of an axon, that METIS sees at most
_LEAST_PINS, _ALL_PINS = 8, 1_200_000  # at least so many of an axon; fewer of each where all together are more


def installed(package: str) -> bool:
    """Return whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def _load(package: str) -> Any:
    if not installed(package):
        raise MissingExtraError(package, "partition", "this partitioner")
    return importlib.import_module(package)


def metis(graph: Hypergraph, k: int, imbalance: float, seed: int) -> I32:
    """Partition by METIS k-way: the smallest cut of the graph of synapses, each weighted by its source's rate.

    Of axons with many synapses it sees a random part: enough to tell which neurons belong together, in half the time.

    Raises:
        MissingExtraError: pymetis is not installed.
    """
    pymetis = _load("pymetis")
    graph = thinned(graph, seed)
    weight = np.maximum(1, np.round(graph.rate * (_UNITS / max(float(graph.rate.mean()), 1e-12)))).astype(np.int32)
    xadj, adjncy, eweights = _synapse_graph(graph.ptr, graph.pins, graph.source, weight, graph.back_ptr, graph.back)
    del graph  # the thinned one
    options = pymetis.Options(seed=seed, ufactor=max(1, int(1000 * imbalance)))
    adjacency = pymetis.CSRAdjacency(xadj, adjncy)
    cut = pymetis.part_graph(k, adjacency, eweights=eweights, options=options)
    return np.asarray(cut[1], np.int32)


def thinned(graph: Hypergraph, seed: int) -> Hypergraph:
    """Return the graph with about `METIS_PINS` random pins of every net that has more, fewer where there are many nets."""
    size = np.diff(graph.ptr)
    pins = max(_LEAST_PINS, min(METIS_PINS, _ALL_PINS // max(1, graph.n_nets)))
    if size.max(initial=0) <= pins:
        return graph
    kept_ptr, kept = _thin(graph.ptr, graph.pins, pins, np.random.default_rng(seed))
    return make_hypergraph(kept_ptr, kept, graph.source, graph.rate, graph.n)


@nb.njit(cache=True, nogil=True)
def _thin(ptr, pins, most, rng):  # type: ignore[no-untyped-def]
    nets = ptr.size - 1
    kept_ptr = np.zeros(nets + 1, np.int64)
    room = 0
    for e in range(nets):
        room += min(2 * most, ptr[e + 1] - ptr[e])
    kept = np.empty(room, np.int32)
    at = 0
    for e in range(nets):
        size = ptr[e + 1] - ptr[e]
        share, last = most / max(size, 1), at + min(2 * most, size)
        for j in range(ptr[e], ptr[e + 1]):
            if at < last and (size <= most or rng.random() < share):
                kept[at] = pins[j]
                at += 1
        kept_ptr[e + 1] = at
    return kept_ptr, kept[:at].copy()


@nb.njit(cache=True, nogil=True)
def _synapse_graph(ptr, pins, source, weight, back_ptr, back):  # type: ignore[no-untyped-def]
    """Return both directions of every synapse between vertices (CSR), two-way ones once with the summed weight."""
    n = back_ptr.size - 1
    owned = np.full(n, -1, np.int64)
    for e in range(source.size):
        if source[e] >= 0:
            owned[source[e]] = e
    room = 0
    for v in range(n):
        room += back_ptr[v + 1] - back_ptr[v] + (ptr[owned[v] + 1] - ptr[owned[v]] if owned[v] >= 0 else 0)
    xadj = np.zeros(n + 1, np.int64)
    adjncy, eweights = np.empty(room, np.int32), np.empty(room, np.int32)
    place = np.full(n, -1, np.int64)
    at = 0
    for v in range(n):
        start = at
        for side in range(2):
            e = owned[v]
            lo = back_ptr[v] if side == 0 else (ptr[e] if e >= 0 else 0)
            hi = back_ptr[v + 1] if side == 0 else (ptr[e + 1] if e >= 0 else 0)
            for j in range(lo, hi):
                u = source[back[j]] if side == 0 else pins[j]
                if u < 0 or u == v:
                    continue
                w = weight[back[j]] if side == 0 else weight[e]
                if place[u] >= start:
                    eweights[place[u]] += w
                else:
                    place[u] = at
                    adjncy[at], eweights[at] = u, w
                    at += 1
        xadj[v + 1] = at
    return xadj, adjncy[:at], eweights[:at]


def mtkahypar(graph: Hypergraph, k: int, imbalance: float, seed: int, preset: str = "DEFAULT", threads: int = 1) -> I32:
    """Partition by Mt-KaHyPar with the objective km1, which is the number of messages.

    Raises:
        MissingExtraError: mtkahypar is not installed.
    """
    package = _load("mtkahypar")
    start = _initializer(package, threads)
    package.set_seed(seed)
    context = start.context_from_preset(getattr(package.PresetType, preset))
    context.set_partitioning_parameters(k, imbalance, package.Objective.KM1)
    context.logging = False
    nets, weights = _nets_with_sources(graph)
    hypergraph = start.create_hypergraph(context, graph.n, len(nets), nets, [1] * graph.n, weights)
    return np.asarray(hypergraph.partition(context).get_partition(), np.int32)


_INITIALIZER: list[Any] = []


def _initializer(package: Any, threads: int) -> Any:
    if not _INITIALIZER:
        _INITIALIZER.append(package.initialize(threads, False))
    return _INITIALIZER[0]


def _nets_with_sources(graph: Hypergraph) -> tuple[list[list[int]], list[int]]:
    scale = _UNITS / max(float(graph.rate.mean()), 1e-12)
    nets, weights = [], []
    for e in range(graph.n_nets):
        own: I32 = graph.pins[graph.ptr[e] : graph.ptr[e + 1]]
        if graph.source[e] >= 0:
            own = np.union1d(own, graph.source[e : e + 1])
        if own.size > 1:
            nets.append(own.tolist())
            weights.append(max(1, round(float(graph.rate[e]) * scale)))
    return nets, weights
