"""Asynchronous operation (`free` synchronisation): no steps; a packet's arrival updates the neurons that it meets.

The order of arrival decides what happens, so the neuron kernels run inside the event loop and there is no function first.
A core works on a queue of neurons: a served packet adds its weights and queues its targets (a neuron waits at most once, and
one update takes all that has come by then); the soma updates one after another, each `neuron_update_active` ticks. A neuron
that fired is updated once more without input (`neuron_update_inactive`), so that what a soft reset left above the threshold
fires too. Inputs of step t enter at t * period.

Only models that rest without input can run like this: an update without input must leave the initial state as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import simpy
from simpy.events import Event, Timeout

from simulator.base.arrays import I32, I64
from simulator.base.errors import InputError
from simulator.base.shown import Shown
from simulator.chips.chip import Chip
from simulator.events.core import Spike, deliver
from simulator.events.routes import routes_of
from simulator.function.inputs import check_inputs
from simulator.function.layout import Layout, lay_out
from simulator.program.program import HOST, Program
from simulator.program.shared import unrolled_all
from simulator.program.spikes import SpikeTrain
from simulator.timing.contract import DONE, GEN, Mesh
from simulator.timing.fabric import Fabric, Packet, Router, after
from simulator.timing.plan import Plan, make_plan
from simulator.timing.simpy_timing import Entry, SynapseStage, check_drained

Job = tuple[int, int, int]  # population, neuron, payload of a driven input (0: an update)


@dataclass(frozen=True, eq=False, repr=False)
class FreeRun(Shown):
    """Spikes of a free run, with their times.

    Attributes:
        tick_ns: length of a tick.
        ticks: int64 [events], when each neuron fired, ascending.
        ids: int32 [events], logical ids, driven inputs included.
        payload: int32 [events].
        messages: packets sent.
        updates: neuron updates.
        updated: int64 [updates, 3], tick, logical id and whether input was there, of each.
        end: tick at which everything was quiet.
    """

    tick_ns: float
    ticks: I64
    ids: I32
    payload: I32
    messages: int
    updates: int
    updated: I64
    end: int


class _Soma(Entry):
    """Works on a queue of neurons, and sends their spikes."""

    def __init__(self, run: _FreeChip, endpoint: int) -> None:
        super().__init__(run.env, run.plan.mesh.port_slots)
        self.run, self.endpoint = run, endpoint
        self.queue: deque[Job] = deque()
        self._idle: Event | None = None
        self._sequence = 0
        self.env.process(self._work())

    def add(self, job: Job) -> None:
        """Queue a neuron."""
        self.queue.append(job)
        if self._idle is not None:
            self._idle.succeed()
            self._idle = None

    def _work(self) -> Generator[Event, Any, None]:
        while True:
            while self.queue:
                yield from self._do(self.queue.popleft())
            self._idle = Event(self.env)
            yield self._idle

    def _do(self, job: Job) -> Generator[Event, Any, None]:
        population, neuron, payload = job
        plan, position = self.run.plan, self.run.position(population, neuron)
        if not payload:
            active, payload = self.run.update(population, neuron)
            cost = int((plan.update_active if active else plan.update_inactive)[position])
            cost += int(plan.spike[position]) if payload else 0
            if cost:
                yield Timeout(self.env, cost)
            if payload:
                self.run.queue_update(population, neuron)
        if payload:
            self.run.fired(population, neuron, payload)
            for row in range(int(plan.ptr[position]), int(plan.ptr[position + 1])):
                yield from self._send(row, Spike(0, population, row, payload, 0))

    def _send(self, row: int, spike: Spike) -> Generator[Event, Any, None]:
        plan = self.run.plan
        if plan.out[self.endpoint]:
            yield Timeout(self.env, int(plan.out[self.endpoint]))
        yield from self.take_slot()
        number = (self.endpoint << 48) | self._sequence
        packet = Packet(number, self.endpoint, int(plan.dst[row]), int(plan.srv[row]), spike)
        packet.stamps[GEN] = int(self.env.now)
        self._sequence += 1
        self.run.packets.append(packet)
        self.run.fabric.inject(packet)


class _Input(SynapseStage):
    """Adds a served packet's weights and queues the neurons that it meets."""

    def __init__(self, run: _FreeChip, endpoint: int) -> None:
        super().__init__(run.env)
        self._free = run

    def finish(self, packet: Packet) -> None:
        """Add the packet's synapses."""
        free, spike = self._free, packet.content
        assert isinstance(spike, Spike)
        free.last_done = packet.stamps[DONE]
        for s, route in free.routes[spike.population]:
            lo, hi = int(route.lo[spike.row]), int(route.hi[spike.row])
            if lo < hi:
                acc = free.acc[s.target][s.port, s.first :]
                deliver(route.order, lo, hi, s.indices, s.weights, spike.payload, s.exponent, acc)
                for index in s.indices[route.order[lo:hi]].tolist():
                    free.queue_update(s.target, s.first + index)


class _FreeChip:
    def __init__(
        self, layout: Layout, plan: Plan, seed: int, router: Callable[[simpy.Environment, Mesh, int], Router]
    ) -> None:
        self.layout, self.plan, self.seed = layout, plan, seed
        self.env = simpy.Environment()
        self.fabric = Fabric(self.env, plan.mesh, router)
        self.routes = routes_of(layout, plan)
        self.acc = [np.zeros((len(c.model.ports), c.size), np.int32) for c in layout.cells]
        self.words = [c.initial.copy() for c in layout.cells]
        self._waits = [np.zeros(c.size, bool) for c in layout.cells]
        self._out = [np.zeros(c.size, np.int32) for c in layout.cells]
        core = layout.program.core
        self._endpoint = np.where(core == HOST, plan.mesh.n_cores, core)
        self.somas = [_Soma(self, c) for c in range(plan.mesh.n_endpoints)]
        self.inputs = [_Input(self, c) for c in range(plan.mesh.n_endpoints)]
        for soma, stage in zip(self.somas, self.inputs, strict=True):
            stage.sender = self.fabric.attach(soma.endpoint, soma, stage)
        self.packets: list[Packet] = []
        self.events: list[tuple[int, int, int]] = []
        self.updated: list[tuple[int, int, bool]] = []
        self.updates = self.last_done = 0

    def position(self, population: int, neuron: int) -> int:
        """Return the position of a neuron in the plan."""
        return int(self.plan.position[self.layout.cells[population].first + neuron])

    def soma_of(self, population: int, neuron: int) -> _Soma:
        """Return the soma that a neuron lives on."""
        return self.somas[int(self._endpoint[self.layout.cells[population].first + neuron])]

    def queue_update(self, population: int, neuron: int) -> None:
        """Have a neuron updated, unless it waits already."""
        if not self._waits[population][neuron]:
            self._waits[population][neuron] = True
            self.soma_of(population, neuron).add((population, neuron, 0))

    def update(self, k: int, i: int) -> tuple[bool, int]:
        """Update one neuron; returns whether it had input, and what it emits."""
        c, acc = self.layout.cells[k], self.acc[k]
        assert c.model.kernel is not None
        self._waits[k][i] = False
        active = bool(acc[:, i].any())
        # The update's number keys its random numbers.
        c.model.kernel(acc, self.words[k], c.params, c.table, self._out[k], i, i + 1, self.updates, self.seed, c.first)
        acc[:, i] = 0
        self.updates += 1
        self.updated.append((int(self.env.now), c.first + i, active))
        return active, int(self._out[k][i])

    def fired(self, population: int, neuron: int, payload: int) -> None:
        """Note that a neuron fired."""
        self.events.append((int(self.env.now), self.layout.cells[population].first + neuron, payload))


def run_free(
    program: Program,
    chip: Chip,
    inputs: SpikeTrain,
    period_ns: float,
    *,
    seed: int = 0,
    router: Callable[[simpy.Environment, Mesh, int], Router] = Router,
    mesh: Mesh | None = None,
) -> FreeRun:
    """Run a program asynchronously until it is quiet.

    Args:
        program: models that rest without input, no delays.
        chip: hardware and times.
        inputs: driven events; those of step t enter at t * period.
        period_ns: time between steps of the input.
        seed: key of random numbers.
        router: class of the routers.
        mesh: hardware other than the chip's own.

    Raises:
        InputError: a model that does not rest, a delay, bad inputs, a period that is not above 0, or a deadlock.
    """
    program = replace(program, projections=unrolled_all(program.projections))
    layout = lay_out(program, inputs.payload is not None)
    check_inputs(inputs, layout)
    _check(layout, period_ns, seed)
    plan = make_plan(program, chip, mesh)
    if plan.mesh.multicast:
        raise InputError("sync 'free'", "does not go with multicast", "Leave out topology.multicast of the chip")
    free = _FreeChip(layout, plan, seed, router)
    period = max(1, round(period_ns / plan.costs.tick_ns))
    population = np.repeat(np.arange(len(layout.cells)), [c.size for c in layout.cells])
    payload = np.ones(inputs.ids.size, np.int32) if inputs.payload is None else inputs.payload

    def enter(step: int) -> None:
        for e in range(int(inputs.ptr[step]), int(inputs.ptr[step + 1])):
            k = int(population[inputs.ids[e]])
            neuron = int(inputs.ids[e]) - layout.cells[k].first
            if free.position(k, neuron) >= 0:
                free.soma_of(k, neuron).add((k, neuron, int(payload[e])))

    for step in range(inputs.steps):
        after(free.env, step * period, lambda _, s=step: enter(s))  # type: ignore[misc]
    free.env.run()
    check_drained(free.fabric, len(free.packets) - sum(i.served for i in free.inputs))
    events = np.array(sorted(free.events), np.int64).reshape(-1, 3)
    end = max(int(events[-1, 0]) if events.size else 0, free.last_done)
    return FreeRun(
        plan.costs.tick_ns, events[:, 0], events[:, 1].astype(np.int32), events[:, 2].astype(np.int32),
        len(free.packets), free.updates, np.array(free.updated, np.int64).reshape(-1, 3), end,
    )  # fmt: skip


def _check(layout: Layout, period_ns: float, seed: int) -> None:
    if period_ns <= 0:
        raise InputError("period_ns", f"is {period_ns}; it must be above 0")
    for s in layout.synapses:
        if s.delay:
            raise InputError(
                f"projection {s.name!r}", f"has a delay of {s.delay} steps; there are no steps here", "Use barrier"
            )
    for c in layout.cells:
        if c.model.kernel is None:
            continue
        words, out = c.initial.copy(), np.zeros(c.size, np.int32)
        acc = np.zeros((len(c.model.ports), c.size), np.int32)
        c.model.kernel(acc, words, c.params, c.table, out, 0, c.size, 0, seed, c.first)
        if out.any() or (words != c.initial).any():
            raise InputError(
                f"population {c.name!r}",
                f"of model {c.model.name!r} does not rest without input (leak, bias or noise)",
                "Asynchronous operation needs a model like `if` without bias; or use barrier or tick",
            )
