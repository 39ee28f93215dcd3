"""Tokens between neighbours, as they cross the links: what a core tells many is one token that forks on the way.

A core is `finished` for all its neighbours alike, and has `sent` nothing for all receivers that got no packet from it. Either is
one token, forked along the tree of the XY routes to its targets, where each link is crossed once. A receiver that got packets is
told how many by a token of its own. The tree of `sent` is charged whole, also where some of its receivers get a number instead.
When a token comes does not depend on forks: it takes the same links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Bools
from simulator.program.spikes import SpikeTrain
from simulator.timing.contract import Mesh
from simulator.timing.neighbours import Neighbours
from simulator.timing.plan import Plan
from simulator.timing.wires import wires


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of a run.

    Attributes:
        sent, hops: int64 [C], tokens of each endpoint, and links that they cross.
        sent_by_step, hops_by_step: int64 [T].
    """

    sent: I64
    hops: I64
    sent_by_step: I64
    hops_by_step: I64


def tokens_of(plan: Plan, near: Neighbours, spikes: SpikeTrain) -> Tokens:
    """Return the tokens of a run with these spikes."""
    steps = spikes.steps
    sent, crossed = forked(plan.mesh, near)
    told, told_hops = np.zeros((2, steps), np.int64), np.zeros((2, sent.size), np.int64)
    x, y = np.divmod(wires(plan.mesh).router.astype(np.int64), plan.mesh.height)
    _count_told(
        spikes.ptr,
        spikes.ids,
        plan.position,
        plan.base,
        plan.ptr,
        plan.dst,
        x,
        y,
        told[0],
        told[1],
        told_hops[0],
        told_hops[1],
    )
    return Tokens(
        steps * sent + told_hops[0], steps * crossed + told_hops[1], sent.sum() + told[0], crossed.sum() + told[1]
    )


def forked(mesh: Mesh, near: Neighbours) -> tuple[I64, I64]:
    """Return the forked tokens of each endpoint in a step, and the links that they cross."""
    n = mesh.n_endpoints
    x, y = np.divmod(wires(mesh).router.astype(np.int64), mesh.height)
    every = np.ones(near.who.size, np.bool_)
    has = np.bincount(near.source[near.sends], minlength=n) > 0
    sent = (np.diff(near.ptr) > 0).astype(np.int64) + has
    low, high = np.zeros(mesh.width, np.int64), np.zeros(mesh.width, np.int64)
    finished, through = (_tree_links(near.ptr, near.who, chosen, x, y, low, high) for chosen in (every, near.sends))
    return sent, finished + through


@numba.njit(cache=True, nogil=True)
def _tree_links(ptr: I64, who: I32, chosen: Bools, x: I64, y: I64, low: I64, high: I64) -> I64:
    """Count the links of the tree from each endpoint to those chosen of its neighbours; `low` and `high` are room to work in."""
    out = np.zeros(ptr.size - 1, np.int64)
    for c in range(out.size):
        low[:] = y[c]
        high[:] = y[c]
        west, east = x[c], x[c]
        for k in range(ptr[c], ptr[c + 1]):
            if chosen[k]:
                column, row = x[who[k]], y[who[k]]
                west, east = min(west, column), max(east, column)
                low[column], high[column] = min(low[column], row), max(high[column], row)
        out[c] = east - west + (high - low).sum()
    return out


@numba.njit(cache=True, nogil=True)
def _count_told(
    ptr: I64, ids: I32, position: I32, base: I64, rows: I64, dst: I32, x: I64, y: I64, step_sent: I64, step_hops: I64,
    sent: I64, hops: I64,
) -> None:  # fmt: skip
    """Count the pairs of endpoints between which packets went in each step, and their distances."""
    met = np.full(sent.size, -1, np.int64)  # the last (step, source) whose packets went there
    for s in range(ptr.size - 1):
        places = np.sort(position[ids[ptr[s] : ptr[s + 1]]])
        c = 0
        for p in places:
            if p < 0:
                continue
            while base[c + 1] <= p:
                c += 1
            number = s * sent.size + c
            for row in range(rows[p], rows[p + 1]):
                to = dst[row]
                if to != c and met[to] != number:
                    met[to] = number
                    far = abs(x[to] - x[c]) + abs(y[to] - y[c])
                    sent[c] += 1
                    hops[c] += far
                    step_sent[s] += 1
                    step_hops[s] += far
