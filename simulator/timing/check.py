"""Checks of a mesh and its work. Every engine calls them first, so that no kernel meets what it cannot run."""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import I64
from simulator.base.errors import InputError
from simulator.timing.contract import Mesh, StepWork
from simulator.timing.wires import MAX_PORTS, wires

_AT_LEAST_ONE = ("width", "height", "cores_per_router", "flits", "enqueue_ticks", "port_slots", "core_slots")


def check_mesh(mesh: Mesh) -> None:
    """Raise `InputError` unless the mesh can be built: sizes, times and slots at least 1, host on the mesh."""
    for name in _AT_LEAST_ONE:
        if getattr(mesh, name) < 1:
            raise InputError(f"mesh: {name}", f"is {getattr(mesh, name)}; it must be at least 1")
    if len(mesh.hop_ticks) != 5 or min(mesh.hop_ticks) < 1:
        raise InputError("mesh: hop_ticks", f"is {mesh.hop_ticks}; it needs five values (N, E, S, W, local), each >= 1")
    if mesh.arbiter not in ("fifo", "rr"):
        raise InputError("mesh: arbiter", f"is {mesh.arbiter!r}; it must be 'fifo' or 'rr'")
    if min(mesh.barrier_hop_ticks, mesh.sync_ticks, mesh.handshake_ticks) < 0:
        raise InputError("mesh", "has a negative barrier or handshake time")
    if mesh.chip_width < 0 or (mesh.chip_width and mesh.width % mesh.chip_width):
        raise InputError("mesh: chip_width", f"is {mesh.chip_width}; it must divide the {mesh.width} columns")
    if mesh.chip_width and (mesh.chip_hop_ticks < 1 or mesh.chip_flits < mesh.flits or mesh.chip_barrier_ticks < 0):
        raise InputError(
            "mesh: links between chips", "need a hop >= 1, at least the flits of other links, a barrier >= 0"
        )
    if mesh.board_width < 0 or (mesh.board_width and (not mesh.chip_width or mesh.board_width % mesh.chip_width)):
        raise InputError("mesh: board_width", f"is {mesh.board_width}; it must be a multiple of chip_width")
    if mesh.board_width and (mesh.board_hop_ticks < 1 or mesh.board_flits < mesh.flits or mesh.board_barrier_ticks < 0):
        raise InputError(
            "mesh: links between boards", "need a hop >= 1, at least the flits of other links, a barrier >= 0"
        )
    if mesh.networks not in (1, 2):
        raise InputError("mesh: networks", f"is {mesh.networks}; it must be 1 or 2")
    if mesh.n_ports > MAX_PORTS:
        raise InputError("mesh: cores_per_router", f"gives {mesh.n_ports} ports a router; the limit is {MAX_PORTS}")
    if mesh.host is not None and not (0 <= mesh.host[0] < mesh.width and 0 <= mesh.host[1] < mesh.height):
        raise InputError("mesh: host", f"is at {mesh.host}, outside the {mesh.width} x {mesh.height} routers")


def check_work(mesh: Mesh, work: StepWork) -> None:
    """Raise `InputError` unless the work fits the mesh: shapes, ranges, reachable destinations, service >= 1 tick."""
    n, messages = mesh.n_endpoints, work.dst.size
    for name, size in (
        ("off", n + 1),
        ("tail", n),
        ("start", n),
        ("gap", messages),
        ("rel", messages),
        ("srv", messages),
    ):
        if getattr(work, name).shape != (size,):
            raise InputError(f"step work: {name}", f"has shape {getattr(work, name).shape}, not ({size},)")
    if work.off[0] != 0 or work.off[-1] != messages or (np.diff(work.off) < 0).any():
        raise InputError("step work: off", f"does not split the {messages} messages among {n} endpoints")
    if not messages:
        return
    if work.ends is not None:
        _check_packets(mesh, work, work.ends)
    if int(work.dst.min()) < 0 or int(work.dst.max()) >= n:
        worst = int(work.dst.min()) if int(work.dst.min()) < 0 else int(work.dst.max())
        raise InputError("step work: dst", f"names core {worst}; the mesh can reach 0..{n - 1}")
    if int(work.gap.min()) < 0 or int(work.tail.min(initial=0)) < 0:
        raise InputError("step work", "has negative work (gap or tail)")
    if int(work.srv.min()) < 1:
        raise InputError("step work: srv", f"is {int(work.srv.min())}; service takes at least 1 tick")


def _check_packets(mesh: Mesh, work: StepWork, ends: I64) -> None:
    """Raise `InputError` unless packets follow one another within a source, their leaves sorted by place and without a gap."""
    here = np.arange(work.dst.size)
    if ends.shape != here.shape or (ends <= here).any() or ends[-1] != here.size:
        raise InputError("step work: ends", "does not split the messages into packets")
    w = wires(mesh)
    place = w.leaf_key[work.dst]
    source = np.repeat(np.arange(work.off.size - 1), np.diff(work.off))
    further = np.flatnonzero(ends[:-1] > here[1:]) + 1
    apart = (ends[further] != ends[further - 1]) | (source[further] != source[further - 1])
    if (apart | (place[further] <= place[further - 1]) | (work.gap[further] != 0)).any():
        raise InputError(
            "step work: ends", "has a packet whose leaves are not of one source, sorted by place, without a gap"
        )
