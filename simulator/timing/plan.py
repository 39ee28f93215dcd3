"""Messages between cores: a program on a mesh as flat tables, from which each step's `StepWork` is expanded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Bools
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.neurons import base
from simulator.program.axons import AxonTable, axon_table, host_readers
from simulator.program.chip import check_cores
from simulator.program.program import HOST, Program
from simulator.program.work import operations
from simulator.timing.contract import Mesh
from simulator.timing.scale import Costs, costs_of, mesh_of, tiles_in_use
from simulator.timing.wires import wires


@dataclass(frozen=True, eq=False)
class Plan:
    """A program on a mesh.

    A *position* is a place in the order in which the endpoints work: by endpoint, then by logical neuron id. The host is
    the last endpoint; it sends input spikes without any work of its own and takes packets at the speed of its link.

    Attributes:
        mesh, costs: the hardware.
        base: int64 [C + 1], positions of endpoint c are [base[c], base[c+1]).
        neuron: int32 [positions], logical id.
        position: int32 [N], inverse of `neuron`.
        update_active, update_inactive: int64 [positions], ticks of an update (0 for inputs).
        spike: int32 [positions], ticks of a spike (0 for inputs).
        out: int32 [C], ticks of each packet that leaves.
        ptr: int64 [positions + 1], rows of the packets of one spike; where the mesh multicasts, leaves of its one packet.
        dst, srv: int32 [packets], destination and service ticks.
    """

    mesh: Mesh
    costs: Costs
    base: I64
    neuron: I32
    position: I32
    update_active: I64
    update_inactive: I64
    spike: I32
    out: I32
    ptr: I64
    dst: I32
    srv: I32

    @property
    def uniform(self) -> bool:
        """True if an update costs the same with and without input, so that timing need not know who got input."""
        return bool((self.update_active == self.update_inactive).all())


def make_plan(program: Program, chip: Chip, mesh: Mesh | None = None, axons: AxonTable | None = None) -> Plan:
    """Return the tables of a program on a chip; `mesh` overrides the chip's own, `axons` saves their computation.

    Raises:
        InputError: the chip has no times, or the program uses a core that the mesh cannot reach.
    """
    axons = axon_table(program) if axons is None else axons
    to_host = host_readers(program)
    outside = program.core == HOST
    with_host = bool((outside & (axons.fan_cores > 0)).any() or (to_host & ~outside).any())
    if mesh is None:
        mesh = mesh_of(chip, tiles_in_use(program.core[~outside], chip), with_host)
    check_cores(program, chip, mesh.n_cores)
    endpoint = np.where(outside, mesh.n_cores, program.core)
    neuron = np.argsort(endpoint, kind="stable").astype(np.int32)
    neuron = neuron[endpoint[neuron] < mesh.n_endpoints]  # host neurons of a mesh without a host never send
    position = np.full(program.n_neurons, -1, np.int32)
    position[neuron] = np.arange(neuron.size)
    costs = costs_of(chip)
    driven = _driven(program)[neuron]
    ptr, dst, srv = _packets(axons, neuron, to_host & ~outside, mesh, costs)
    if mesh.multicast:
        dst, srv = _by_place(mesh, ptr, dst, srv)
    out = np.full(mesh.n_endpoints, costs.out, np.int32)
    out[mesh.n_cores :] = 0
    return Plan(
        mesh=mesh,
        costs=costs,
        base=np.searchsorted(endpoint[neuron], np.arange(mesh.n_endpoints + 1)).astype(np.int64),
        neuron=neuron,
        position=position,
        update_active=np.where(driven, 0, _updates(program, chip, costs, costs.update_active)[neuron]),
        update_inactive=np.where(driven, 0, _updates(program, chip, costs, costs.update_inactive)[neuron]),
        spike=np.where(driven, 0, costs.spike).astype(np.int32),
        out=out,
        ptr=ptr,
        dst=dst,
        srv=srv,
    )


def _driven(program: Program) -> Bools:
    """Return neurons without an update of their own (driven from outside), bool [N]."""
    parts = [np.full(p.size, p.model == INPUT_MODEL or base.get(p.model).kernel is None) for p in program.populations]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def _updates(program: Program, chip: Chip, costs: Costs, native: int) -> I64:
    """Return ticks of an update of each neuron: the chip's own for native models, by its operations for others, int64 [N]."""
    parts = [np.zeros(0, np.int64)]
    for p in program.populations:
        own = chip.capabilities.is_native(p.model) or p.model == INPUT_MODEL
        programmed = None if own else costs.programmed(operations(p))
        parts.append(np.full(p.size, native if programmed is None else programmed, np.int64))
    return np.concatenate(parts)


def _packets(axons: AxonTable, neuron: I32, to_host: Bools, mesh: Mesh, costs: Costs) -> tuple[I64, I32, I32]:
    """Return the packets of one spike of each position: its destination cores in ascending order, then the host."""
    ptr = np.zeros(neuron.size + 1, np.int64)
    np.cumsum(axons.fan_cores[neuron] + to_host[neuron], out=ptr[1:])
    dst, srv = np.empty(ptr[-1], np.int32), np.empty(ptr[-1], np.int32)
    table = np.array([costs.service(n) for n in range(int(axons.n_syn.max(initial=0)) + 1)], np.int32)
    _gather(neuron, axons.ptr, axons.dst, axons.n_syn, table, ptr, dst, srv)
    last = ptr[1:][to_host[neuron]] - 1
    dst[last], srv[last] = mesh.n_cores, mesh.flits
    return ptr, dst, srv


def _by_place(mesh: Mesh, ptr: I64, dst: I32, srv: I32) -> tuple[I32, I32]:
    """Return the rows of each position sorted as the leaves of a packet are: the host finds its place."""
    order = np.lexsort((wires(mesh).leaf_key[dst], np.repeat(np.arange(ptr.size - 1), np.diff(ptr))))
    return dst[order], srv[order]


@numba.njit(cache=True, nogil=True)
def _gather(
    neuron: Any, ax_ptr: Any, ax_dst: Any, ax_syn: Any, table: Any, ptr: Any, dst: Any, srv: Any
) -> None:  # fmt: skip
    """Gather rows of the axon table in the order of the positions; a packet to the host, last in its row, is left out."""
    for i in range(neuron.size):
        at, of = np.uint64(ptr[i]), np.uint32(neuron[i])
        for a in range(np.uint64(ax_ptr[of]), np.uint64(ax_ptr[of + np.uint32(1)])):
            dst[at], srv[at] = ax_dst[a], table[np.uint32(ax_syn[a])]
            at += np.uint64(1)
