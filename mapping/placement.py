"""Which core of the mesh each part of a partition gets: annealed exchanges that shorten messages x hops.

    cost = sum_{p,q} F_pq hops(core_p, core_q) + sum_p F_host,p hops(port, core_p)

with F the messages a step from part to part. An exchange of two cores changes O(K) terms.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from simulator.chip import Topology

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
EXCHANGES = 5_000  # of one annealing, for each part
RESTARTS = 2  # annealings from random places; one more starts cool from the order of the parts
_COOLING = 1e-3  # last temperature over first


def core_hops(topology: Topology, cores: I32) -> F64:
    """Hops between cores, float64 [n, n]: 0 within a router."""
    x, y = _at(topology, cores)
    hops: F64 = (np.abs(x[:, None] - x) + np.abs(y[:, None] - y)).astype(np.float64)
    return hops


def host_hops(topology: Topology, cores: I32) -> F64:
    """Hops from the host's port to each core, float64 [n]."""
    x, y = _at(topology, cores)
    hops: F64 = (np.abs(x - topology.host_port[0]) + np.abs(y - topology.host_port[1])).astype(np.float64)
    return hops


def _at(topology: Topology, cores: I32) -> tuple[I32, I32]:
    router = cores // topology.cores_per_router
    return router // topology.height, router % topology.height


def usable_cores(topology: Topology) -> I32:
    """Cores that work, ascending."""
    return np.setdiff1d(np.arange(topology.usable_cores), topology.broken_cores).astype(np.int32)


def snake_order(topology: Topology, cores: I32) -> I32:
    """The cores in the order of a snake through the columns of routers, so that neighbours in the order are close."""
    x, y = _at(topology, cores)
    along = np.where(x % 2 == 0, y, topology.height - 1 - y)
    ordered: I32 = cores[np.lexsort((cores, along, x))]
    return ordered


def hop_cost(flow: F64, topology: Topology, core_of_part: I32) -> float:
    """Messages x hops a step of parts on these cores; flow [K + 1, K] as `mapping.hypergraph.traffic`."""
    k = core_of_part.size
    inside = float((flow[:k] * core_hops(topology, core_of_part)).sum())
    return inside + float(flow[k] @ host_hops(topology, core_of_part))


def place(
    flow: F64,
    topology: Topology,
    seed: int,
    exchanges: int = EXCHANGES,
    restarts: int = RESTARTS,
    start: I32 | None = None,
) -> I32:
    """Core of each part, int32 [K], the best of several annealings; the same seed gives the same places.

    Args:
        flow: messages between parts [K + 1, K], the last row from the host.
        topology: mesh, broken cores, the host's port.
        seed: of the annealings.
        exchanges: tried in each, for each part.
        restarts: annealings from random places.
        start: one more place to start from.
    """
    k = flow.shape[1]
    cores = snake_order(topology, usable_cores(topology))
    if k <= 1:
        near = cores[host_hops(topology, cores).argmin()]
        return np.full(k, near, np.int32)
    between, port = core_hops(topology, cores), host_hops(topology, cores)
    both = flow[:k] + flow[:k].T
    np.fill_diagonal(both, 0.0)
    tries = exchanges * k
    rng = np.random.default_rng(seed)
    begins = [(np.arange(cores.size), 0.02)] + [(rng.permutation(cores.size), 1.0) for _ in range(restarts)]
    if start is not None:
        begins.append((_slots(cores, start), 0.02))
    best, least = np.arange(k), np.inf
    for slots, heat in begins:
        slot = slots.astype(np.int64)
        _anneal(both, flow[k], between, port, slot, tries, heat, _COOLING, rng)
        cost = _cost(both, flow[k], between, port, slot)
        if cost < least * (1 - 1e-12):
            best, least = slot[:k].copy(), cost
    chosen: I32 = cores[best]
    return chosen


def _slots(cores: I32, start: I32) -> npt.NDArray[np.int64]:
    """The permutation of slots that puts the parts on the cores `start`, empty slots after."""
    where = {int(c): i for i, c in enumerate(cores)}
    taken = [where[int(c)] for c in start]
    return np.array(taken + sorted(set(range(cores.size)) - set(taken)), np.int64)


@nb.njit(cache=True, nogil=True)
def _cost(both, host, between, port, slot):  # type: ignore[no-untyped-def]
    k = host.size
    total = 0.0
    for p in range(k):
        total += host[p] * port[slot[p]]
        for q in range(p):
            total += both[p, q] * between[slot[p], slot[q]]
    return total


@nb.njit(cache=True, nogil=True)
def _delta(both, host, between, port, slot, p, q):  # type: ignore[no-untyped-def]
    """Change of the cost when items p < K and q (a part or an empty slot) exchange their slots."""
    k = host.size
    a, b = slot[p], slot[q]
    from_a, from_b, row_p = between[a], between[b], both[p]
    change = host[p] * (port[b] - port[a])
    if q < k:
        row_q = both[q]
        change += host[q] * (port[a] - port[b])
        for r in range(k):
            change += (row_p[r] - row_q[r]) * (from_b[slot[r]] - from_a[slot[r]])
        # r = p and r = q were counted as if the other stood still
        change += 2 * both[p, q] * between[a, b]
    else:
        for r in range(k):
            change += row_p[r] * (from_b[slot[r]] - from_a[slot[r]])
    return change


@nb.njit(cache=True, nogil=True)
def _anneal(both, host, between, port, slot, tries, heat, cooling, rng):  # type: ignore[no-untyped-def]
    k, n = host.size, slot.size
    scale = 0.0
    for _ in range(200):
        scale += abs(_delta(both, host, between, port, slot, int(rng.random() * k), _other(k, n, rng)))
    temperature = heat * scale / 200
    factor = cooling ** (1.0 / max(tries, 1))
    for _ in range(tries):
        temperature *= factor
        p, q = int(rng.random() * k), _other(k, n, rng)
        if p == q or between[slot[p], slot[q]] == 0:
            continue
        change = _delta(both, host, between, port, slot, p, q)
        if change <= 0 or rng.random() < np.exp(-change / temperature):
            slot[p], slot[q] = slot[q], slot[p]


@nb.njit(cache=True, nogil=True)
def _other(k, n, rng):  # type: ignore[no-untyped-def]
    """A part or an empty slot; empty ones are drawn less often where they are many."""
    if n > k and rng.random() < 0.25:
        return k + int(rng.random() * (n - k))
    return int(rng.random() * k)
