"""Random meshes and workloads, for tests of the engines (and of one's own router or engine)."""

from __future__ import annotations

import numpy as np

from simulator.timing.barrier import start_times
from simulator.timing.contract import Mesh, StepWork


def random_case(seed: int, max_messages: int = 160) -> tuple[Mesh, StepWork]:
    """Return a mesh of up to 5 x 4 routers x 4 cores and a workload for it; the same seed gives the same case.

    Flits 1-4, buffers 1-4, both arbiters, unequal hop times, one or several chips, with and without a host, uniform, local
    and hot-spot traffic, light and heavy load, common and skewed starts, and late releases as in tick synchronisation.
    """
    rng = np.random.default_rng(seed)
    mesh = random_mesh(rng)
    return mesh, random_work(mesh, rng, int(rng.integers(0, max_messages + 1)))


def random_mesh(rng: np.random.Generator) -> Mesh:
    """Return a mesh of up to 5 x 4 routers x 4 cores."""
    width, height = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    n, e, s, w, local = (int(v) for v in rng.integers(1, 7, 5))
    flits, chips = int(rng.integers(1, 5)), rng.random() < 0.3
    return Mesh(
        width=width,
        height=height,
        cores_per_router=int(rng.integers(1, 5)),
        hop_ticks=(n, e, s, w, local) if rng.random() < 0.5 else (n, n, n, n, n),
        flits=flits,
        enqueue_ticks=int(rng.integers(1, 4)),
        port_slots=int(rng.integers(1, 5)),
        core_slots=int(rng.integers(1, 5)),
        arbiter="fifo" if rng.random() < 0.5 else "rr",
        barrier_hop_ticks=int(rng.integers(0, 4)),
        sync_ticks=int(rng.integers(0, 10)),
        host=(int(rng.integers(width)), int(rng.integers(height))) if rng.random() < 0.3 else None,
        chip_width=int(rng.choice([k for k in range(1, width + 1) if width % k == 0])) if chips else 0,
        chip_hop_ticks=int(rng.integers(1, 20)),
        chip_flits=flits + int(rng.integers(0, 5)),
        chip_barrier_ticks=int(rng.integers(0, 9)),
    )


def random_work(mesh: Mesh, rng: np.random.Generator, messages: int) -> StepWork:
    """Return a workload of this many messages."""
    n = mesh.n_endpoints
    source = np.sort(rng.integers(0, n, messages) if rng.random() < 0.7 else rng.integers(0, min(n, 3), messages))
    off = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(source, minlength=n), out=off[1:])
    dst = rng.integers(0, n, messages)
    traffic = rng.random()
    if traffic < 0.3:  # hot spot
        dst = np.where(rng.random(messages) < 0.5, int(rng.integers(n)), dst)
    elif traffic < 0.5:  # local
        dst = np.clip(source + rng.integers(-2, 3, messages), 0, n - 1)
    rel = np.zeros(messages, np.int64)
    if rng.random() < 0.3:  # the later messages of each core belong to the next tick
        rel[rng.random(messages) < 0.5] = int(rng.integers(1, 200))
    if rng.random() < 0.5:
        start = start_times(mesh, int(rng.integers(0, 1000)))
    else:
        start = rng.integers(0, 30, n)
    busy = int(rng.choice([1, 4, 20]))
    return StepWork(
        off=off,
        gap=rng.integers(0, busy + 1, messages).astype(np.int32),
        rel=rel,
        dst=dst.astype(np.int32),
        srv=rng.integers(1, int(rng.choice([2, 6, 30])), messages).astype(np.int32),
        tail=rng.integers(0, 15, n).astype(np.int32),
        start=start.astype(np.int64),
    )
