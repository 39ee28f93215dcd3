"""Catalyst N1's routers: times by hand, and a plain-Python twin on random traffic."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.events.machines.n1.router import send_packets


def _twin(width: int, height: int, packets: list[tuple[int, int, int]], period: int) -> list[tuple[int, int]]:
    """Follow the README's words, router by router, with Python's queues."""
    nodes = [(x, y) for y in range(height) for x in range(width)]
    fifos = {(n, i): deque[int]() for n in nodes for i in range(5)}
    registers: dict[tuple[tuple[int, int], int], int] = {}
    waiting = {n: deque(k for k, p in enumerate(packets) if nodes[p[1]] == n) for n in nodes}
    times = [[-1, -1] for _ in packets]
    neighbour = {1: (0, 1, 2), 2: (0, -1, 1), 3: (1, 0, 4), 4: (-1, 0, 3)}  # dx, dy, input there
    left, now = len(packets), 0
    while left:
        length = {k: len(q) for k, q in fifos.items()}
        full = dict(registers)
        for n in nodes:
            taken = {out for m, out in full if m == n}
            for i in sorted(range(5), key=lambda i: (i - now) % 5):
                if not length[n, i]:
                    continue
                tx, ty = nodes[packets[fifos[n, i][0]][2]]
                out = 3 if tx > n[0] else 4 if tx < n[0] else 1 if ty > n[1] else 2 if ty < n[1] else 0
                if out not in taken:
                    taken.add(out)
                    registers[n, out] = fifos[n, i].popleft()
        for (n, out), k in full.items():
            if out == 0 and now % period == 0:
                times[k][1] = now
                del registers[n, out]
                left -= 1
            elif out:
                dx, dy, there = neighbour[out]
                to = ((n[0] + dx, n[1] + dy), there)
                if length[to] < 16:
                    fifos[to].append(k)
                    del registers[n, out]
        for n, queue in waiting.items():
            if queue and packets[queue[0]][0] <= now and length[n, 0] < 16:
                k = queue.popleft()
                fifos[n, 0].append(k)
                times[k][0] = now
        now += 1
    return [(a, b) for a, b in times]


def test_a_packet_alone_takes_two_cycles_and_two_for_each_hop() -> None:
    injected, ejected = send_packets(4, 4, np.array([[0, 0, 0], [40, 0, 15], [80, 13, 2]]))
    assert injected.tolist() == [0, 40, 80]
    assert (ejected - injected).tolist() == [2, 2 + 2 * 6, 2 + 2 * 4]


def test_a_link_carries_a_packet_in_two_cycles() -> None:
    _, ejected = send_packets(2, 1, np.array([[0, 0, 1]] * 5))
    assert np.diff(ejected).tolist() == [2, 2, 2, 2]


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_random_traffic_is_the_twins(data: st.DataObject, width: int, height: int, period: int) -> None:
    node = st.integers(0, width * height - 1)
    packets = data.draw(st.lists(st.tuples(st.integers(0, 20), node, node), max_size=120))
    order = sorted(packets)  # earliest cycles of a source ascend, as a bench sends them
    injected, ejected = send_packets(width, height, np.array(order, np.int64).reshape(-1, 3), period)
    assert list(zip(injected.tolist(), ejected.tolist(), strict=True)) == _twin(width, height, order, period)


@pytest.mark.parametrize("packets", [[[0, 0, 4]], [[0, -1, 0]], [[-1, 0, 0]]])
def test_packets_outside_the_mesh_are_refused(packets: list[list[int]]) -> None:
    with pytest.raises(InputError):
        send_packets(2, 2, np.array(packets))
