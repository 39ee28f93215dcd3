"""Random systems of chips, runs and multicast packets, beside the meshes and workloads of `simulator.timing.cases`."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from simulator.base.arrays import I64
from simulator.timing.cases import random_mesh, random_work
from simulator.timing.contract import Mesh, StepWork
from simulator.timing.neighbours import LocalWork, Neighbours, neighbours_from
from simulator.timing.wires import wires


def random_system(seed: int, most_chips: int = 16, messages: int = 200) -> tuple[Mesh, StepWork]:
    """Return a system of 2 to `most_chips` small chips in a row, on boards or on one, and a workload for it.

    Half of the messages stay within two chips of their source, so that links of all levels carry some.
    """
    rng = np.random.default_rng([seed, 1])
    chips = int(np.exp(rng.uniform(np.log(2), np.log(most_chips + 1))))
    chip_width, per_board = int(rng.integers(1, 3)), int(rng.integers(1, max(2, chips // 2) + 1))
    mesh = random_mesh(rng)
    chip_flits = mesh.flits + int(rng.integers(0, 5))
    width = chips * chip_width
    mesh = replace(
        mesh,
        width=width,
        height=int(rng.integers(1, 3)),
        cores_per_router=int(rng.integers(1, 3)),
        host=(int(rng.integers(width)), 0) if rng.random() < 0.3 else None,
        chip_width=chip_width,
        chip_flits=chip_flits,
        board_width=per_board * chip_width if rng.random() < 0.7 else 0,
        board_hop_ticks=int(rng.integers(1, 40)),
        board_flits=chip_flits + int(rng.integers(0, 9)),
        board_barrier_ticks=int(rng.integers(0, 20)),
    )
    work = random_work(mesh, rng, int(rng.integers(0, messages + 1)))
    n = mesh.n_endpoints
    source = np.repeat(np.arange(n), np.diff(work.off))
    reach = 2 * chip_width * mesh.height * mesh.cores_per_router
    near = np.clip(source + rng.integers(-reach, reach + 1, source.size), 0, n - 1)
    return mesh, replace(work, dst=np.where(rng.random(source.size) < 0.5, near, work.dst).astype(np.int32))


def random_run(mesh: Mesh, rng: np.random.Generator, steps: int, messages: int) -> LocalWork:
    """Return a run of some steps whose cores synchronise by neighbours: random packets between pairs that may exchange some."""
    n = mesh.n_endpoints
    pairs = rng.integers(0, n, (2, int(rng.integers(1, 3 * n + 1))))
    if rng.random() < 0.5:  # nearby ones
        pairs[1] = np.clip(pairs[0] + rng.integers(-4, 5, pairs.shape[1]), 0, n - 1)
    near = neighbours_from(mesh, *pairs)
    chosen = rng.integers(0, pairs.shape[1], messages)
    source, target, step = pairs[0, chosen], pairs[1, chosen], rng.integers(0, steps, messages)
    order = np.lexsort((step, source))
    busy = int(rng.choice([1, 4, 20]))
    srv = rng.integers(1, int(rng.choice([2, 6, 30])), messages)
    gap, tail = rng.integers(0, busy + 1, messages), rng.integers(0, 1 + int(rng.choice([0, 15, 60])), (steps, n))
    return run_of(near, source[order], target[order], step[order], gap, srv, tail)


def run_of(near: Neighbours, source: I64, target: I64, step: I64, gap: I64, srv: I64, tail: I64) -> LocalWork:
    """Return the run of messages sorted by source, then step, with the soma work after the last of each step, [T, C]."""
    steps, n = tail.shape
    count = np.zeros((n, steps), np.int64)
    np.add.at(count, (source, step), 1)
    off = np.append(0, count.sum(axis=1).cumsum())
    due = np.zeros((steps, n), np.int64)
    np.add.at(due, (step, target), 1)
    zero = np.zeros(n, np.int64)
    work = StepWork(
        off, gap.astype(np.int32), np.zeros(source.size, np.int64), target.astype(np.int32), srv.astype(np.int32),
        zero.astype(np.int32), zero,
    )  # fmt: skip
    first = np.ascontiguousarray(off[:-1] + np.vstack([zero, count.cumsum(axis=1).T]))
    return LocalWork(near, work, first, tail.astype(np.int32), due, np.arange(source.size))


def forked(mesh: Mesh, work: StepWork, rng: np.random.Generator, bounds: I64 | None = None) -> StepWork:
    """Return the same work, its messages gathered to packets of up to six leaves, none across `bounds` (default `off`)."""
    w = wires(mesh)
    place = w.leaf_key[work.dst]
    dst, srv, gap, rel = work.dst.copy(), work.srv.copy(), work.gap.copy(), work.rel.copy()
    ends = np.arange(1, dst.size + 1)
    for first, last in pairwise((work.off if bounds is None else bounds).tolist()):
        m = first
        while m < last:
            stop = min(m + int(rng.integers(1, 7)), last)
            _, at = np.unique(place[m:stop], return_index=True)
            if at.size < stop - m:  # two to one place
                stop, at = m + 1, np.zeros(1, np.int64)
            dst[m:stop], srv[m:stop] = work.dst[m:stop][at], work.srv[m:stop][at]
            gap[m + 1 : stop], rel[m + 1 : stop] = 0, 0
            ends[m:stop] = stop
            m = stop
    return replace(work, dst=dst, srv=srv, gap=gap, rel=rel, ends=ends)


def forked_run(mesh: Mesh, local: LocalWork, rng: np.random.Generator) -> LocalWork:
    """Return the same run, its messages gathered to packets within each step."""
    bounds = np.append(local.first[:-1].T.reshape(-1), local.work.off[-1])
    return replace(local, work=forked(mesh, local.work, rng, bounds))
