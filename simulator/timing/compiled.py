"""The compiled engine: the same times as `clocked`, by the event kernel of `kernel`; many steps in one call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulator.base.arrays import I32, I64, U64
from simulator.base.errors import InputError
from simulator.timing.check import check_mesh, check_work
from simulator.timing.contract import Mesh, StepTimes, StepWork
from simulator.timing.kernel import time_steps
from simulator.timing.neighbours import LocalTimes, LocalWork
from simulator.timing.tokens import Tables
from simulator.timing.wires import wires
from simulator.timing.words import pack

_NONE = np.zeros(0, np.int64)
_NO_STAMPS = np.zeros((0, 5), np.int64)


@dataclass(frozen=True, eq=False)
class _Tables:
    entry: U64
    where: U64
    place: U64
    far: U64
    link_ticks: U64
    port_bits: int
    row: I64  # [R, P], kernel's row of each output


@lru_cache(maxsize=64)
def _tables(mesh: Mesh) -> _Tables:
    """Return the kernel's view of a mesh: rows of a router padded to a power of two."""
    check_mesh(mesh)
    if mesh.n_endpoints >= 1 << 24 or max(mesh.width, mesh.height) >= 1 << 20:
        raise InputError("mesh", f"has {mesh.n_endpoints} endpoints; the engine's limit is {1 << 24}")
    w, ports = wires(mesh), mesh.n_ports
    bits = (ports - 1).bit_length()
    row = np.arange(mesh.n_routers)[:, None] * (1 << bits) + np.arange(ports)[None, :]
    far = np.full(mesh.n_routers << bits, mesh.n_routers << bits, np.int64)  # an edge's output feeds no row
    inner = w.far_end >= 0
    far[row.reshape(-1)[inner]] = row.reshape(-1)[w.far_end[inner]]
    local = w.endpoint >= 0
    far[row.reshape(-1)[local]] = w.endpoint[local]
    place = w.x << 40 | w.y << 16
    entry = row[w.router, w.port]
    link = np.full(mesh.n_routers << bits, 1, np.int64)
    link[row.reshape(-1)] = w.hop_ticks << 32 | w.flits
    return _Tables(
        entry=entry.astype(np.uint64),
        where=(place[w.router] | w.side << 8 | w.port).astype(np.uint64),
        place=place.astype(np.uint64),
        far=far.astype(np.uint64),
        link_ticks=link.astype(np.uint64),
        port_bits=bits,
        row=row,
    )


@dataclass(frozen=True, eq=False)
class Timed:
    """Results of several steps.

    Attributes:
        stamps: int64 [M, 5], or [0, 5] where they were not asked for.
        soma_end, quiet: int64 [T, C].
        link_busy: int64 [R, P], over all steps.
    """

    stamps: I64
    soma_end: I64
    quiet: I64
    link_busy: I64


def run_steps(
    mesh: Mesh, off: I64, gap: I32, carries: U64, tail: I32, start: I64, rel: I64 = _NONE, stamps: bool = False,
    local: Tables | None = None, ends: U64 | None = None,
) -> Timed:  # fmt: skip
    """Time T independent steps, not checked: the caller made the arrays (see `expand.Chunk` for their shapes).

    With `local`, times of one piece of work whose endpoints shake hands with their neighbours; its results are in `local`.

    Times count from tick 0, at or after which every endpoint starts.
    """
    t = _tables(mesh)
    steps, n = tail.shape
    soma_end, quiet = np.zeros((steps, n), np.int64), np.zeros((steps, n), np.int64)
    grants = np.zeros(t.far.size, np.int64)
    out = np.zeros((carries.size, 5), np.int64) if stamps else _NO_STAMPS
    u = np.uint64
    time_steps(
        off, gap, rel, carries, tail, start,
        t.entry, t.where, t.place, t.far, t.link_ticks, u(max(1, int(carries.size)).bit_length()), u(t.port_bits),
        u(mesh.n_links), u(mesh.enqueue_ticks), u(mesh.port_slots), u(mesh.core_slots), mesh.arbiter == "rr",
        out, soma_end, quiet, grants, ends, local,
    )  # fmt: skip
    return Timed(out, soma_end, quiet, grants[t.row] * wires(mesh).flits.reshape(mesh.n_routers, mesh.n_ports))


def run_compiled(mesh: Mesh, work: StepWork) -> StepTimes:
    """Return the times of one step, equal to `run_clocked` to the tick.

    Raises:
        InputError: the mesh or the work is not well formed, or its times leave the kernel's range.
    """
    check_mesh(mesh)
    check_work(mesh, work)
    first = int(work.start.min(initial=0))
    _check_range(mesh, work, first)
    rel = np.maximum(work.rel - first, 0) if work.rel.any() else _NONE
    carries, tail = pack(work.dst, work.srv), work.tail[None, :]
    timed = run_steps(
        mesh, work.off[None, :], work.gap, carries, tail, work.start - first, rel, stamps=True, ends=_unsigned(work)
    )
    return StepTimes(timed.stamps + first, timed.soma_end[0] + first, timed.link_busy)


def run_compiled_local(mesh: Mesh, local: LocalWork) -> LocalTimes:
    """Time a run whose cores synchronise by neighbours, equal to `clocked.run_clocked_local` to the tick.

    Raises:
        InputError: the mesh or the work is not well formed, or its times leave the kernel's range.
    """
    check_mesh(mesh)
    check_work(mesh, local.work)
    steps, n = local.tail.shape
    tokens = int(local.neighbours.ticks.max(initial=0)) * 2 + mesh.handshake_ticks
    _check_range(mesh, local.work, -steps * tokens - int(local.tail.sum(axis=0, dtype=np.int64).max(initial=0)))
    t = tables_of(mesh, local)
    work = local.work
    carries, none = pack(work.dst, work.srv), np.zeros((1, n), np.int32)
    timed = run_steps(
        mesh, work.off[None, :], work.gap, carries, none, work.start, stamps=True, local=t, ends=_unsigned(work)
    )
    return LocalTimes(timed.stamps, t.starts, t.ends, t.quiets, timed.link_busy)


def tables_of(mesh: Mesh, local: LocalWork) -> Tables:
    """Return the kernel's view of a handshake, before its first step."""
    steps, n = local.tail.shape
    near = local.neighbours
    zero = np.zeros(n, np.int64)
    return Tables(
        first=local.first, tail=local.tail, due=local.due, ptr=near.ptr, who=near.who, ticks=near.ticks, sends=near.sends,
        senders=near.senders, handshake=mesh.handshake_ticks, step=zero.copy(), finished=zero.copy(),
        missing=near.senders + local.due[0] + 1 if steps else zero.copy(), known=zero.copy(),
        waiting=np.tile(np.diff(near.ptr) + 1, (2, 1)), begins=np.zeros((2, n), np.int64), ended=zero.copy(), told=zero.copy(),
        starts=np.zeros((steps, n), np.int64), ends=np.zeros((steps, n), np.int64), quiets=np.zeros((steps, n), np.int64),
    )  # fmt: skip


def _unsigned(work: StepWork) -> U64 | None:
    return None if work.ends is None else work.ends.astype(np.uint64)


def _check_range(mesh: Mesh, work: StepWork, first: int) -> None:
    """Check that every tick, shifted by the bits of a message number, stays below 2**62."""
    w = wires(mesh)
    longest = int(work.start.max(initial=0)) + int(work.rel.max(initial=0)) - first
    work_ticks = int(work.gap.sum(dtype=np.int64)) + int(work.srv.sum(dtype=np.int64)) + int(work.tail.max(initial=0))
    per_message = (mesh.width + mesh.height + 2) * int(w.hop_ticks.max() + w.flits.max()) + mesh.enqueue_ticks
    ticks = longest + work_ticks + work.dst.size * per_message
    if ticks.bit_length() + int(work.dst.size).bit_length() > 61:
        raise InputError(
            "step work", f"may last {ticks} ticks with {work.dst.size} messages, beyond the kernel's range",
            "Choose a coarser tick or fewer messages at once",
        )  # fmt: skip
