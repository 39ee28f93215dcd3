"""Places for many parts: halves of the mesh in the order of the parts, then exchanges that look only at partners.

    cost = sum_{p,q} F_pq hops(core_p, core_q) + sum_p F_host,p hops(port, core_p)

Parts numbered by recursive cuts are laid out by halving the mesh along its longer side, parts and cores together. Then
exchanges at falling temperature: mostly part p tries a place next to a random partner, else one next to its own. An
exchange costs O(partners), and no table grows with the square of the parts.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from mapping.flow import Flow
from simulator.base.arrays import F32, I32, I64, Floats
from simulator.chips.chip import Topology

_TRIES, _VISITS = 1_500, 1_500_000_000  # of each part; of partners in all
_HEAT, _COOLING = 0.3, 1e-3
_TO_PARTNER = 0.7  # share of tries next to a partner


def place_large(flow: Flow, topology: Topology, cores: I32, at: tuple[F32, F32], port: Floats, seed: int) -> I32:
    """Return the core of each part, int32 [K].

    Args:
        flow: messages between parts, numbered so that parts of near numbers belong together.
        topology: the mesh.
        cores: int32 [n], usable cores.
        at: X and Y of each of them, links between chips as long as their hops.
        port: float64 [n], hops from the host's port to each of them.
        seed: the same seed gives the same places.
    """
    k = flow.k
    slot = halves(at[0], at[1], k)
    ptr, partner, weight, host = symmetric(flow)
    router = cores // topology.cores_per_router
    order = np.argsort(router, kind="stable")
    first = np.searchsorted(router[order], np.arange(topology.columns * topology.height + 1)).astype(np.int64)
    column, row = np.divmod(router, topology.height)
    tries = int(k * np.clip(_VISITS / max(1, 4 * partner.size), 50, _TRIES))
    rng = np.random.Generator(np.random.Philox(seed))
    _anneal(
        ptr, partner, weight, host, at[0], at[1], port.astype(np.float32), slot,
        column.astype(np.int64), row.astype(np.int64), order, first, topology.columns, topology.height, tries, rng,
    )  # fmt: skip
    return cores[slot]


def halves(x: F32, y: F32, k: int) -> I64:
    """Return the slot of each of K parts: halve slots along their longer side, parts in their order and slots together."""
    out = np.empty(k, np.int64)
    todo = [(np.arange(x.size), 0, k)]
    while todo:
        slots, lo, hi = todo.pop()
        if hi - lo <= 1:
            out[lo:hi] = slots[: hi - lo]
            continue
        wide = np.ptp(x[slots]) >= np.ptp(y[slots])
        order = np.lexsort((slots, y[slots], x[slots]) if wide else (slots, x[slots], y[slots]))
        slots = slots[order]
        middle = (lo + hi) // 2
        cut = max(middle - lo, round(slots.size * (middle - lo) / (hi - lo)))
        cut = min(cut, slots.size - (hi - middle))
        todo += [(slots[:cut], lo, middle), (slots[cut:], middle, hi)]
    return out


def symmetric(flow: Flow) -> tuple[I64, I32, F32, F32]:
    """Return partners of each part with the messages of both directions (CSR, no diagonal), and the host's to each part."""
    from scipy.sparse import csr_array

    k = flow.k
    stop = int(flow.ptr[k])
    one = csr_array((flow.rate[:stop], flow.to[:stop], flow.ptr[: k + 1]), shape=(k, k))
    both = (one + one.T).tocsr()
    both.setdiag(0.0)
    both.eliminate_zeros()
    host = np.zeros(k, np.float32)
    host[flow.to[stop:]] = flow.rate[stop:]
    return both.indptr.astype(np.int64), both.indices.astype(np.int32), both.data.astype(np.float32), host


@nb.njit(cache=True, nogil=True)
def _further(p, q, bx, by, ptr, partner, weight, px, py):  # type: ignore[no-untyped-def]
    """Change of p's cost at (bx, by), its partner q left out."""
    change = np.float32(0.0)
    ax, ay = px[p], py[p]
    for j in range(ptr[p], ptr[p + 1]):
        r = partner[j]
        if r != q:
            change += weight[j] * (abs(bx - px[r]) + abs(by - py[r]) - abs(ax - px[r]) - abs(ay - py[r]))
    return change


@nb.njit(cache=True, nogil=True)
def _change(p, b, ptr, partner, weight, host, x, y, port, slot, who, px, py):  # type: ignore[no-untyped-def]
    """Change of the cost when part p goes to slot b and what lies there to p's."""
    a, q = slot[p], who[b]
    change = host[p] * (port[b] - port[a]) + _further(p, q, x[b], y[b], ptr, partner, weight, px, py)
    if q >= 0:
        change += host[q] * (port[a] - port[b]) + _further(q, p, x[a], y[a], ptr, partner, weight, px, py)
    return change


@nb.njit(cache=True, nogil=True)
def _target(p, ptr, partner, slot, column, row, order, first, columns, rows, rng):  # type: ignore[no-untyped-def]
    """Return a slot within one router of a partner or of p itself; -1 where there is none."""
    near = p
    if ptr[p + 1] > ptr[p] and rng.random() < _TO_PARTNER:
        near = partner[ptr[p] + int(rng.random() * (ptr[p + 1] - ptr[p]))]
    c = column[slot[near]] + int(rng.random() * 3) - 1
    r = row[slot[near]] + int(rng.random() * 3) - 1
    if c < 0 or c >= columns or r < 0 or r >= rows:
        return -1
    router = c * rows + r
    n = first[router + 1] - first[router]
    return -1 if n == 0 else order[first[router] + int(rng.random() * n)]


@nb.njit(cache=True, nogil=True)
def _anneal(  # type: ignore[no-untyped-def]
    ptr, partner, weight, host, x, y, port, slot, column, row, order, first, columns, rows, tries, rng
):
    k = slot.size
    who = np.full(x.size, -1, np.int64)
    for p in range(k):
        who[slot[p]] = p
    px, py = x[slot].copy(), y[slot].copy()
    scale, seen = 0.0, 0
    for _ in range(400):
        p = int(rng.random() * k)
        b = _target(p, ptr, partner, slot, column, row, order, first, columns, rows, rng)
        if b >= 0 and b != slot[p]:
            scale += abs(_change(p, b, ptr, partner, weight, host, x, y, port, slot, who, px, py))
            seen += 1
    temperature = _HEAT * scale / max(1, seen)
    factor = _COOLING ** (1.0 / max(tries, 1))
    for _ in range(tries):
        temperature *= factor
        p = int(rng.random() * k)
        b = _target(p, ptr, partner, slot, column, row, order, first, columns, rows, rng)
        if b < 0 or b == slot[p]:
            continue
        change = _change(p, b, ptr, partner, weight, host, x, y, port, slot, who, px, py)
        if change <= 0 or rng.random() < np.exp(-change / temperature):
            a, q = slot[p], who[b]
            slot[p], who[b], who[a] = b, p, q
            px[p], py[p] = x[b], y[b]
            if q >= 0:
                slot[q] = a
                px[q], py[q] = x[a], y[a]
