"""A chip that is not as it should be, in time: cores that run slow or fast, packets that go round dead links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import simpy

from simulator.base.arrays import Floats, Integers
from simulator.base.errors import InputError
from simulator.program.faults import Detour
from simulator.program.program import HOST
from simulator.timing.contract import EAST, NORTH, SOUTH, WEST, Mesh
from simulator.timing.fabric import Packet, Router
from simulator.timing.plan import Plan


def vary_cores(plan: Plan, factor: Floats) -> Plan:
    """Return a plan whose cores take `factor` times as long for all their work (soma, axon-out, synapses); links do not change.

    Args:
        plan: a program on a mesh.
        factor: float64 [cores], as of `simulator.program.faults.clock_factors`; the host keeps its time.

    Raises:
        InputError: one factor a core is needed, each above 0.
    """
    n = plan.mesh.n_cores
    if factor.shape != (n,) or not (factor > 0).all():
        raise InputError("core factors", f"must be {n} numbers above 0, one a core; they have shape {factor.shape}")
    of_endpoint = np.append(factor, np.ones(plan.mesh.n_endpoints - n))
    of_position = np.repeat(of_endpoint, np.diff(plan.base))
    return replace(
        plan,
        update_active=_scaled(plan.update_active, of_position),
        update_inactive=_scaled(plan.update_inactive, of_position),
        spike=_scaled(plan.spike, of_position),
        out=_scaled(plan.out, of_endpoint),
        srv=np.maximum(1, _scaled(plan.srv, of_endpoint[plan.dst])),
    )


def _scaled(ticks: Integers, factor: Floats) -> Integers:
    return np.asarray(np.rint(ticks * factor), ticks.dtype)


def detour_router(ways: Mapping[tuple[int, int], Detour]) -> type[Router]:
    """Return a router for `run_simpy` that sends some pairs another way, as `simulator.program.faults.detours` found them.

    Other orders than x first can deadlock under heavy load; the engine finds and names that.

    Args:
        ways: (source, destination), each a core or `HOST` -> the row or column to go along.
    """

    class DetourRouter(Router):
        """XY routing, but along a row (y, x, y) or a column (x, y, x) for the pairs whose x-first way is broken."""

        def __init__(self, env: simpy.Environment, mesh: Mesh, number: int) -> None:
            super().__init__(env, mesh, number)
            self._host = mesh.n_cores

        def route(self, packet: Packet, in_port: int) -> int:
            ends = (HOST if c == self._host else c for c in (packet.source, packet.target))
            way = ways.get(tuple(ends))  # type: ignore[arg-type]  # two of them
            if way is None:
                return super().route(packet, in_port)
            x, y = divmod(packet.router, self.mesh.height)
            kind, line = way
            if (x, y) == (self.x, self.y):
                return packet.port
            if kind == "row" and x != self.x:
                return packet.side + self._towards(x, line, x_first=self.y == line)
            if kind == "column" and y != self.y:
                return packet.side + self._towards(line, y, x_first=self.x != line)
            return packet.side + self._towards(x, y, x_first=y == self.y)

        def _towards(self, x: int, y: int, x_first: bool) -> int:
            if x_first:
                return EAST if x > self.x else WEST
            return NORTH if y > self.y else SOUTH

    return DetourRouter
