"""Packets and hops of spikes: who sends how many to where over the mesh, without any timing.

A spike makes one packet per distinct destination core (its own core included); a packet from router (x, y) to (x', y')
takes |x - x'| hops along the row, of which those from chip to chip are counted apart, and |y - y'| north-south hops. Inputs
that live outside the chip enter at the host port, spikes of output populations leave there. Where the mesh multicasts, a spike
makes one packet, which crosses each link of the tree of these ways once; with two networks, of a tree in each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Bools
from simulator.chips.chip import Topology
from simulator.program.axons import AxonTable, axon_table, host_readers
from simulator.program.program import HOST, Program


@dataclass(frozen=True, eq=False)
class Reach:
    """Messages that one spike of each neuron sends, int64 [N] each.

    Attributes:
        packets: sent by its core, to cores and to the host (0 where the neuron lives at the host).
        in_tile: of these, to cores of the same router.
        hops_ew, hops_ns: of all its packets, within chips.
        hops_chip: of all its packets, from one chip to the next on a board.
        hops_board: of all its packets, from one board to the next.
        host_in: packets that enter the chip from the host.
        host_out: packets that leave for the host.
        received: deliveries to cores, of its own packets and those of the host.
    """

    packets: I64
    in_tile: I64
    hops_ew: I64
    hops_ns: I64
    hops_chip: I64
    hops_board: I64
    host_in: I64
    host_out: I64
    received: I64


def reach(program: Program, topology: Topology | None, axons: AxonTable | None = None) -> Reach:
    """Count what one spike of each neuron sends; hops are 0 without a topology. `axons` saves their computation."""
    x, y, chip = _routers(program, topology)
    board = np.zeros_like(chip) if topology is None else topology.board_of(chip)
    axons = axon_table(program) if axons is None else axons
    out = np.zeros((6, program.n_neurons), np.int64)  # cores, same router, columns, rows, chips and boards crossed
    _measure(axons.ptr, axons.dst, program.core, x, y, chip, board, out)
    fan, here, hops_ew, hops_ns, hops_chip, hops_board = out
    outside = program.core == HOST
    leaves = host_readers(program) & ~outside
    if topology is not None and topology.multicast:
        return _trees(axons, program.core, leaves, topology, x, y, chip, board)
    hops_ew += leaves * np.abs(x[program.core] - x[HOST])
    hops_ns += leaves * np.abs(y[program.core] - y[HOST])
    hops_chip += leaves * np.abs(chip[program.core] - chip[HOST])
    hops_board += leaves * np.abs(board[program.core] - board[HOST])
    hops_ew -= hops_chip
    hops_chip -= hops_board
    if topology is None:
        hops_ew[:], hops_ns[:] = 0, 0
    here[outside] = 0
    host_in = np.where(outside, fan, 0)
    packets = np.where(outside, 0, fan + leaves)
    return Reach(packets, here, hops_ew, hops_ns, hops_chip, hops_board, host_in, leaves.astype(np.int64), fan)


def back_hops(program: Program, topology: Topology, axons: AxonTable | None = None) -> tuple[I64, I64]:
    """Count of the hops that one spike of each neuron makes those to the west and to the south, where none multicasts."""
    x, y, _ = _routers(program, topology)
    axons = axon_table(program) if axons is None else axons
    source = np.repeat(np.arange(program.n_neurons), np.diff(axons.ptr))
    here, there = program.core[source], axons.dst
    out = []
    for at in (x, y):
        each = np.zeros(program.n_neurons, np.int64)
        np.add.at(each, source, np.maximum(at[here] - at[there], 0))
        leaves = host_readers(program) & (program.core != HOST)
        out.append(each + leaves * np.maximum(at[program.core] - at[HOST], 0))
    return out[0], out[1]


def _trees(
    axons: AxonTable, core: I32, leaves: Bools, topology: Topology, x: I64, y: I64, chip: I64, board: I64
) -> Reach:  # fmt: skip
    """Return `reach` of a mesh that multicasts."""
    out = np.zeros((7, core.size), np.int64)
    for network in range(topology.networks):
        ours = axons.dst % topology.networks == network
        ptr = np.append(0, np.cumsum(ours))[axons.ptr]
        to_host = leaves & (topology.mesh_cores % topology.networks == network)
        _measure_trees(ptr, axons.dst[ours], core, to_host, x, y, chip, board, out)
    packets, here, hops_ew, hops_ns, hops_chip, hops_board, fan = out
    outside = core == HOST
    here[outside] = 0
    host_in, packets = np.where(outside, packets, 0), np.where(outside, 0, packets)
    within, on_board = hops_ew - hops_chip, hops_chip - hops_board
    return Reach(packets, here, within, hops_ns, on_board, hops_board, host_in, leaves.astype(np.int64), fan)


def _routers(program: Program, topology: Topology | None) -> tuple[I64, I64, I64]:
    """Return column, row and chip of every core; the last entry is the host's port. Without a mesh, one router a core."""
    cores = np.arange(int(program.core.max(initial=-1)) + 1)
    if topology is None:
        zero = np.zeros(cores.size + 1, np.int64)
        return np.append(cores, HOST), zero, zero
    router = cores // topology.cores_per_router
    port_x, port_y = topology.host_port
    x, y = np.append(router // topology.height, port_x), np.append(router % topology.height, port_y)
    return x, y, x // topology.width


@numba.njit(cache=True, nogil=True)
def _measure(ptr: I64, dst: I32, core: I32, x: I64, y: I64, chip: I64, board: I64, out: I64) -> None:
    for neuron in range(ptr.size - 1):
        home = core[neuron]
        here_x, here_y = x[home], y[home]
        for k in range(ptr[neuron], ptr[neuron + 1]):
            c = dst[k]
            ew, ns = abs(x[c] - here_x), abs(y[c] - here_y)
            out[0, neuron] += 1
            out[1, neuron] += int(ew + ns == 0)
            out[2, neuron] += ew
            out[3, neuron] += ns
            out[4, neuron] += abs(chip[c] - chip[home])
            out[5, neuron] += abs(board[c] - board[home])


@numba.njit(cache=True, nogil=True)
def _measure_trees(
    ptr: I64, dst: I32, core: I32, leaves: Bools, x: I64, y: I64, chip: I64, board: I64, out: I64
) -> None:  # fmt: skip
    """Add by neuron packets (one at most), leaves at its router, columns, rows, chips, boards of its tree, leaves at cores."""
    for neuron in range(ptr.size - 1):
        home, to_host = core[neuron], leaves[neuron]
        first, stop = ptr[neuron], ptr[neuron + 1]
        if first == stop and not to_host:
            continue
        out[0, neuron] = 1
        out[6, neuron] += stop - first
        west = east = home  # the ends of the tree's row
        k = first
        while k < stop or to_host:
            # One column: that of the next core, or the host's if no core left lies in it.
            c = dst[k] if k < stop else -1
            low = high = y[home]
            if to_host and (k == stop or x[-1] <= x[c]):
                c, to_host = -1, False
                low, high = min(low, y[c]), max(high, y[c])
            if x[c] < x[west]:
                west = c
            if x[c] > x[east]:
                east = c
            while k < stop and x[dst[k]] == x[c]:
                low, high = min(low, y[dst[k]]), max(high, y[dst[k]])
                out[1, neuron] += int(x[dst[k]] == x[home] and y[dst[k]] == y[home])
                k += 1
            out[3, neuron] += high - low
        out[2, neuron] += x[east] - x[west]
        out[4, neuron] += chip[east] - chip[west]
        out[5, neuron] += board[east] - board[west]
