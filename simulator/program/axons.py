"""The axon table of a program: to which cores each neuron sends, and how many synapses wait there."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from simulator.base.arrays import I32, I64, U64, Bools
from simulator.base.errors import InputError
from simulator.base.intrinsics import trailing_zeros
from simulator.neurons import base
from simulator.program.graph import Projection
from simulator.program.program import Program
from simulator.program.shared import SharedProjection

_ONE = np.uint64(1)


@dataclass(frozen=True, eq=False)
class AxonTable:
    """Distinct destination cores of every neuron, CSR by logical id; one packet per spike and row entry.

    The neuron's own core counts as a destination like any other. Projections of one neuron to the same core share the
    packet. Packets to the host (spikes of an output population) are not in the table.

    Attributes:
        ptr: int64 [N + 1].
        dst: int32 [A], destination core, ascending and unique in a row.
        n_syn: int32 [A], synapses of the neuron on that core (what one packet makes the core do).
    """

    ptr: I64
    dst: I32
    n_syn: I32

    @property
    def fan_cores(self) -> I64:
        """Distinct destination cores of each neuron, int64 [N]."""
        return np.diff(self.ptr)


def axon_table(program: Program) -> AxonTable:
    """Return the axon table of a program.

    Raises:
        InputError: a synapse ends on a neuron that has no core.
    """
    first, population = program.first_ids(), {p.name: p for p in program.populations}
    n_cores = int(program.core.max(initial=-1)) + 1
    room = sum(_most_axons(p, n_cores) for p in program.projections) + 1
    ptr = np.zeros(program.n_neurons + 1, np.int64)
    dst, n_syn = np.empty(room, np.int32), np.empty(room, np.int32)  # what is not needed is never touched
    for name, size in ((p.name, p.size) for p in program.populations):
        rows = ptr[first[name] : first[name] + size + 1]
        leaving = [p for p in program.projections if p.source == name]
        cores = [program.core[first[p.target] :][p.first : population[p.target].size] for p in leaving]
        for p, core in zip(leaving, cores, strict=True):
            check_placed(p, core)
        if len(leaving) == 1:
            _fill(leaving[0], cores[0], n_cores, rows, dst, n_syn)
        else:
            _merge([_of_projection(*pc, n_cores) for pc in zip(leaving, cores, strict=True)], n_cores, rows, dst, n_syn)
    return AxonTable(ptr, dst[: ptr[-1]], n_syn[: ptr[-1]])


def host_readers(program: Program) -> Bools:
    """Return neurons whose spikes the host reads: output populations that emit something, bool [N]."""
    parts = [np.full(p.size, p.role == "output" and base.get(p.model).emits != "none") for p in program.populations]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def check_placed(p: Projection, core: I32) -> None:
    """Raise `InputError` if a synapse ends on a neuron without a core; ``core`` is that of its targets, from `first` on."""
    if not core.size or int(core.min()) >= 0 or not p.indices.size:
        return
    if isinstance(p, SharedProjection) or int(core[p.indices].min()) < 0:
        raise InputError(f"projection {p.name!r}", "ends on neurons that have no core", "Place its target population")


def _of_projection(p: Projection, core: I32, n_cores: int) -> tuple[I64, I32, I32]:
    ptr, room = np.zeros(p.indptr.size, np.int64), _most_axons(p, n_cores) + 1
    dst, n_syn = np.empty(room, np.int32), np.empty(room, np.int32)
    _fill(p, core, n_cores, ptr, dst, n_syn)
    return ptr, dst[: ptr[-1]], n_syn[: ptr[-1]]


def _most_axons(p: Projection, n_cores: int) -> int:
    if isinstance(p, SharedProjection):
        return int(np.minimum(np.diff(p.indptr), n_cores).sum())
    return int(p.indices.size)


def _fill(p: Projection, core: I32, n_cores: int, ptr: I64, dst: I32, n_syn: I32) -> None:
    if isinstance(p, SharedProjection):
        _fill_shared(p.row, p.offset, p.template, p.indices, core, n_cores, ptr, dst, n_syn)
    else:
        _fill_cores(p.indptr, p.indices, core, n_cores, ptr, dst, n_syn)


def _merge(tables: list[tuple[I64, I32, I32]], n_cores: int, ptr: I64, dst: I32, n_syn: I32) -> None:
    if not tables:
        ptr[:] = ptr[0]
        return
    starts = np.cumsum([0] + [t[1].size for t in tables[:-1]])
    rows = np.stack([t[0] + s for t, s in zip(tables, starts, strict=True)])
    cores, counts = np.concatenate([t[1] for t in tables]), np.concatenate([t[2] for t in tables])
    _merge_rows(rows, cores, counts, n_cores, ptr, dst, n_syn)


@numba.njit(cache=True, nogil=True)
def _fill_cores(indptr: I64, indices: I32, core: I32, n_cores: int, ptr: I64, dst: I32, n_syn: I32) -> None:
    """Fill rows from ``ptr[0]`` on; without branches and with unsigned indices, for half of the synapses meet a new core."""
    count, words, top = _marks(n_cores)
    at = np.uint64(ptr[0])
    for row in range(indptr.size - 1):
        for k in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            c = np.uint32(core[np.uint32(indices[k])])
            count[c] += 1
            words[c >> np.uint32(6)] |= _ONE << np.uint64(c & np.uint32(63))
            top[c >> np.uint32(12)] |= _ONE << np.uint64((c >> np.uint32(6)) & np.uint32(63))
        at = _write_row(count, words, top, at, dst, n_syn)
        ptr[row + 1] = at


@numba.njit(cache=True, nogil=True)
def _fill_shared(
    rows: I32, offset: I32, template: I64, indices: I32, core: I32, n_cores: int, ptr: I64, dst: I32, n_syn: I32
) -> None:
    """Do as `_fill_cores` for shared rows."""
    count, words, top = _marks(n_cores)
    at = np.uint64(ptr[0])
    for i in range(rows.size):
        for k in range(template[rows[i]], template[rows[i] + 1]):
            c = np.uint32(core[indices[k] + offset[i]])
            count[c] += 1
            words[c >> np.uint32(6)] |= _ONE << np.uint64(c & np.uint32(63))
            top[c >> np.uint32(12)] |= _ONE << np.uint64((c >> np.uint32(6)) & np.uint32(63))
        at = _write_row(count, words, top, at, dst, n_syn)
        ptr[i + 1] = at


@numba.njit(cache=True, nogil=True)
def _marks(n_cores: int) -> tuple[I32, U64, U64]:
    """Make counters of all cores, a bit for each core that was met, a bit for each word of those."""
    words = n_cores // 64 + 1
    return np.zeros(n_cores, np.int32), np.zeros(words, np.uint64), np.zeros(words // 64 + 1, np.uint64)


@numba.njit(cache=True, nogil=True)
def _write_row(count: I32, words: U64, top: U64, at: np.uint64, dst: I32, n_syn: I32) -> np.uint64:
    """Write a row's cores in ascending order, by its bits, and clear counters and bits."""
    for t in range(np.uint64(top.size)):
        while top[t]:
            w = (t << np.uint64(6)) | trailing_zeros(top[t])
            top[t] &= top[t] - _ONE
            bits = words[w]
            words[w] = np.uint64(0)
            while bits:
                c = (w << np.uint64(6)) | trailing_zeros(bits)
                bits &= bits - _ONE
                dst[at], n_syn[at] = np.int32(c), count[c]
                count[c] = 0
                at += _ONE
    return at


@numba.njit(cache=True, nogil=True)
def _merge_rows(
    rows: I64, dst: I32, n_syn: I32, n_cores: int, ptr: I64, out_dst: I32, out_syn: I32
) -> None:  # fmt: skip
    count, words, top = _marks(n_cores)
    at = np.uint64(ptr[0])
    for row in range(rows.shape[1] - 1):
        for table in range(rows.shape[0]):
            for k in range(np.uint64(rows[table, row]), np.uint64(rows[table, row + 1])):
                c = np.uint32(dst[k])
                count[c] += n_syn[k]
                words[c >> np.uint32(6)] |= _ONE << np.uint64(c & np.uint32(63))
                top[c >> np.uint32(12)] |= _ONE << np.uint64((c >> np.uint32(6)) & np.uint32(63))
        at = _write_row(count, words, top, at, out_dst, out_syn)
        ptr[row + 1] = at
