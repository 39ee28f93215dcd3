"""Wiring of the mesh: the tables that every engine reads (which output a packet needs, where a link ends)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from simulator.base.arrays import I64
from simulator.chips.rules import MOST_PORTS
from simulator.timing.contract import EAST, LOCAL, NORTH, SOUTH, WEST, Mesh

MAX_PORTS = MOST_PORTS
_OPPOSITE = {NORTH: SOUTH, EAST: WEST, SOUTH: NORTH, WEST: EAST}
_STEP = {NORTH: (0, 1), EAST: (1, 0), SOUTH: (0, -1), WEST: (-1, 0)}


@dataclass(frozen=True, eq=False)
class Wires:
    """Tables of a mesh. A port's row is router * n_ports + port; input and output ports are numbered alike.

    Attributes:
        router: int64 [C], router of each endpoint.
        port: int64 [C], its local port there.
        side: int64 [C], first port (north) of the network that packets to it take.
        leaf_key: int64 [C], by which leaves of one packet are sorted, so that what goes to one output is a stretch of them.
        x, y: int64 [R], column and row of each router; `towards` routes by them, x first.
        far_end: int64 [R * P], input row that an output's link feeds; -1 at the mesh's edge and for local ports.
        hop_ticks: int64 [R * P], grant -> head in the next buffer, of each output.
        flits: int64 [R * P], ticks that a packet occupies each output's link (and the input that it leaves).
        endpoint: int64 [R * P], endpoint behind a local port, else -1.
        barrier_ticks: int64 [C], time of a barrier token between each endpoint's router and router 0, the root.
    """

    router: I64
    port: I64
    side: I64
    leaf_key: I64
    x: I64
    y: I64
    far_end: I64
    hop_ticks: I64
    flits: I64
    endpoint: I64
    barrier_ticks: I64


@lru_cache(maxsize=64)
def wires(mesh: Mesh) -> Wires:
    """Return the tables of a mesh (cached: a mesh is frozen)."""
    cores = np.arange(mesh.n_cores, dtype=np.int64)
    router, port = cores // mesh.cores_per_router, mesh.n_links + cores % mesh.cores_per_router
    if mesh.host is not None:
        router = np.append(router, mesh.host[0] * mesh.height + mesh.host[1])
        port = np.append(port, mesh.n_links + mesh.cores_per_router)
    endpoint = np.full(mesh.n_routers * mesh.n_ports, -1, np.int64)
    endpoint[router * mesh.n_ports + port] = np.arange(mesh.n_endpoints)
    hop, flits = _link_times(mesh)
    x, y = np.divmod(np.arange(mesh.n_routers, dtype=np.int64), mesh.height)
    side = np.arange(mesh.n_endpoints, dtype=np.int64) % mesh.networks * LOCAL
    leaf_key = (side * mesh.n_routers + router) * mesh.n_ports + port
    return Wires(
        router, port, side, leaf_key, x, y, _far_ends(mesh), hop, flits, endpoint, _barrier_ticks(mesh, router)
    )


@numba.njit(cache=True, nogil=True, inline="always")
def towards(x: I64, y: I64, here: int, there: int) -> int:
    """Return the output direction from router `here` to `there` by XY routing: east or west first; LOCAL where they are one."""
    dx, dy = x[there] - x[here], y[there] - y[here]
    if dx > 0:
        return EAST
    if dx < 0:
        return WEST
    if dy > 0:
        return NORTH
    return SOUTH if dy < 0 else LOCAL


@numba.njit(cache=True, nogil=True, inline="always")
def output_of(x: I64, y: I64, router: I64, port: I64, side: I64, here: int, target: int) -> int:
    """Return the output of router `here` towards an endpoint."""
    d = towards(x, y, here, router[target])
    return int(port[target]) if d == LOCAL else int(side[target]) + d


def _link_times(mesh: Mesh) -> tuple[I64, I64]:
    hop = np.full((mesh.n_routers, mesh.n_ports), mesh.hop_ticks[LOCAL], np.int64)
    hop[:, : mesh.n_links] = mesh.hop_ticks[:LOCAL] * mesh.networks
    flits = np.full((mesh.n_routers, mesh.n_ports), mesh.flits, np.int64)
    x = np.arange(mesh.n_routers) // mesh.height
    levels = (
        (mesh.chip_width, mesh.chip_hop_ticks, mesh.chip_flits),
        (mesh.board_width, mesh.board_hop_ticks, mesh.board_flits),
    )
    for width, hop_ticks, packet in levels:
        for out, edge in ((EAST, width - 1), (WEST, 0)) if width else ():
            crosses = x % width == edge
            for port in range(out, mesh.n_links, LOCAL):
                hop[crosses, port] = hop_ticks + packet - mesh.flits
                flits[crosses, port] = packet
    return hop.reshape(-1), flits.reshape(-1)


def _barrier_ticks(mesh: Mesh, router: I64) -> I64:
    x, y = np.divmod(router, mesh.height)
    edges = x // mesh.chip_width if mesh.chip_width else np.zeros_like(x)
    boards = x // mesh.board_width if mesh.board_width else np.zeros_like(x)
    inside = mesh.barrier_hop_ticks * (x + y - edges)
    ticks: I64 = inside + mesh.chip_barrier_ticks * (edges - boards) + mesh.board_barrier_ticks * boards
    return ticks


def _far_ends(mesh: Mesh) -> I64:
    x, y = np.divmod(np.arange(mesh.n_routers, dtype=np.int64), mesh.height)
    far_end = np.full((mesh.n_routers, mesh.n_ports), -1, np.int64)
    for out, (dx, dy) in _STEP.items():
        inside = (x + dx >= 0) & (x + dx < mesh.width) & (y + dy >= 0) & (y + dy < mesh.height)
        neighbour = (x + dx) * mesh.height + y + dy
        for side in range(0, mesh.n_links, LOCAL):
            far_end[inside, side + out] = (neighbour * mesh.n_ports + side + _OPPOSITE[out])[inside]
    return far_end.reshape(-1)


def hops(mesh: Mesh, source: I64, target: I64) -> tuple[I64, I64]:
    """Return east-west and north-south hops of messages between endpoints, by XY routing."""
    w = wires(mesh)
    sx, sy = np.divmod(w.router[source], mesh.height)
    tx, ty = np.divmod(w.router[target], mesh.height)
    return np.abs(tx - sx), np.abs(ty - sy)


def token_ticks(mesh: Mesh, source: I64, target: I64) -> I64:
    """Time of a barrier token from endpoint to endpoint, by the links of XY routing (the same both ways)."""
    w = wires(mesh)
    sx, sy = np.divmod(w.router[source], mesh.height)
    tx, ty = np.divmod(w.router[target], mesh.height)
    chips = np.abs(sx // mesh.chip_width - tx // mesh.chip_width) if mesh.chip_width else np.zeros_like(sx)
    boards = np.abs(sx // mesh.board_width - tx // mesh.board_width) if mesh.board_width else np.zeros_like(sx)
    inside = mesh.barrier_hop_ticks * (np.abs(sx - tx) + np.abs(sy - ty) - chips)
    ticks: I64 = inside + mesh.chip_barrier_ticks * (chips - boards) + mesh.board_barrier_ticks * boards
    return ticks
