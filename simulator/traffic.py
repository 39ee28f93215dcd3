"""Packets and hops of spikes: who sends how many to where over the mesh, without any timing.

A spike makes one packet per distinct destination core (its own core included); a packet from router (x, y) to (x', y')
takes |x - x'| east-west and |y - y'| north-south hops. Inputs that live outside the chip enter at the host port, spikes of
output populations leave there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.axons import AxonTable, host_readers
from simulator.chip import Topology
from simulator.program import HOST, Program

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Reach:
    """What one spike of each neuron sends, int64 [N] each.

    Attributes:
        packets: sent by its core, to cores and to the host (0 where the neuron lives at the host).
        in_tile: of these, to cores of the same router.
        hops_ew, hops_ns: of all its packets.
        host_in: packets that enter the chip from the host.
        host_out: packets that leave for the host.
    """

    packets: I64
    in_tile: I64
    hops_ew: I64
    hops_ns: I64
    host_in: I64
    host_out: I64


def reach(program: Program, axons: AxonTable, topology: Topology | None) -> Reach:
    """What one spike of each neuron sends; hops are 0 without a topology."""
    n = program.n_neurons
    per = topology.cores_per_router if topology else 1
    height = topology.height if topology else 1
    port_x, port_y = topology.host_port if topology else (0, 0)
    source = np.repeat(np.arange(n), axons.fan_cores)
    outside = program.core == HOST
    router = program.core // per
    x, y = np.where(outside, port_x, router // height), np.where(outside, port_y, router % height)
    to = axons.dst // per
    ew, ns = np.abs(to // height - x[source]), np.abs(to % height - y[source])
    leaves = host_readers(program) & ~outside
    hops_ew = np.bincount(source, ew, n).astype(np.int64) + leaves * np.abs(x - port_x)
    hops_ns = np.bincount(source, ns, n).astype(np.int64) + leaves * np.abs(y - port_y)
    here = np.bincount(source, (to == router[source]) & ~outside[source], n).astype(np.int64)
    fan = axons.fan_cores
    if topology is None:
        hops_ew, hops_ns = np.zeros(n, np.int64), np.zeros(n, np.int64)
    return Reach(
        np.where(outside, 0, fan + leaves), here, hops_ew, hops_ns, np.where(outside, fan, 0), leaves.astype(np.int64)
    )
