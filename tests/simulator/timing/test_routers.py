"""Routers that a user replaces: another arbiter changes times, a bad route is a deadlock that is named."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.timing.cases import random_case
from simulator.timing.contract import ARR, EAST, LOCAL, NORTH, SOUTH, WEST, Mesh, StepWork
from simulator.timing.fabric import InputPort, OutputPort, Packet, Router
from simulator.timing.simpy_timing import run_simpy


class YoungestFirst(Router):
    def choose(self, output: OutputPort) -> InputPort:
        return max(output.requests, key=lambda i: (i.queue[0].arrival, i.queue[0].number))


class YFirst(Router):
    def route(self, packet: Packet, in_port: int) -> int:
        x, y = divmod(packet.router, self.mesh.height)
        if y != self.y:
            return NORTH if y > self.y else SOUTH
        if x != self.x:
            return EAST if x > self.x else WEST
        return packet.port


class Carousel(Router):
    """Everything turns clockwise around the ring of 2 x 2 routers before it leaves."""

    def route(self, packet: Packet, in_port: int) -> int:
        if self.number == packet.router and in_port < LOCAL:
            return packet.port
        return {(0, 0): NORTH, (0, 1): EAST, (1, 1): SOUTH, (1, 0): WEST}[self.x, self.y]


def ring_traffic(messages: int) -> StepWork:
    n = 4
    return StepWork(
        off=np.arange(n + 1, dtype=np.int64) * messages,
        gap=np.zeros(n * messages, np.int32),
        rel=np.zeros(n * messages, np.int64),
        dst=np.repeat(np.array([2, 0, 3, 1], np.int32), messages),  # the last router of each turn
        srv=np.ones(n * messages, np.int32),
        tail=np.zeros(n, np.int32),
        start=np.zeros(n, np.int64),
    )


def test_another_arbiter_changes_times_but_loses_nothing() -> None:
    changed = 0
    for seed in range(40):
        mesh, work = random_case(seed)
        a, b = run_simpy(mesh, work), run_simpy(mesh, work, YoungestFirst)
        np.testing.assert_array_equal(a.link_busy, b.link_busy)
        changed += bool((a.stamps != b.stamps).any())
    assert changed > 10


def test_another_route_takes_other_links() -> None:
    mesh = Mesh(2, 2, 1)
    work = StepWork(
        off=np.array([0, 1, 1, 1, 1], np.int64),
        gap=np.zeros(1, np.int32),
        rel=np.zeros(1, np.int64),
        dst=np.array([3], np.int32),
        srv=np.ones(1, np.int32),
        tail=np.zeros(4, np.int32),
        start=np.zeros(4, np.int64),
    )
    a, b = run_simpy(mesh, work), run_simpy(mesh, work, YFirst)
    assert a.link_busy[0].tolist() == [0, 1, 0, 0, 0]
    assert b.link_busy[0].tolist() == [1, 0, 0, 0, 0]
    assert a.stamps[0, ARR] == b.stamps[0, ARR]


def test_a_light_load_passes_even_a_cyclic_route() -> None:
    times = run_simpy(Mesh(2, 2, 1, port_slots=4), ring_traffic(1), Carousel)
    assert (times.stamps[:, ARR] > 0).all()


def test_deadlock_is_found_and_named() -> None:
    with pytest.raises(
        InputError, match=r"routers \(Carousel\): are in deadlock at tick \d+ with \d+ packets"
    ) as caught:
        run_simpy(Mesh(2, 2, 1, port_slots=1), ring_traffic(20), Carousel)
    assert "router (0, 0)" in str(caught.value)
    assert "0 free slots" in str(caught.value)
    assert "XY routing" in str(caught.value)
