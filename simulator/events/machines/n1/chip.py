"""Catalyst N1 with several cores: drain, all cores' steps, and the routing of their spikes, cycle for cycle.

A step, c = cycles after the edge that takes ``start``:

1. Drain: what was routed before reaches its neurons and *overwrites* their input sums. Mesh: the sinks are open only here; it
   ends after four cycles in a row with an empty network. Serial queue: one entry a cycle, n + 2 cycles, or 1 without entries.
2. One cycle; two cycles after it begins, all cores run their step, whose longest has C cycles. Routing begins C + 2 later.
3. Routing, one machine for all cores in order: 1 cycle for an empty look, 37 for a spike with its 12 routes, read 3 cycles
   apart. A packet whose FIFO of 16 is full is lost; so is an entry beyond 512 of the serial queue.
4. One cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from simulator.base.arrays import I64
from simulator.base.errors import InputError
from simulator.events.machines.n1.core import step as core_step
from simulator.events.machines.n1.router import FIFO, LOCAL, Network, cycle, push
from simulator.events.machines.n1.state import Core, Options, Table
from simulator.neurons.n1 import wrap16

ROUTES, GLOBAL_ROUTES = 8, 4
EMPTY_LOOK, READ, APART = 1, 3, 3
SPIKE = 1 + APART * (ROUTES + GLOBAL_ROUTES)
QUIET = 4  # empty cycles that end a drain
QUEUE = 512
TO_CORES, AFTER_CORES = 2, 2
Packet = tuple[int, int, int]  # destination core, neuron, value
DRAIN, START, RUN, ROUTE, MESH_DONE, SERIAL_DONE = 1, 2, 3, 4, 11, 8


class Interconnect(Protocol):
    """Carrier of packets from routing to the next drain; `now` is the cycle since reset."""

    done: int

    def drain(self, now: int) -> tuple[int, list[tuple[int, Packet]]]:
        """Return the cycles of a drain that begins at `now`, and (cycle, packet) of what it delivers."""

    def offer(self, now: int, core: int, packet: Packet) -> bool:
        """Take a packet that stands at the input in cycle `now`, or lose it."""


@dataclass
class Mesh:
    """The routers of `simulator.events.machines.n1.router`, one core at each."""

    width: int
    height: int
    done: int = MESH_DONE
    now: int = 0
    inside: int = 0
    packets: list[Packet] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = Network.empty(self.width, self.height)
        self.target, self.ejected = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def _advance(self, to: int, sink: bool) -> None:
        """Run the routers through the cycles before `to`."""
        net = self.network
        while self.now < to:
            if self.inside:
                self.inside -= cycle(
                    self.now, self.width, net.fifo, net.head, net.count, net.register, self.target, sink, self.ejected
                )
            self.now += 1

    def drain(self, now: int) -> tuple[int, list[tuple[int, Packet]]]:
        """Open the sinks until the network has been empty for four cycles."""
        self._advance(now, False)
        delivered: list[tuple[int, Packet]] = []
        quiet = 0
        while quiet < QUIET:
            quiet = 0 if self.inside else quiet + 1
            before = self.inside
            self._advance(self.now + 1, True)
            if self.inside < before:
                gone = np.flatnonzero(self.ejected == self.now - 1).tolist()
                delivered.extend((self.now - 1, self.packets[k]) for k in sorted(gone, key=lambda k: self.target[k]))
        if not self.inside:
            self.packets.clear()
            self.target, self.ejected = np.zeros(0, np.int64), np.zeros(0, np.int64)
        return self.now - now, delivered

    def offer(self, now: int, core: int, packet: Packet) -> bool:
        """Put a packet in the core's FIFO if that has room before this cycle."""
        self._advance(now, False)
        room = self.network.count[core, LOCAL] < FIFO
        number = len(self.packets)
        if room:
            self.packets.append(packet)
            self.target, self.ejected = np.append(self.target, packet[0]), np.append(self.ejected, -1)
        self._advance(now + 1, False)
        if room:
            push(core, LOCAL, number, self.network.fifo, self.network.head, self.network.count)
            self.inside += 1
        return bool(room)


@dataclass
class SerialQueue:
    """One queue of 512 entries for all cores."""

    done: int = SERIAL_DONE
    entries: list[Packet] = field(default_factory=list)

    def drain(self, now: int) -> tuple[int, list[tuple[int, Packet]]]:
        """Deliver all entries in order, one a cycle."""
        delivered = [(now + k, packet) for k, packet in enumerate(self.entries)]
        self.entries = []
        return (len(delivered) + 2 if delivered else 1), delivered

    def offer(self, now: int, core: int, packet: Packet) -> bool:
        """Append an entry, or lose it."""
        if len(self.entries) >= QUEUE:
            return False
        self.entries.append(packet)
        return True


@dataclass(frozen=True, eq=False)
class ChipRun:
    """Result of a chip's run; c counts from the edge that takes the step's start.

    Attributes:
        cycles: int64 [T], length of each step.
        spikes: int64 [s, 4], (step, c, core, neuron), by c and core.
        injected: int64 [p, 6], (step, c, core, destination core, neuron, value) of packets that were taken.
        ejected: int64 [p, 5], (step, c, core, neuron, value).
        phases: int64 [q, 3], (step, c, state of the controller).
        v: int64 [T, cores * n], membranes after each step.
        lost: packets that met a full input.
    """

    cycles: I64
    spikes: I64
    injected: I64
    ejected: I64
    phases: I64
    v: I64
    lost: int


def route_table(cores: int, neurons: int, routes: Table, global_routes: Table) -> I64:
    """Return int64 [cores, n, 12, 4]: (valid, destination core, neuron, weight) of the 8 routes and 4 global routes.

    Args:
        cores: number of cores.
        neurons: neurons of a core.
        routes: [k, 6], (core, neuron, slot, destination core, neuron, weight).
        global_routes: likewise, slots 0..3.

    Raises:
        InputError: a core, neuron or slot that does not exist.
    """
    table = np.zeros((cores, neurons, ROUTES + GLOBAL_ROUTES, 4), np.int64)
    for name, rows, first, slots in (
        ("routes", routes, 0, ROUTES),
        ("global_routes", global_routes, ROUTES, GLOBAL_ROUTES),
    ):
        given = np.asarray(rows, np.int64).reshape(-1, 6)
        _inside(name, given, (cores, neurons, slots, cores, neurons))
        table[given[:, 0], given[:, 1], first + given[:, 2]] = np.column_stack(
            [np.ones(len(given), np.int64), given[:, 3:]]
        )
    return table


def _inside(name: str, rows: I64, limits: tuple[int, ...]) -> None:
    for column, limit in enumerate(limits):
        if rows.size and not 0 <= rows[:, column].min() <= rows[:, column].max() < limit:
            raise InputError(name, f"hold a value outside 0..{limit - 1} in column {column}", "Count from 0")


@dataclass
class _Logs:
    spikes: list[tuple[int, ...]] = field(default_factory=list)
    injected: list[tuple[int, ...]] = field(default_factory=list)
    ejected: list[tuple[int, ...]] = field(default_factory=list)
    phases: list[tuple[int, ...]] = field(default_factory=list)
    lost: int = 0


def run_chip(
    cores: Sequence[Core], options: Options, routes: I64, between: Interconnect, external: Table, starts: Table
) -> ChipRun:
    """Run the steps of a chip.

    Args:
        cores: programmed cores, changed in place.
        options: switches of all cores.
        routes: from `route_table`.
        between: the interconnect.
        external: [k, 4], (step, core, neuron, value) given before the step: it overwrites the neuron's input sum.
        starts: [T], cycle since reset at which each step takes its start.

    Raises:
        InputError: an input of a step, core or neuron that does not exist.
    """
    given = np.asarray(external, np.int64).reshape(-1, 4)
    begin, options = np.asarray(starts, np.int64), Options.of(options)
    _inside("external", given, (begin.size, len(cores), min(c.v.size for c in cores)))
    logs, cycles, v = _Logs(), np.zeros(begin.size, np.int64), []
    for t, first in enumerate(begin.tolist()):
        for _, core, neuron, value in given[given[:, 0] == t].tolist():
            cores[core].total[neuron] = value
        cycles[t] = _step(cores, options, routes, between, t, first, logs)
        v.append(np.concatenate([c.v for c in cores]))
    return ChipRun(
        cycles,
        np.array(logs.spikes, np.int64).reshape(-1, 4),
        np.array(logs.injected, np.int64).reshape(-1, 6),
        np.array(logs.ejected, np.int64).reshape(-1, 5),
        np.array(logs.phases, np.int64).reshape(-1, 3),
        np.array(v),
        logs.lost,
    )


def _step(
    cores: Sequence[Core], options: Options, routes: I64, between: Interconnect, t: int, first: int, logs: _Logs
) -> int:
    """Run one step from the cycle `first` since reset; returns its length."""
    drained, delivered = between.drain(first)
    for now, (core, neuron, value) in delivered:
        cores[core].total[neuron] = value
        logs.ejected.append((t, now - first, core, neuron, value))
    begin = drained + TO_CORES
    longest, fired, seen = 0, [], []
    for k, state in enumerate(cores):
        out = np.zeros((state.v.size, 3), np.int64)
        length, n = core_step(state, options, 0, out)
        longest = max(longest, int(length))
        fired.append(out[:n].copy())
        seen += [(t, begin + int(c), k, int(i)) for c, i, _ in out[:n]]
    logs.spikes += sorted(seen)
    now = begin + longest + AFTER_CORES
    logs.phases += [(t, 0, DRAIN), (t, drained, START), (t, drained + 1, RUN), (t, now, ROUTE)]
    for k, spikes in enumerate(fired):
        for _, neuron, payload in spikes.tolist():
            _route(routes[k, neuron], options, between, t, first, now, k, payload, logs)
            now += SPIKE
        now += EMPTY_LOOK
    logs.phases.append((t, now, between.done))
    return now + 1


def _route(
    slots: I64,
    options: Options,
    between: Interconnect,
    t: int,
    first: int,
    now: int,
    core: int,
    payload: int,
    logs: _Logs,
) -> None:
    for k, (valid, to, neuron, weight) in enumerate(slots.tolist()):
        if not valid:
            continue
        value = int(wrap16((weight * payload) >> 7)) if options.graded else weight
        c = now + READ + APART * k + 1
        if between.offer(first + c, core, (to, neuron, value)):
            logs.injected.append((t, c, core, to, neuron, value))
        else:
            logs.lost += 1
