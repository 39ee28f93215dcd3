"""A core of the event-driven simulator: its neurons, its synapses, and the two processes that work on them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numba
import numpy as np
from simpy.events import Event, Timeout

from simulator.base.arrays import I32, I64, Bools
from simulator.events.host import CoreHost
from simulator.function.kernels import collect, narrow
from simulator.function.layout import PAYLOAD_MAX, Cells
from simulator.function.saturation import add_clipped, add_saturated
from simulator.timing.contract import DONE, GEN
from simulator.timing.fabric import Packet, Tree, at_decision
from simulator.timing.simpy_timing import Entry, SynapseStage


class Spike(NamedTuple):
    """Content of a packet.

    Attributes:
        step: step in which it was emitted.
        population: its source's population.
        row: row of the plan's packet table: which synapses it meets at its destination.
        payload: value of a graded spike, else 1.
        gap: ticks of work before it (kept for records).
    """

    step: int
    population: int
    row: int
    payload: int
    gap: int


class Kept(NamedTuple):
    """Record of a soma's step: when it began, its work after the last packet, when it was through."""

    start: int
    tail: int
    end: int


class Neurons:
    """Neurons lo..hi-1 of one population on one core, updated by one call of the model's kernel."""

    def __init__(self, engine: CoreHost, population: int, lo: int, hi: int) -> None:
        self.engine, self.population, self.lo, self.size = engine, population, lo, hi - lo
        self.cells: Cells = engine.layout.cells[population]
        self._where = slice(lo, hi)
        self.reload()
        self._acc = np.zeros((len(self.cells.model.ports), self.size), np.int32)
        self._out = np.zeros(self.size, np.int32)
        self._saturated = np.zeros(self.size, np.int64)
        self._ids, self._payload = np.empty(self.size, np.int32), np.empty(self.size, np.int32)

    def reload(self) -> None:
        """Read the parameters (again)."""
        self._params = np.ascontiguousarray(self.cells.params[:, self._where])

    def update(self, step: int, active: I64) -> tuple[I32, I32, int, I64 | None]:
        """Take one step of these neurons: input sums are taken (and cleared), states change in place, spikes come back.

        Returns:
            indices of the neurons that fired, their payloads, active updates, saturated values of each (None: none).
        """
        words, ring = self.engine.state.words[self.population], self.engine.rings[self.population]
        slot = ring[step % ring.shape[0]]
        mine = slot[:, self._where].copy()
        slot[:, self._where] = 0
        counts = self._saturated
        saturated = narrow(mine, self._acc, counts) if self.cells.wide else 0
        acc = self._acc if self.cells.wide else mine
        local = words[:, self._where].copy()
        assert self.cells.model.kernel is not None
        keys = step, self.engine.seed, self.cells.first + self.lo
        n = self.cells.model.kernel(acc, local, self._params, self.cells.table, self._out, 0, self.size, *keys)
        if n:
            add_saturated(self.cells, acc, words[:, self._where], self._params, *keys, n, counts)
        words[:, self._where] = local
        limit = 1 if self.cells.model.emits == "binary" else PAYLOAD_MAX
        saturated += n
        n, n_active, clipped = collect(acc, self._out, 0, limit, self._ids, self._payload, 0, active)
        if clipped:
            add_clipped(self._out, limit, counts)
        return self._ids[:n], self._payload[:n], n_active, counts if saturated or clipped else None


def runs_of(engine: CoreHost, population: int, local: I64) -> list[Neurons]:
    """Return a core's neurons of one population, split at gaps: kernels key their random numbers by the position in a run."""
    cuts = np.flatnonzero(np.diff(local) != 1) + 1
    return [Neurons(engine, population, int(r[0]), int(r[-1]) + 1) for r in np.split(local, cuts) if r.size]


@numba.njit(cache=True, nogil=True)
def deliver(order: Any, lo: int, hi: int, indices: Any, weights: Any, value: int, shift: int, acc: Any) -> None:
    """Deliver one packet to the synapses that it meets: acc[target] += weight * payload << shift."""
    for k in range(lo, hi):
        j = order[k]
        acc[indices[j]] += (int(weights[j]) * value) << shift


class CoreInput(SynapseStage):
    """Axon-in and synapse stage: a served packet adds its weights to the accumulators of this core's neurons."""

    def __init__(self, engine: CoreHost, endpoint: int) -> None:
        super().__init__(engine.env)
        self._engine, self.endpoint = engine, endpoint
        self.last_done = 0
        self.busy_ticks = 0
        self.next_update = 0  # the first step whose input sums are still open

    def serve(self, packet: Packet) -> int:
        """Return the service ticks of a packet."""
        self.busy_ticks += packet.service_ticks
        return packet.service_ticks

    def finish(self, packet: Packet) -> None:
        """Add the packet's synapses, to the step they are meant for or, when they come too late, to the next update."""
        engine = self._engine
        self.last_done = packet.stamps[DONE]
        spike = packet.content
        assert isinstance(spike, Spike)
        for s, route in engine.routes[spike.population]:
            lo, hi = route.lo[spike.row], route.hi[spike.row]
            if lo < hi:
                step = max(spike.step + 1 + s.delay, self.next_update)
                ring = engine.rings[s.target]
                acc = ring[step % ring.shape[0], s.port, s.first :]
                deliver(route.order, lo, hi, s.indices, s.weights, spike.payload, s.exponent, acc)
        engine.packet_done(packet)


class CoreSoma(Entry):
    """Soma and axon-out stage: updates the core's neurons at every step and sends their spikes, one packet at a time."""

    def __init__(self, engine: CoreHost, endpoint: int) -> None:
        super().__init__(engine.env, engine.plan.mesh.port_slots)
        self.engine, self.endpoint = engine, endpoint
        plan = engine.plan
        self._first, self._last = int(plan.base[endpoint]), int(plan.base[endpoint + 1])
        self.end = self.tail = 0
        self.kept: dict[int, Kept] = {}
        self.busy_ticks = self.stall_ticks = 0
        self.working = False
        ids = plan.neuron[self._first : self._last].astype(np.int64)
        self._parts: list[tuple[int, list[Neurons], I64]] = []
        for k, c in enumerate(engine.layout.cells):
            local = ids[(ids >= c.first) & (ids < c.first + c.size)] - c.first
            runs = [] if c.model.kernel is None else runs_of(engine, k, local)
            self._parts.append((k, runs, local))
        mine = slice(self._first, self._last)
        self._update_active, self._update_inactive = plan.update_active[mine], plan.update_inactive[mine]
        self._spike, self._out = plan.spike[mine], int(plan.out[endpoint])
        self.env.process(self._run())

    def reload(self) -> None:
        """Read the neurons' parameters again."""
        for _, runs, _ in self._parts:
            for neurons in runs:
                neurons.reload()

    def _run(self) -> Generator[Event, Any, None]:
        while True:
            step: int = yield self.engine.release_of(self.endpoint)
            start = self.engine.start_of(self.endpoint)
            if start > self.env.now:
                yield Timeout(self.env, start - int(self.env.now))
            yield at_decision(self.env)  # phase B: what arrives in this tick is in
            yield from self._step(step)

    def _step(self, step: int) -> Generator[Event, Any, None]:
        start = ready = int(self.env.now)
        fired, payload, active = self._update(step)
        cost = np.where(active, self._update_active, self._update_inactive)
        total = np.concatenate([np.zeros(1, np.int64), np.cumsum(cost)])
        upto = total[fired + 1] + np.cumsum(self._spike[fired])
        plan = self.engine.plan
        spent = 0  # of the update and spike work
        sequence = packets = 0
        for p, value, work in zip(fired.tolist(), payload.tolist(), upto.tolist(), strict=True):
            population = int(self.engine.population_of[self._first + p])
            first, last = int(plan.ptr[self._first + p]), int(plan.ptr[self._first + p + 1])
            # Rows of each packet that leaves: one, or all of the spike's where the mesh multicasts.
            stride = max(1, last - first) if plan.mesh.multicast else 1
            for row in range(first, last, stride):
                gap = work - spent + self._out
                spent = work
                due = ready + gap
                if due > self.env.now:
                    yield Timeout(self.env, due - int(self.env.now))
                yield from self.take_slot()
                ready = int(self.env.now)
                self.stall_ticks += ready - due
                self._emit(sequence, range(row, row + stride), Spike(step, population, row, value, gap))
                sequence += stride
                packets += 1
        work = int(total[-1]) + int(self._spike[fired].sum())
        self.tail = work - spent
        self.end = ready + self.tail
        self.busy_ticks += work + packets * self._out
        if self.end > self.env.now:
            yield Timeout(self.env, self.end - int(self.env.now))
        if step in self.engine.keep:
            self.kept[step] = Kept(start, self.tail, self.end)
        self.engine.soma_done(self)

    def _emit(self, sequence: int, rows: range, spike: Spike) -> None:
        """Send one packet with a leaf for each of these rows of the plan."""
        plan, leaves = self.engine.plan, []
        for k, row in enumerate(rows):
            content = spike._replace(row=row, gap=0 if k else spike.gap)
            number = (self.endpoint << 32) | (sequence + k)
            leaf = Packet(number, self.endpoint, int(plan.dst[row]), int(plan.srv[row]), content)
            leaf.stamps[GEN] = int(self.env.now)
            self.engine.packet_sent(leaf)
            leaves.append(leaf)
        self.engine.fabric.inject(leaves[0] if len(leaves) == 1 else Tree(leaves))

    def _update(self, step: int) -> tuple[I64, I64, Bools]:
        """Update all neurons; returns the fired positions (of this core), payloads, and who was active."""
        engine = self.engine
        engine.inputs[self.endpoint].next_update = step + 1
        fired: list[I64] = [np.zeros(0, np.int64)]
        payloads: list[I64] = [np.zeros(0, np.int64)]
        flags = np.zeros(self._last - self._first, np.int64)
        at = 0
        for population, runs, local in self._parts:
            if engine.layout.cells[population].model.kernel is None:
                ids, values = engine.driven(population, step, self.endpoint)
                fired.append(at + np.searchsorted(local, ids))
                payloads.append(values)
                at += local.size
            for neurons in runs:
                here, sent, n_active, saturated = neurons.update(step, flags[at : at + neurons.size])
                engine.updated(step, population, neurons.lo, flags[at : at + neurons.size], n_active, saturated)
                fired.append(at + here.astype(np.int64))
                payloads.append(sent.astype(np.int64))
                at += neurons.size
        positions, payload = np.concatenate(fired), np.concatenate(payloads)
        engine.fired(step, self._first + positions, payload)
        return positions, payload, flags != 0
