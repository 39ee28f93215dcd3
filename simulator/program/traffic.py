"""Packets and hops of spikes: who sends how many to where over the mesh, without any timing.

A spike makes one packet per distinct destination core (its own core included); a packet from router (x, y) to (x', y')
takes |x - x'| hops along the row, of which those from chip to chip are counted apart, and |y - y'| north-south hops. Inputs
that live outside the chip enter at the host port, spikes of output populations leave there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simulator.chips.chip import Topology
from simulator.program.axons import check_placed, host_readers
from simulator.program.program import HOST, Program

I64 = npt.NDArray[np.int64]

_MASK_BYTES = 1 << 26  # destination masks held at a time


@dataclass(frozen=True, eq=False)
class Reach:
    """What one spike of each neuron sends, int64 [N] each.

    Attributes:
        packets: sent by its core, to cores and to the host (0 where the neuron lives at the host).
        in_tile: of these, to cores of the same router.
        hops_ew, hops_ns: of all its packets, within chips.
        hops_chip: of all its packets, from one chip to the next.
        host_in: packets that enter the chip from the host.
        host_out: packets that leave for the host.
    """

    packets: I64
    in_tile: I64
    hops_ew: I64
    hops_ns: I64
    hops_chip: I64
    host_in: I64
    host_out: I64


def reach(program: Program, topology: Topology | None) -> Reach:
    """What one spike of each neuron sends; hops are 0 without a topology."""
    x, y, chip = _routers(program, topology)
    out = np.zeros((5, program.n_neurons), np.int64)  # cores, same router, hops along the row, hops N-S, chips crossed
    for lo, masks in _destinations(program, x.size - 1):
        _measure(masks, program.core[lo : lo + masks.shape[0]], x, y, chip, out[:, lo : lo + masks.shape[0]])
    fan, here, hops_ew, hops_ns, hops_chip = out
    outside = program.core == HOST
    leaves = host_readers(program) & ~outside
    hops_ew += leaves * np.abs(x[program.core] - x[HOST])
    hops_ns += leaves * np.abs(y[program.core] - y[HOST])
    hops_chip += leaves * np.abs(chip[program.core] - chip[HOST])
    hops_ew -= hops_chip
    if topology is None:
        hops_ew[:], hops_ns[:] = 0, 0
    here[outside] = 0
    host_in = np.where(outside, fan, 0)
    packets = np.where(outside, 0, fan + leaves)
    return Reach(packets, here, hops_ew, hops_ns, hops_chip, host_in, leaves.astype(np.int64))


def _routers(program: Program, topology: Topology | None) -> tuple[I64, I64, I64]:
    """Column, row and chip of every core; the last entry is the host's port. Without a mesh, one router a core, one chip."""
    cores = np.arange(int(program.core.max(initial=-1)) + 1)
    if topology is None:
        zero = np.zeros(cores.size + 1, np.int64)
        return np.append(cores, HOST), zero, zero
    router = cores // topology.cores_per_router
    port_x, port_y = topology.host_port
    x, y = np.append(router // topology.height, port_x), np.append(router % topology.height, port_y)
    return x, y, x // topology.width


def _destinations(program: Program, n_cores: int) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
    """Slices of neurons: (logical id of the first, bit set of the destination cores of each)."""
    words = max(1, -(-n_cores // 64))
    rows = max(1, _MASK_BYTES // (8 * words))
    first = program.first_ids()
    for population in program.populations:
        outgoing = [p for p in program.projections if p.source == population.name]
        cores = []
        for p in outgoing:
            core = program.core[first[p.target] : first[p.target] + program.population(p.target).size]
            check_placed(p, core)
            cores.append(core)
        for lo in range(0, population.size if outgoing else 0, rows):
            masks = np.zeros((min(rows, population.size - lo), words), np.uint64)
            for p, core in zip(outgoing, cores, strict=True):
                _mark(p.indptr[lo : lo + masks.shape[0] + 1], p.indices, core, masks)
            yield first[population.name] + lo, masks


@numba.njit(cache=True, nogil=True)
def _mark(indptr: Any, indices: Any, core: Any, masks: Any) -> None:
    for row in range(indptr.size - 1):
        for j in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            c = np.uint64(core[np.uint32(indices[j])])
            masks[row, c >> np.uint64(6)] |= np.uint64(1) << (c & np.uint64(63))


@numba.njit(cache=True, nogil=True)
def _measure(masks: Any, core: Any, x: Any, y: Any, chip: Any, out: Any) -> None:
    for row in range(masks.shape[0]):
        here_x, here_y, here_chip = x[core[row]], y[core[row]], chip[core[row]]
        for c in range(x.size - 1):
            if (masks[row, c >> 6] >> np.uint64(c & 63)) & np.uint64(1):
                ew, ns = abs(x[c] - here_x), abs(y[c] - here_y)
                out[0, row] += 1
                out[1, row] += int(ew + ns == 0)
                out[2, row] += ew
                out[3, row] += ns
                out[4, row] += abs(chip[c] - here_chip)
