"""The axon table of a program: to which cores each neuron sends, and how many synapses wait there."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.graph import Projection
from simulator.neurons import base
from simulator.program import Program

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]


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
    """The axon table of a program.

    Raises:
        InputError: a synapse ends on a neuron that has no core.
    """
    first = program.first_ids()
    n_cores = int(program.core.max(initial=-1)) + 1
    parts: list[tuple[I64, I32, I32]] = []
    for population in program.populations:
        tables = []
        for p in program.projections:
            if p.source == population.name:
                core = program.core[first[p.target] : first[p.target] + program.population(p.target).size]
                tables.append(_of_projection(p, core, n_cores))
        parts.append(_merge(tables, population.size, n_cores))
    ptr = np.zeros(program.n_neurons + 1, np.int64)
    np.cumsum(np.concatenate([np.diff(p[0]) for p in parts]), out=ptr[1:])
    return AxonTable(ptr, np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts]))


def host_readers(program: Program) -> npt.NDArray[np.bool_]:
    """Neurons whose spikes the host reads: output populations that emit something, bool [N]."""
    parts = [np.full(p.size, p.role == "output" and base.get(p.model).emits != "none") for p in program.populations]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def check_placed(p: Projection, core: I32) -> None:
    """Raise `InputError` if a synapse ends on a neuron without a core; ``core`` is that of the target population."""
    if core.size and int(core.min()) < 0 and p.indices.size and int(core[p.indices].min()) < 0:
        raise InputError(f"projection {p.name!r}", "ends on neurons that have no core", "Place its target population")


def _of_projection(p: Projection, core: I32, n_cores: int) -> tuple[I64, I32, I32]:
    check_placed(p, core)
    ptr = np.zeros(p.indptr.size, np.int64)
    _count_cores(p.indptr, p.indices, core, n_cores, ptr)
    dst, n_syn = np.empty(ptr[-1], np.int32), np.empty(ptr[-1], np.int32)
    _fill_cores(p.indptr, p.indices, core, n_cores, ptr, dst, n_syn)
    return ptr, dst, n_syn


def _merge(tables: list[tuple[I64, I32, I32]], size: int, n_cores: int) -> tuple[I64, I32, I32]:
    if not tables:
        return np.zeros(size + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int32)
    if len(tables) == 1:
        return tables[0]
    starts = np.cumsum([0] + [t[1].size for t in tables[:-1]])
    rows = np.stack([t[0] + s for t, s in zip(tables, starts, strict=True)])
    dst, n_syn = np.concatenate([t[1] for t in tables]), np.concatenate([t[2] for t in tables])
    return _merge_rows(rows, dst, n_syn, n_cores)


@numba.njit(cache=True, nogil=True)
def _count_cores(indptr: I64, indices: I32, core: I32, n_cores: int, ptr: I64) -> None:
    seen = np.full(n_cores, -1, np.int64)
    total = 0
    for row in range(indptr.size - 1):
        for k in range(indptr[row], indptr[row + 1]):
            c = core[indices[k]]
            if seen[c] != row:
                seen[c] = row
                total += 1
        ptr[row + 1] = total


@numba.njit(cache=True, nogil=True)
def _fill_cores(indptr: I64, indices: I32, core: I32, n_cores: int, ptr: I64, dst: I32, n_syn: I32) -> None:
    count = np.zeros(n_cores, np.int32)
    touched = np.empty(n_cores, np.int32)
    for row in range(indptr.size - 1):
        n = 0
        for k in range(indptr[row], indptr[row + 1]):
            c = core[indices[k]]
            if count[c] == 0:
                touched[n] = c
                n += 1
            count[c] += 1
        _write_row(touched, n, count, ptr[row], dst, n_syn)


@numba.njit(cache=True, nogil=True)
def _write_row(touched: I32, n: int, count: I32, at: int, dst: I32, n_syn: I32) -> None:
    """Write a row's cores in ascending order and clear the counters: by scan or by sort, whichever is less work."""
    if n * 8 > count.size:
        for c in range(count.size):
            if count[c] > 0:
                dst[at], n_syn[at] = c, count[c]
                count[c] = 0
                at += 1
        return
    touched[:n].sort()
    for k in range(n):
        dst[at + k], n_syn[at + k] = touched[k], count[touched[k]]
        count[touched[k]] = 0


@numba.njit(cache=True, nogil=True)
def _merge_rows(rows: I64, dst: I32, n_syn: I32, n_cores: int) -> tuple[I64, I32, I32]:
    size = rows.shape[1] - 1
    ptr = np.zeros(size + 1, np.int64)
    out_dst, out_syn = np.empty(dst.size, np.int32), np.empty(dst.size, np.int32)
    count = np.zeros(n_cores, np.int32)
    touched = np.empty(n_cores, np.int32)
    for row in range(size):
        n = 0
        for table in range(rows.shape[0]):
            for k in range(rows[table, row], rows[table, row + 1]):
                if count[dst[k]] == 0:
                    touched[n] = dst[k]
                    n += 1
                count[dst[k]] += n_syn[k]
        _write_row(touched, n, count, ptr[row], out_dst, out_syn)
        ptr[row + 1] = ptr[row] + n
    return ptr, out_dst[: ptr[size]].copy(), out_syn[: ptr[size]].copy()
