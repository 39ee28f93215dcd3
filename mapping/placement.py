"""Placement of a partition's parts on the cores of the mesh: annealed exchanges that shorten messages x hops.

    cost = sum_{p,q} F_pq hops(core_p, core_q) + sum_p F_host,p hops(port, core_p)

with F the messages a step from part to part. A hop from one chip to the next counts as `crossing` hops: chips stand in a
row, so the distance of two cores is |X - X'| + |Y - Y'| with X the column lengthened by crossing - 1 for every chip before
it. An exchange of two cores changes O(K) terms.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba as nb
import numpy as np

from mapping.flow import Flow, as_flow
from mapping.large_placement import place_large
from simulator.base.arrays import F32, I32, I64, Bools, Floats
from simulator.chips.chip import Chip, Link, Topology

EXCHANGES = 5_000  # of one annealing, for each part
RESTARTS = (
    2  # annealings from random places; two more start cool, from the order of the parts and from the modes of traffic
)
_MOST_VISITS = 2_000_000_000  # terms of the cost that one annealing looks at; many parts get fewer exchanges
LARGE = 1024  # parts above which the table of messages is not held densely
_SPECTRAL_HEAT = 0.02
_COOLING = 1e-3  # last temperature over first
_UNKNOWN_CROSSING = 8.0  # hops that a link between chips counts as where its times are not known


@dataclass(frozen=True)
class Crossing:
    """Worth of links between chips, in hops.

    Attributes:
        chip: hops of a link between two chips of a board.
        board: hops of a link between two boards.
        board_chips: chips of a board; 0 where all share one.
    """

    chip: float = 1.0
    board: float = 1.0
    board_chips: int = 0


def crossing_of(chip: Chip) -> float:
    """Return a link's hops between chips: its latency and occupancy over an east-west hop's time."""
    return 1.0 if chip.topology.chips == 1 else _hops_worth(chip, chip.link)


def crossings(chip: Chip) -> Crossing:
    """Return the hops that links between chips and between boards are worth."""
    if not chip.topology.board_chips:
        return Crossing(crossing_of(chip))
    return Crossing(crossing_of(chip), _hops_worth(chip, chip.board_link), chip.topology.board_chips)


def _hops_worth(chip: Chip, link: Link | None) -> float:
    times = (link.hop.value, link.packet.value) if link is not None else (None, None)
    hop = chip.timing.hop_east_west.value if chip.timing is not None else None
    if times[0] is None or times[1] is None or not hop:
        return _UNKNOWN_CROSSING
    return max(1.0, (times[0] + times[1]) / hop)


def _lengthened(topology: Topology, x: I32, crossing: float | Crossing) -> Floats:
    """Return columns, with every link between chips or boards as long as its hops."""
    c = crossing if isinstance(crossing, Crossing) else Crossing(crossing)
    chip = x // topology.width
    board = chip // c.board_chips if c.board_chips else np.zeros_like(chip)
    long: Floats = x + (c.chip - 1.0) * (chip - board) + (c.board - 1.0) * board
    return long


def places(topology: Topology, cores: I32, crossing: float | Crossing = 1.0) -> tuple[F32, F32]:
    """Return where cores lie: X (lengthened by the links between chips) and Y, float32 [n] each."""
    x, y = _at(topology, cores)
    return _lengthened(topology, x, crossing).astype(np.float32), y.astype(np.float32)


def host_hops(topology: Topology, cores: I32, crossing: float | Crossing = 1.0) -> Floats:
    """Return the hops from the host's port to each core, float64 [n]."""
    x, y = places(topology, cores, crossing)
    port = _lengthened(topology, np.array(topology.host_port[:1], np.int32), crossing)[0]
    hops: Floats = (np.abs(x - port) + np.abs(y - topology.host_port[1])).astype(np.float64)
    return hops


def _at(topology: Topology, cores: I32) -> tuple[I32, I32]:
    router = cores // topology.cores_per_router
    return router // topology.height, router % topology.height


def usable_cores(topology: Topology) -> I32:
    """Return the cores that work, ascending."""
    cores = np.arange(topology.mesh_cores)
    inside = cores[cores % topology.chip_cores < topology.usable_cores]
    return np.setdiff1d(inside, topology.broken_cores).astype(np.int32)


def snake_order(topology: Topology, cores: I32) -> I32:
    """Return the cores in the order of a snake through the columns of routers, so that neighbours in the order are close."""
    x, y = _at(topology, cores)
    along = np.where(x % 2 == 0, y, topology.height - 1 - y)
    ordered: I32 = cores[np.lexsort((cores, along, x))]
    return ordered


def hop_cost(flow: Floats | Flow, topology: Topology, core_of_part: I32, crossing: float | Crossing = 1.0) -> float:
    """Return messages x hops a step of parts on these cores."""
    table = as_flow(flow)
    x, y = (a.astype(np.float64) for a in places(topology, core_of_part, crossing))
    sender, host = table.sender, host_hops(topology, core_of_part, crossing)
    inside = sender < table.k
    a, b = sender[inside], table.to[inside]
    hops = np.abs(x[a] - x[b]) + np.abs(y[a] - y[b])
    return float(table.rate[inside] @ hops + table.rate[~inside] @ host[table.to[~inside]])


def chip_messages(flow: Floats | Flow, topology: Topology, core_of_part: I32) -> float:
    """Return the messages a step that leave their chip, the host's to other chips than its own included."""
    table = as_flow(flow)
    chip = np.append(core_of_part // topology.chip_cores, topology.host_port[0] // topology.width)
    return float(table.rate[chip[table.sender] != chip[table.to]].sum())


def place(
    flow: Floats | Flow,
    topology: Topology,
    seed: int,
    exchanges: int = EXCHANGES,
    restarts: int = RESTARTS,
    start: I32 | None = None,
    crossing: float | Crossing = 1.0,
    allowed: Bools | None = None,
) -> I32:
    """Return the core of each part, int32 [K], the best of several annealings; the same seed gives the same places.

    Args:
        flow: messages between parts, sparse or as a table [K + 1, K], the last row from the host.
        topology: mesh, broken cores, the host's port.
        seed: of the annealings.
        exchanges: tried in each, for each part.
        restarts: annealings from random places.
        start: one more place to start from.
        crossing: hops that a link between chips counts as.
        allowed: bool [K, usable cores, ascending], which part may lie where; then `start` must obey it and is the only start.
    """
    flow = as_flow(flow)
    k = flow.k
    usable = usable_cores(topology)
    cores = snake_order(topology, usable)
    if k > LARGE and allowed is None:
        return place_large(
            flow, topology, cores, places(topology, cores, crossing), host_hops(topology, cores, crossing), seed
        )
    may = np.ones((k, cores.size), bool) if allowed is None else allowed[:, np.searchsorted(usable, cores)].copy("C")
    port = host_hops(topology, cores, crossing).astype(np.float32)
    if k <= 1:
        return np.full(k, cores[np.where(may[0], port, np.inf).argmin()] if k else 0, np.int32)
    x, y = places(topology, cores, crossing)
    table = flow.dense()
    both = (table[:k] + table[:k].T).astype(np.float32)
    np.fill_diagonal(both, 0.0)
    host = table[k].astype(np.float32)
    tries = min(exchanges * k, _MOST_VISITS // k)
    rng = np.random.default_rng(seed)
    begins = [(np.arange(cores.size), 0.02)] + [(rng.permutation(cores.size), 1.0) for _ in range(restarts)]
    if k <= LARGE:
        begins.append((_spectral(both, _at(topology, cores), cores), _SPECTRAL_HEAT))
    if start is not None:
        begins.append((_slots(cores, start), 0.02))
    if allowed is not None and start is not None:
        begins = [(_slots(cores, start), heat) for heat in (0.02, *[1.0] * restarts)]

    def annealed(slots: I64, heat: float, own: np.random.Generator) -> I64:
        slot = slots.astype(np.int64)
        _anneal(both, host, x, y, port, slot, may, tries, heat, _COOLING, own)
        return slot[:k]

    with ThreadPoolExecutor(max(1, min(len(begins), os.cpu_count() or 1))) as pool:
        found = list(pool.map(annealed, *zip(*begins, strict=True), rng.spawn(len(begins))))
    chosen: I32 = cores[_cheapest(found, table, x, y, port)]
    return chosen


def _cheapest(found: list[I64], table: Floats, x: F32, y: F32, port: F32) -> I64:
    k, best, least = table.shape[1], found[0], np.inf
    for at in found:
        cost = float(_cost(table[:k], x[at], y[at]) + table[k] @ port[at])
        if cost < least * (1 - 1e-12):
            best, least = at, cost
    return best


def _spectral(both: F32, at: tuple[I32, I32], cores: I32) -> I64:
    """Return the permutation of slots that lays the parts out by the two slowest modes of their traffic, one a column each.

    The eigenvectors of the normalised Laplacian I - D^-1/2 F D^-1/2 to the second and third smallest eigenvalue are
    coordinates in which parts that exchange messages are close: a layout without folds, which exchanges cannot undo.
    """
    k = both.shape[0]
    scale = 1.0 / np.sqrt(np.maximum(both.sum(axis=1), 1e-12 * float(both.max()) + 1e-30))
    _, modes = np.linalg.eigh(np.eye(k) - scale[:, None] * both * scale)
    along, across = (modes[:, min(i, k - 1)] * scale for i in (1, 2))
    x, y = at[0][:k], at[1][:k]
    by_along = np.argsort(along, kind="stable")
    column = np.empty(k, np.int64)
    column[by_along] = np.sort(x)
    slots = np.empty(cores.size, np.int64)
    slots[np.lexsort((across, column))] = np.lexsort((y, x))
    slots[k:] = np.arange(k, cores.size)
    return slots


def _slots(cores: I32, start: I32) -> I64:
    """Return the permutation of slots that puts the parts on the cores `start`, empty slots after."""
    where = {int(c): i for i, c in enumerate(cores)}
    taken = [where[int(c)] for c in start]
    return np.array(taken + sorted(set(range(cores.size)) - set(taken)), np.int64)


@nb.njit(cache=True, nogil=True)
def _cost(flow, x, y):  # type: ignore[no-untyped-def]
    total = 0.0
    for p in range(x.size):
        for q in range(x.size):
            total += flow[p, q] * (abs(x[p] - x[q]) + abs(y[p] - y[q]))
    return total


@nb.njit(cache=True, nogil=True, fastmath=True, forceinline=True)
def _delta(both, host, x, y, port, slot, px, py, p, q):  # type: ignore[no-untyped-def]
    """Change of the cost when items p < K and q (a part or an empty slot) exchange their slots."""
    k = host.size
    a, b = slot[p], slot[q]
    ax, ay, bx, by = x[a], y[a], x[b], y[b]
    row_p = both[p]
    change = host[p] * (port[b] - port[a])
    if q < k:
        row_q = both[q]
        change += host[q] * (port[a] - port[b])
        for r in range(k):
            further = abs(bx - px[r]) + abs(by - py[r]) - abs(ax - px[r]) - abs(ay - py[r])
            change += (row_p[r] - row_q[r]) * further
        # r = p and r = q were counted as if the other stood still
        change += np.float32(2) * row_p[q] * (abs(ax - bx) + abs(ay - by))
    else:
        for r in range(k):
            further = abs(bx - px[r]) + abs(by - py[r]) - abs(ax - px[r]) - abs(ay - py[r])
            change += row_p[r] * further
    return change


@nb.njit(cache=True, nogil=True)
def _anneal(both, host, x, y, port, slot, may, tries, heat, cooling, rng):  # type: ignore[no-untyped-def]
    k, n = host.size, slot.size
    px, py = x[slot[:k]].copy(), y[slot[:k]].copy()
    scale = 0.0
    for _ in range(200):
        scale += abs(_delta(both, host, x, y, port, slot, px, py, int(rng.random() * k), _other(k, n, rng)))
    temperature = heat * scale / 200
    factor = cooling ** (1.0 / max(tries, 1))
    for _ in range(tries):
        temperature *= factor
        p, q = int(rng.random() * k), _other(k, n, rng)
        a, b = slot[p], slot[q]
        if p == q or (x[a] == x[b] and y[a] == y[b]) or not may[p, b] or (q < k and not may[q, a]):
            continue
        change = _delta(both, host, x, y, port, slot, px, py, p, q)
        if change <= 0 or rng.random() < np.exp(-change / temperature):
            slot[p], slot[q] = b, a
            px[p], py[p] = x[b], y[b]
            if q < k:
                px[q], py[q] = x[a], y[a]


@nb.njit(cache=True, nogil=True)
def _other(k, n, rng):  # type: ignore[no-untyped-def]
    """Return a part or an empty slot; empty ones are drawn less often where they are many."""
    if n > k and rng.random() < 0.25:
        return k + int(rng.random() * (n - k))
    return int(rng.random() * k)
