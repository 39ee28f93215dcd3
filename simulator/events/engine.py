"""The event-driven simulator itself: cores, routers, links, barrier and host as SimPy processes that compute and time.

Nothing is known beforehand: a core's soma calls the integer kernels of its neurons when a step reaches it and sends their
spikes as packets; routers carry them with back-pressure; the synapse stage of the destination adds their weights when it
serves them. Functional state lives in the arrays of `Simulation`, so probes, learning hooks and checkpoints are the same.
Under a barrier its spikes, states and every time stamp equal the functional run followed by any timing engine.

Synchronisation:
    barrier: a step begins when every core is quiet and the barrier has come round.
    tick: step s begins at s * period everywhere. A packet whose service ends after its tick is counted as late, and adds
        to the sums of the next update instead of those it was meant for, as a chip would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
import simpy
from simpy.events import Event

from simulator.base.arrays import I64, AnyInts, Integers
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.events.core import CoreInput, CoreSoma, Spike
from simulator.events.host import OpenStep, Soma
from simulator.events.routes import packet_ends, population_of, routes_of
from simulator.function.inputs import Drive, check_inputs, split_inputs
from simulator.function.simulation import Simulation
from simulator.function.state import Probe
from simulator.program.axons import axon_table
from simulator.program.program import HOST, Program
from simulator.program.shared import unrolled_all
from simulator.program.spikes import SpikeTrain
from simulator.timing.barrier import release_time, start_times
from simulator.timing.bound import link_busy_of
from simulator.timing.contract import DONE, Mesh, StepTimes, StepWork
from simulator.timing.fabric import Fabric, Packet, Router, after
from simulator.timing.overlap import period_ticks
from simulator.timing.plan import Plan, make_plan
from simulator.timing.result import TimingRun
from simulator.timing.simpy_timing import check_drained, link_busy


class Learning(Protocol):
    """Learner on the cores, called when a step's other work is done."""

    def begin(self, done: Callable[[I64], None]) -> None:
        """Learn while the chip is quiet; then call `done` with the ticks that each endpoint was busy with it."""


class SimpyEngine(Simulation):
    """A program on a chip, simulated event by event.

    Args:
        program: what to run.
        chip: what it runs on.
        seed, probes, strict, graded_inputs: as in `Simulation`.
        sync: ``barrier`` or ``tick``.
        period_ns: length of a tick.
        router: class of the routers (see `timing.fabric.Router`).
        mesh: hardware other than the chip's own.
        keep: steps whose work and stamps are kept.
        learn_ticks: called after each step with the engine; ticks of the learning phase of each endpoint, or None.

    Attributes:
        learning: what learns on the cores at the end of each step (`simulator.events.learning`), if anything does.

    Raises:
        InputError: as `Simulation` and `make_plan`; a tick without a period.
    """

    def __init__(
        self,
        program: Program,
        chip: Chip,
        *,
        seed: int = 0,
        probes: Sequence[Probe] = (),
        strict: bool = False,
        graded_inputs: bool = True,
        sync: Literal["barrier", "tick"] = "barrier",
        period_ns: float | None = None,
        router: Callable[[simpy.Environment, Mesh, int], Router] = Router,
        mesh: Mesh | None = None,
        keep: range = range(0),
        learn_ticks: Callable[[SimpyEngine], I64 | None] | None = None,
    ) -> None:
        program = replace(program, projections=unrolled_all(program.projections))  # packets meet single synapses
        super().__init__(program, seed=seed, probes=probes, strict=strict, graded_inputs=graded_inputs, fast=False)
        axons = axon_table(program)
        self.plan: Plan = make_plan(program, chip, mesh, axons)
        self.chip, self.keep, self.learn_ticks = chip, keep, learn_ticks
        self.learning: Learning | None = None
        self._running = False
        self.period = 0 if sync == "barrier" else period_ticks(sync, period_ns, self.plan)
        self.population_of = population_of(self.layout, self.plan)
        # Input sums on the chip: one slot more than the state's, since a core that the barrier reaches early already sends
        # to cores whose own step has not begun.
        self.rings = [np.zeros((r.shape[0] + 1, *r.shape[1:]), r.dtype) for r in self.state.rings]
        self.routes = routes_of(self.layout, self.plan)
        self.env = simpy.Environment()
        self.fabric = Fabric(self.env, self.plan.mesh, router)
        self._release = Event(self.env)
        self._start = start_times(self.plan.mesh)
        n = self.plan.mesh.n_endpoints
        self.somas = [CoreSoma(self, c) for c in range(n)]
        self.inputs = [CoreInput(self, c) for c in range(n)]
        for soma, stage in zip(self.somas, self.inputs, strict=True):
            stage.sender = self.fabric.attach(soma.endpoint, soma, stage)
        self._core = np.where(program.core == HOST, self.plan.mesh.n_cores, program.core)
        self._drives: dict[int, Drive] = {}
        self._from, self._until = 0, 0  # steps of the present call of `advance`
        self._zero = -1  # number of the first step simulated here
        self._origins: list[int] = []  # tick at which each step was released
        self._next_release = 0
        self._working = 0
        self._sent = self._done = 0
        self._open: dict[int, OpenStep] = {}
        self._packets: list[Packet] = []
        self.step_ticks: list[int] = []
        self.messages: list[int] = []
        self.late: list[int] = []
        self.kept: dict[int, tuple[StepWork, StepTimes]] = {}

    def advance(self, inputs: SpikeTrain, steps: int) -> None:
        """Simulate `steps` more steps with these inputs (silence where the train ends early).

        Raises:
            InputError: bad inputs, a deadlock of the routers, or a tick that is too short for a core's work.
        """
        check_inputs(inputs, self.layout)
        cells = self.layout.cells
        self._drives = {k: split_inputs(inputs, c, steps) for k, c in enumerate(cells) if c.model.kernel is None}
        self._from, self._until = self.state.step, self.state.step + steps
        self._zero = self.state.step if self._zero < 0 else self._zero
        if steps > 0:
            _move_sums(self.state.rings, self.rings, self.state.step)
            self._running = True
            at = max(self._next_release - int(self.env.now), 0)
            after(self.env, at, lambda _: self._begin())
            self.env.run()
            self._running = False
        if self.state.step < self._until:
            check_drained(self.fabric, max(1, self._sent - self._done))
        check_drained(self.fabric, self._sent - self._done)
        _move_sums(self.rings, self.state.rings, self.state.step)
        self._keep()

    def arriving(self, population: int) -> AnyInts:
        """Do as `Simulation.arriving`; while the engine runs, the cores hold the sums."""
        ring = self.rings[population] if self._running else self.state.rings[population]
        view: AnyInts = ring[self.state.step % len(ring)]
        return view

    def parameters_changed(self) -> None:
        """Note that neuron parameters were written (by learning): the cores read them again."""
        for soma in self.somas:
            soma.reload()

    # What the cores say.

    def driven(self, population: int, step: int, endpoint: int) -> tuple[I64, I64]:
        """Return the input events of a population at one endpoint: local ids ascending, payloads."""
        drive, t, first = self._drives[population], step - self._from, self.layout.cells[population].first
        lo, hi = drive.ptr[t], drive.ptr[t + 1]
        ids, payload = drive.ids[lo:hi], drive.payload[lo:hi]
        here = self._core[ids] == endpoint
        return ids[here].astype(np.int64) - first, payload[here].astype(np.int64)

    def updated(self, step: int, population: int, lo: int, flags: I64, n_active: int, saturated: I64 | None) -> None:
        """Note that a core updated some neurons of a population, from `lo` on."""
        first = self.layout.cells[population].first + lo
        self.active_of_neuron[first : first + flags.size] += flags
        self._of(step).active += n_active
        if saturated is not None:
            self._of(step).saturated += self._count_saturation(population, first, saturated)

    def fired(self, step: int, positions: I64, payload: I64) -> None:
        """Note that neurons (by position in the plan) fired."""
        self._of(step).fired.append((self.plan.neuron[positions].astype(np.int64), payload))

    def _of(self, step: int) -> OpenStep:
        return self._open.setdefault(step, OpenStep())

    def release_of(self, endpoint: int) -> Event:
        """Return the event that lets a core begin its next step; its value is the step."""
        return self._release

    def start_of(self, endpoint: int) -> int:
        """Return the tick at which a core begins the step that was released last."""
        return int(self._start[endpoint])

    def packet_sent(self, packet: Packet) -> None:
        """Note that a packet left its core."""
        self._sent += 1
        step = spike_of(packet).step
        self.messages[step - self._zero] += 1
        if step in self.keep:
            self._packets.append(packet)

    def packet_done(self, packet: Packet) -> None:
        """Note that a packet was served."""
        self._done += 1
        if self.period:
            t = spike_of(packet).step - self._zero
            self.late[t] += packet.stamps[DONE] > self._origins[t] + self.period
        else:
            self._maybe_quiet()

    def soma_done(self, soma: Soma) -> None:
        """Note that a core's soma has finished its step."""
        soma.working = False
        self._working -= 1
        if not self.period:
            self._maybe_quiet()
        elif self._working == 0:
            self._end_step(self.period)

    # Steps.

    def _begin(self) -> None:
        """Release a step."""
        if self.period and self._working:
            busy = [s.endpoint for s in self.somas if s.working]
            raise InputError(
                "period_ns", f"is too short: core {busy[0]} still works on step {self.state.step} when the next tick begins",
                "Choose a longer tick",
            )  # fmt: skip
        origin = int(self.env.now)
        self._origins.append(origin)
        self._working = len(self.somas)
        for soma in self.somas:
            soma.working = True
        self.messages.append(0)
        self.late.append(0)
        start = start_times(self.plan.mesh, origin)
        if not self.period:
            self.fabric.restart_turns()
        else:
            start[:] = origin
            if self.state.step + 1 < self._until:
                after(self.env, self.period, lambda _: self._begin())
            self._next_release = origin + self.period
        self._start = start
        released, self._release = self._release, Event(self.env)
        released.succeed(self.state.step)

    def _maybe_quiet(self) -> None:
        if self._working or self._sent != self._done:
            return
        quiet = np.array([max(s.end, i.last_done) for s, i in zip(self.somas, self.inputs, strict=True)], np.int64)
        self._end_step(quiet)

    def _end_step(self, quiet: I64 | int) -> None:
        """End the step, of which everything is done: record it, call the hooks, and let the barrier come round."""
        self._close_record()
        self.state.step += 1
        for hook in self.step_hooks:
            hook(self)
        if isinstance(quiet, int):
            self.step_ticks.append(quiet)
            return
        learn = self.learn_ticks(self) if self.learn_ticks is not None else None
        if learn is not None:
            quiet = quiet + learn
        if self.learning is None:
            self._pass_barrier(quiet)
        else:
            self.learning.begin(lambda ticks: self._pass_barrier(quiet + ticks))

    def _pass_barrier(self, quiet: I64) -> None:
        self._next_release = release_time(self.plan.mesh, quiet)
        self.step_ticks.append(self._next_release - self._origins[-1])
        if self.state.step < self._until:
            after(self.env, self._next_release - int(self.env.now), lambda _: self._begin())

    def _close_record(self) -> None:
        step = self._open.pop(self.state.step)
        ids = np.concatenate([f[0] for f in step.fired])
        payload = np.concatenate([f[1] for f in step.fired])
        order = np.argsort(ids, kind="stable")
        n = ids.size
        self._ids[:n], self._payload[:n] = ids[order], payload[order]
        self.events = self._ids[:n], self._payload[:n]
        self._remember(n, step.active, step.saturated)

    def _keep(self) -> None:
        """Keep work and stamps of the steps asked for, counted from the release of each."""
        for step in self.keep:
            if self._from <= step < self._until:
                origin = self._origins[step - self._zero]
                packets = sorted((p for p in self._packets if spike_of(p).step == step), key=lambda p: p.number)
                work = _work_of(self, packets, step, origin)
                stamps = np.array([p.stamps for p in packets], np.int64).reshape(-1, 5) - origin
                ends = np.array([s.kept[step].end for s in self.somas], np.int64) - origin
                self.kept[step] = (work, StepTimes(stamps, ends, link_busy_of(self.plan.mesh, work)))
        self._packets = []

    def timing(self) -> TimingRun:
        """Return when everything happened so far."""
        return TimingRun(
            engine="simpy",
            mesh=self.plan.mesh,
            tick_ns=self.plan.costs.tick_ns,
            step_ticks=np.array(self.step_ticks, np.int64),
            messages=np.array(self.messages, np.int64),
            soma_busy_ticks=np.array([s.busy_ticks for s in self.somas], np.int64),
            synapse_busy_ticks=np.array([i.busy_ticks for i in self.inputs], np.int64),
            soma_stall_ticks=np.array([s.stall_ticks for s in self.somas], np.int64),
            link_busy_ticks=link_busy(self.fabric),
            steps=self.kept,
            late=np.array(self.late, np.int64) if self.period else None,
        )


def _move_sums(source: list[Integers], target: list[Integers], step: int) -> None:
    """Copy the sums still to arrive from step `step` on between rings of different lengths."""
    for a, b in zip(source, target, strict=True):
        b[:] = 0
        for t in range(step, step + min(a.shape[0], b.shape[0])):
            b[t % b.shape[0]] = a[t % a.shape[0]]


def spike_of(packet: Packet) -> Spike:
    """Return the spike that a packet carries."""
    assert isinstance(packet.content, Spike)
    return packet.content


def _work_of(engine: SimpyEngine, packets: list[Packet], step: int, origin: int) -> StepWork:
    """Return the work of a step as the cores did it, its times from `origin` on."""
    m = engine.plan.mesh
    off = np.zeros(m.n_endpoints + 1, np.int64)
    np.cumsum(np.bincount([p.source for p in packets], minlength=m.n_endpoints), out=off[1:])
    return StepWork(
        off=off,
        gap=np.array([spike_of(p).gap for p in packets], np.int32),
        rel=np.zeros(len(packets), np.int64),
        dst=np.array([p.target for p in packets], np.int32),
        srv=np.array([p.service_ticks for p in packets], np.int32),
        tail=np.array([s.kept[step].tail for s in engine.somas], np.int32),
        start=np.array([s.kept[step].start for s in engine.somas], np.int64) - origin,
        ends=packet_ends(engine.plan, [spike_of(p).row for p in packets]) if m.multicast else None,
    )
