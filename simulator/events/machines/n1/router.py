"""Catalyst N1's clocked XY routers, cycle for cycle.

A router has five inputs (0 local, 1 north, 2 south, 3 east, 4 west) with FIFOs of 16 packets, and a register of one packet
behind each output. In cycle k the pointer p = k mod 5 is that of every router. Everything is decided on the state before the
cycle::

    grant    inputs p, p + 1, ... in turn get the output of their head, if its register is empty and no earlier input took it
    link     a full register enters the neighbour's FIFO if that has fewer than 16 packets
    sink     the local register is emptied in a sink cycle
    inject   a packet enters the local FIFO if that has fewer than 16

So a packet alone takes 2 + 2 hops cycles, and a link carries one packet in two cycles. XY: x first; node n stands at
(n mod width, n div width); east is x + 1, north is y + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from simulator.base.arrays import I32, I64, AnyInts
from simulator.base.errors import InputError

FIFO = 16
PORTS = 5
LOCAL, NORTH, SOUTH, EAST, WEST = range(PORTS)
_NONE = -1


@dataclass(frozen=True, eq=False)
class Network:
    """State of width x height routers; a packet is a number >= 0 with its destination in `Network.target`.

    Attributes:
        fifo: int32 [nodes, 5, 16], ring buffers of packet numbers.
        head: int32 [nodes, 5], place of each FIFO's first packet.
        count: int32 [nodes, 5], packets in each FIFO.
        register: int32 [nodes, 5], packet in each output register, -1 if empty.
    """

    width: int
    height: int
    fifo: I32
    head: I32
    count: I32
    register: I32

    @staticmethod
    def empty(width: int, height: int) -> Network:
        """Return a network without packets."""
        n = width * height
        return Network(
            width,
            height,
            np.zeros((n, PORTS, FIFO), np.int32),
            np.zeros((n, PORTS), np.int32),
            np.zeros((n, PORTS), np.int32),
            np.full((n, PORTS), _NONE, np.int32),
        )


@numba.njit(cache=True, nogil=True)
def _output(node: int, target: int, width: int) -> int:
    x, tx = node % width, target % width
    y, ty = node // width, target // width
    if x != tx:
        return EAST if tx > x else WEST
    if y != ty:
        return NORTH if ty > y else SOUTH
    return LOCAL


@numba.njit(cache=True, nogil=True)
def _grant(node: int, phase: int, width: int, fifo: I32, head: I32, count: I32, register: I32, target: I64) -> None:
    """Grant for one router; a packet that a register gets in this cycle is marked by adding 2^30."""
    for k in range(PORTS):
        i = (phase + k) % PORTS
        if count[node, i] == 0:
            continue
        packet = fifo[node, i, head[node, i]]
        out = _output(node, target[packet], width)
        if register[node, out] == _NONE:
            register[node, out] = packet + (1 << 30)
            head[node, i] = (head[node, i] + 1) % FIFO
            count[node, i] -= 1


@numba.njit(cache=True, nogil=True)
def push(node: int, port: int, packet: int, fifo: I32, head: I32, count: I32) -> None:
    """Put a packet at the end of a FIFO that has room."""
    fifo[node, port, (head[node, port] + count[node, port]) % FIFO] = packet
    count[node, port] += 1


@numba.njit(cache=True, nogil=True)
def cycle(
    now: int, width: int, fifo: I32, head: I32, count: I32, register: I32, target: I64, sink: bool, ejected: I64
) -> int:
    """Advance all routers by the cycle `now`, injection apart; returns how many packets left.

    Args:
        now: cycle since reset.
        target: int [packets], destination node of each packet.
        sink: whether the sinks take packets in this cycle.
        ejected: int [packets], gets the cycle in which each packet leaves.
    """
    nodes, left = register.shape[0], 0
    before = count.copy()
    for node in range(nodes):
        _grant(node, now % PORTS, width, fifo, head, count, register, target)
    for node in range(nodes):
        for out in range(PORTS):
            packet = register[node, out]
            if packet == _NONE:
                continue
            if packet >= 1 << 30:  # granted in this cycle: it may move in the next
                register[node, out] = packet - (1 << 30)
            elif out == LOCAL:
                if sink:
                    ejected[packet] = now
                    register[node, out] = _NONE
                    left += 1
            else:
                step = width if out == NORTH else -width if out == SOUTH else 1 if out == EAST else -1
                port = SOUTH if out == NORTH else NORTH if out == SOUTH else WEST if out == EAST else EAST
                if before[node + step, port] < FIFO:
                    push(node + step, port, packet, fifo, head, count)
                    register[node, out] = _NONE
    return left


@numba.njit(cache=True, nogil=True)
def _send(
    width: int, fifo: I32, head: I32, count: I32, register: I32, earliest: I64, target: I64, row: I64, order: I64,
    sink_period: int, most: int, injected: I64, ejected: I64,
) -> int:  # fmt: skip
    nodes, left, now = register.shape[0], earliest.size, 0
    waiting = row[:-1].copy()
    while left and now < most:
        room = count[:, LOCAL] < FIFO
        left -= cycle(now, width, fifo, head, count, register, target, now % sink_period == 0, ejected)
        for node in range(nodes):
            k = waiting[node]
            if k < row[node + 1] and earliest[order[k]] <= now and room[node]:
                push(node, LOCAL, order[k], fifo, head, count)
                injected[order[k]] = now
                waiting[node] = k + 1
        now += 1
    return int(left)


def send_packets(width: int, height: int, packets: AnyInts, sink_period: int = 1) -> tuple[I64, I64]:
    """Send packets through an empty network and return the cycles of their injection and ejection.

    Args:
        width: routers in a row.
        height: routers in a column.
        packets: [M, 3], earliest cycle, source and destination node; packets of one source keep their order.
        sink_period: the sinks take a packet in every `sink_period`-th cycle.

    Raises:
        InputError: a node outside the mesh, a negative cycle, or a period below 1.
    """
    earliest, source, target = np.asarray(packets, np.int64).reshape(-1, 3).T.copy()
    nodes = width * height
    if sink_period < 1:
        raise InputError("sink_period", f"is {sink_period}", "Give 1 or more")
    if earliest.size and min(earliest.min(), source.min(), target.min()) < 0:
        raise InputError("packets", "hold a negative cycle or node", "Count cycles and nodes from 0")
    if earliest.size and max(source.max(), target.max()) >= nodes:
        raise InputError("packets", f"name a node outside 0..{nodes - 1}", "Enlarge the mesh")
    order = np.argsort(source, kind="stable")
    row = np.searchsorted(source[order], np.arange(nodes + 1))
    injected, ejected = np.full((2, earliest.size), -1, np.int64)
    net = Network.empty(width, height)
    # Rotating pointers serve every input, and XY routes have no cycle: a packet waits for at most all others at each hop.
    most = int(earliest.max(initial=0)) + (earliest.size + 1) * (2 * sink_period + 2 * PORTS) * (width + height)
    left = _send(
        width, net.fifo, net.head, net.count, net.register, earliest, target, row, order, sink_period, most,
        injected, ejected,
    )  # fmt: skip
    assert not left, f"{left} packets never left"
    return injected, ejected
