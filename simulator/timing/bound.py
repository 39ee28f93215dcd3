"""An analytic lower bound of a step: core sums and link loads, without any queueing. Never above the cycle-level time.

For every message a lower bound of its times: ready after the work before it on its core, then the zero-load latency
    enqueue + sum of hops + flits - 1.
A core's last DONE is at least its earliest arrival + the sum of its service; a link that n messages cross holds its last
one at least (n - 1) * flits after the first could be there, and that one still has to travel and to be served.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I32, I64
from simulator.timing.barrier import release_time
from simulator.timing.check import check_mesh, check_work
from simulator.timing.contract import Mesh, StepWork
from simulator.timing.wires import output_of, wires

_NEVER = 1 << 62


def quiet_bound(mesh: Mesh, work: StepWork) -> tuple[I64, int]:
    """Lower bounds of the tick at which each endpoint is quiet, int64 [C], and of the last DONE by the busiest link.

    Raises:
        InputError: the mesh or the work is not well formed.
    """
    check_mesh(mesh)
    check_work(mesh, work)
    w = wires(mesh)
    quiet = np.empty(mesh.n_endpoints, np.int64)
    links = _bound(
        work.off, work.gap, work.rel, work.dst, work.srv, work.tail, work.start, packets_of(work),
        w.router, w.port, w.side, w.x, w.y, w.far_end, w.hop_ticks, w.flits, mesh.n_ports, mesh.enqueue_ticks, quiet,
    )  # fmt: skip
    return quiet, int(links)


def release_bound(mesh: Mesh, work: StepWork, learn_ticks: I64 | None = None) -> int:
    """Lower bound of the tick at which the root releases the next step (see `barrier.release_time`)."""
    quiet, links = quiet_bound(mesh, work)
    if learn_ticks is not None:
        quiet = quiet + learn_ticks
    return max(release_time(mesh, quiet), links + mesh.sync_ticks)


def link_busy_of(mesh: Mesh, work: StepWork) -> I64:
    """Return busy ticks of each router output, int64 [R, P]: XY routing is fixed, so a step's link load needs no timing."""
    w = wires(mesh)
    busy = np.zeros(mesh.n_routers * mesh.n_ports, np.int64)
    _load(
        work.off, work.dst, packets_of(work), w.router, w.port, w.side, w.x, w.y, w.far_end, mesh.n_ports, w.flits, busy
    )
    return busy.reshape(mesh.n_routers, mesh.n_ports)


def packets_of(work: StepWork) -> I64:
    """Return the packet of each message, by the message after its last leaf, int64 [M]."""
    return np.arange(1, work.dst.size + 1) if work.ends is None else work.ends


@numba.njit(cache=True, nogil=True)
def _load(
    off: I64, dst: I32, packet: I64, router: I64, port: I64, side: I64, x: I64, y: I64, far_end: I64,
    P: int, flits: I64, busy: I64,
) -> None:  # fmt: skip
    last = np.zeros(far_end.size, np.int64)  # packet that crossed each link last: its other leaves share the link
    for c in range(off.size - 1):
        for m in range(off[c], off[c + 1]):
            r, target = router[c], dst[m]
            out = r * P + output_of(x, y, router, port, side, r, target)
            while far_end[out] >= 0:
                if last[out] != packet[m]:
                    last[out] = packet[m]
                    busy[out] += flits[out]
                r = far_end[out] // P
                out = r * P + output_of(x, y, router, port, side, r, target)
            busy[out] += flits[out]


@numba.njit(cache=True, nogil=True)
def _bound(
    off: I64, gap: I32, rel: I64, dst: I32, srv: I32, tail: I32, start: I64, packet: I64,
    router: I64, port: I64, side: I64, x: I64, y: I64, far_end: I64, hop_ticks: I64, flits: I64, P: int, enqueue: int,
    quiet: I64,
) -> int:  # fmt: skip
    C, rows = off.size - 1, far_end.size
    first_in, work_in = np.full(C, _NEVER), np.zeros(C, np.int64)
    first_on, count, rest = np.full(rows, _NEVER), np.zeros(rows, np.int64), np.full(rows, _NEVER)
    last = np.zeros(rows, np.int64)
    path = np.empty(rows + 1, np.int64)
    at = np.empty(rows + 1, np.int64)
    for c in range(C):
        ready = start[c]
        for m in range(off[c], off[c + 1]):
            ready = max(ready + gap[m], rel[m])
            t, r, target, n = ready + enqueue, router[c], dst[m], 0
            while True:
                out = r * P + output_of(x, y, router, port, side, r, target)
                path[n], at[n] = out, t
                n += 1
                if far_end[out] < 0:
                    t += hop_ticks[out] + flits[out] - 1
                    break
                t += hop_ticks[out]
                r = far_end[out] // P
            for k in range(n):
                count[path[k]] += last[path[k]] != packet[m]
                last[path[k]] = packet[m]
                first_on[path[k]] = min(first_on[path[k]], at[k])
                rest[path[k]] = min(rest[path[k]], t - at[k] + srv[m])
            first_in[target] = min(first_in[target], t)
            work_in[target] += srv[m]
        quiet[c] = ready + tail[c]
    for c in range(C):
        if work_in[c]:
            quiet[c] = max(quiet[c], first_in[c] + work_in[c])
    links = 0
    for out in range(rows):
        if count[out]:
            links = max(links, first_on[out] + (count[out] - 1) * flits[out] + rest[out])
    return links
