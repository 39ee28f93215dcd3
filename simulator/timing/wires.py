"""How the mesh is wired: the tables that every engine reads (which output a packet needs, where a link ends)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from simulator.timing.contract import EAST, I64, LOCAL, NORTH, SOUTH, WEST, Mesh

MAX_PORTS = 64
_OPPOSITE = {NORTH: SOUTH, EAST: WEST, SOUTH: NORTH, WEST: EAST}
_STEP = {NORTH: (0, 1), EAST: (1, 0), SOUTH: (0, -1), WEST: (-1, 0)}


@dataclass(frozen=True, eq=False)
class Wires:
    """Tables of a mesh. A port's row is router * n_ports + port; input and output ports are numbered alike.

    Attributes:
        router: int64 [C], router of each endpoint.
        port: int64 [C], its local port there.
        direction: uint8 [R, R], output direction from a router towards another (x first); LOCAL on the diagonal.
        far_end: int64 [R * P], input row that an output's link feeds; -1 at the mesh's edge and for local ports.
        hop_ticks: int64 [R * P], grant -> head in the next buffer, of each output.
        flits: int64 [R * P], ticks that a packet occupies each output's link (and the input that it leaves).
        endpoint: int64 [R * P], endpoint behind a local port, else -1.
        barrier_ticks: int64 [C], time of a barrier token between each endpoint's router and router 0, the root.
    """

    router: I64
    port: I64
    direction: npt.NDArray[np.uint8]
    far_end: I64
    hop_ticks: I64
    flits: I64
    endpoint: I64
    barrier_ticks: I64


@lru_cache(maxsize=64)
def wires(mesh: Mesh) -> Wires:
    """The tables of a mesh (cached: a mesh is frozen)."""
    cores = np.arange(mesh.n_cores, dtype=np.int64)
    router, port = cores // mesh.cores_per_router, LOCAL + cores % mesh.cores_per_router
    if mesh.host is not None:
        router = np.append(router, mesh.host[0] * mesh.height + mesh.host[1])
        port = np.append(port, LOCAL + mesh.cores_per_router)
    endpoint = np.full(mesh.n_routers * mesh.n_ports, -1, np.int64)
    endpoint[router * mesh.n_ports + port] = np.arange(mesh.n_endpoints)
    hop, flits = _link_times(mesh)
    return Wires(router, port, _directions(mesh), _far_ends(mesh), hop, flits, endpoint, _barrier_ticks(mesh, router))


def _link_times(mesh: Mesh) -> tuple[I64, I64]:
    hop = np.full((mesh.n_routers, mesh.n_ports), mesh.hop_ticks[LOCAL], np.int64)
    hop[:, :LOCAL] = mesh.hop_ticks[:LOCAL]
    flits = np.full((mesh.n_routers, mesh.n_ports), mesh.flits, np.int64)
    if mesh.chip_width:
        x = np.arange(mesh.n_routers) // mesh.height
        for out, edge in ((EAST, mesh.chip_width - 1), (WEST, 0)):
            crosses = x % mesh.chip_width == edge
            hop[crosses, out] = mesh.chip_hop_ticks + mesh.chip_flits - mesh.flits
            flits[crosses, out] = mesh.chip_flits
    return hop.reshape(-1), flits.reshape(-1)


def _barrier_ticks(mesh: Mesh, router: I64) -> I64:
    x, y = np.divmod(router, mesh.height)
    crossings = x // mesh.chip_width if mesh.chip_width else np.zeros_like(x)
    ticks: I64 = mesh.barrier_hop_ticks * (x + y - crossings) + mesh.chip_barrier_ticks * crossings
    return ticks


def _directions(mesh: Mesh) -> npt.NDArray[np.uint8]:
    """XY routing: east or west until the column fits, then north or south."""
    x, y = np.divmod(np.arange(mesh.n_routers), mesh.height)
    dx, dy = x[None, :] - x[:, None], y[None, :] - y[:, None]
    vertical = np.where(dy > 0, NORTH, np.where(dy < 0, SOUTH, LOCAL))
    return np.where(dx > 0, EAST, np.where(dx < 0, WEST, vertical)).astype(np.uint8)


def _far_ends(mesh: Mesh) -> I64:
    far_end = np.full(mesh.n_routers * mesh.n_ports, -1, np.int64)
    for r in range(mesh.n_routers):
        x, y = divmod(r, mesh.height)
        for out, (dx, dy) in _STEP.items():
            if 0 <= x + dx < mesh.width and 0 <= y + dy < mesh.height:
                neighbour = (x + dx) * mesh.height + y + dy
                far_end[r * mesh.n_ports + out] = neighbour * mesh.n_ports + _OPPOSITE[out]
    return far_end


def hops(mesh: Mesh, source: I64, target: I64) -> tuple[I64, I64]:
    """East-west and north-south hops of messages between endpoints, by XY routing."""
    w = wires(mesh)
    sx, sy = np.divmod(w.router[source], mesh.height)
    tx, ty = np.divmod(w.router[target], mesh.height)
    return np.abs(tx - sx), np.abs(ty - sy)
