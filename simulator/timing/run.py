"""`run_timing`: when everything happens that a functional run said happens (barrier and tick synchronisation)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulator.axons import AxonTable
from simulator.chip import Chip
from simulator.errors import InputError
from simulator.program import Program
from simulator.spikes import SpikeTrain
from simulator.timing.active import active_updates
from simulator.timing.barrier import quiet_times, release_time
from simulator.timing.bound import release_bound
from simulator.timing.contract import I64, Mesh, StepTimes, StepWork
from simulator.timing.expand import Chunk, expand, message_counts
from simulator.timing.plan import Plan, make_plan

Engine = Literal["clocked", "simpy", "compiled", "bound"]
CHUNK_MESSAGES = 1 << 16  # expanded at a time: some 3 MB, which stays in the cache


@dataclass(frozen=True, eq=False)
class TimingRun:
    """When everything of a run happened.

    Attributes:
        engine: which engine said so.
        mesh: the hardware, in ticks.
        tick_ns: length of a tick.
        step_ticks: int64 [T], ticks of each step, its barrier included.
        messages: int64 [T].
        soma_busy_ticks: int64 [C], soma and axon-out work of each endpoint (cores, then the host).
        synapse_busy_ticks: int64 [C], service of packets.
        soma_stall_ticks: int64 [C], somas waiting for a free slot; zeros for ``bound``, which knows no queues.
        link_busy_ticks: int64 [R, P], busy ticks of each router output; zeros for ``bound``.
        steps: step -> (work, times) of the steps that were asked for.
    """

    engine: Engine
    mesh: Mesh
    tick_ns: float
    step_ticks: I64
    messages: I64
    soma_busy_ticks: I64
    synapse_busy_ticks: I64
    soma_stall_ticks: I64
    link_busy_ticks: I64
    steps: Mapping[int, tuple[StepWork, StepTimes]] = field(default_factory=dict)

    @property
    def sim_time_ns(self) -> float:
        """Simulated time of the whole run."""
        return float(self.step_ticks.sum()) * self.tick_ns

    @property
    def step_time_ns(self) -> npt.NDArray[np.float64]:
        """Simulated time of each step, float64 [T]."""
        return self.step_ticks.astype(np.float64) * self.tick_ns


@dataclass(eq=False)
class _Sums:
    step_ticks: I64
    stall: I64
    links: I64
    steps: dict[int, tuple[StepWork, StepTimes]]


def engines() -> dict[str, Callable[[Mesh, StepWork], StepTimes]]:
    """The cycle-level engines by name; each gives the same times, to the tick."""
    from simulator.timing.clocked import run_clocked
    from simulator.timing.simpy_timing import run_simpy

    return {"clocked": run_clocked, "simpy": run_simpy}


def run_timing(
    program: Program,
    chip: Chip,
    spikes: SpikeTrain,
    engine: Engine = "clocked",
    *,
    learn_synapses: I64 | None = None,
    keep: range = range(0),
    mesh: Mesh | None = None,
    axons: AxonTable | None = None,
) -> TimingRun:
    """Time a run under barrier synchronisation; steps are independent of one another.

    Args:
        program: a mapped program.
        chip: the chip that it runs on.
        spikes: all events of all steps, inputs included (as the functional run gives them).
        engine: ``compiled`` (fast), ``clocked`` (the definition), ``simpy`` (processes) or ``bound`` (lower bound).
        learn_synapses: int64 [T, cores], weights that each core updates in the learning phase of each step.
        keep: steps whose work and stamps are kept.
        mesh: hardware other than the chip's own (a sweep of buffers, hop times ...).
        axons: the program's axon table, if it is at hand.

    Raises:
        InputError: unknown engine, a chip without times, a core that cannot be reached.
    """
    plan = make_plan(program, chip, mesh, axons)
    if engine not in ("clocked", "simpy", "compiled", "bound"):
        raise InputError(f"engine {engine!r}", "is not known", "Engines: compiled, clocked, simpy, bound")
    _check_spikes(spikes, program)
    learn = _learn_ticks(plan, spikes.steps, learn_synapses)
    n, m = plan.mesh.n_endpoints, plan.mesh
    messages = message_counts(plan, spikes)
    sums = _Sums(
        np.zeros(spikes.steps, np.int64), np.zeros(n, np.int64), np.zeros((m.n_routers, m.n_ports), np.int64), {}
    )
    soma, synapse = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for first, last in _chunks(messages):
        active = None if plan.uniform else active_updates(program, spikes, first, last)
        chunk = expand(plan, spikes, first, last, active)
        soma += chunk.soma
        synapse += chunk.synapse
        _time_chunk(chunk, engine, learn, keep, sums)
    return TimingRun(
        engine, m, plan.costs.tick_ns, sums.step_ticks, messages, soma, synapse, sums.stall, sums.links, sums.steps
    )


def _time_chunk(chunk: Chunk, engine: Engine, learn: I64 | None, keep: range, sums: _Sums) -> None:
    mesh = chunk.plan.mesh
    for i in range(chunk.steps):
        t, work = chunk.first + i, chunk.step(i)
        extra = None if learn is None else learn[t]
        if engine == "bound":
            late = 0 if extra is None else int(extra.max())
            sums.step_ticks[t] = max(release_bound(mesh, work), release_time(mesh, work.start) + late)
            continue
        times = engines()[engine](mesh, work)
        sums.step_ticks[t] = release_time(mesh, quiet_times(work, times, extra))
        sums.links += times.link_busy
        sums.stall += times.soma_end - work.start - _soma_work(work)
        if t in keep:
            sums.steps[t] = (work, times)


def _soma_work(work: StepWork) -> I64:
    running = np.zeros(work.gap.size + 1, np.int64)
    np.cumsum(work.gap, out=running[1:])
    return np.diff(running[work.off]) + work.tail.astype(np.int64)


def _chunks(messages: I64) -> Iterator[tuple[int, int]]:
    first = 0
    total = 0
    for t, n in enumerate(messages.tolist()):
        if t > first and total + n > CHUNK_MESSAGES:
            yield first, t
            first, total = t, 0
        total += n
    if messages.size > first:
        yield first, int(messages.size)


def _learn_ticks(plan: Plan, steps: int, learn_synapses: I64 | None) -> I64 | None:
    if learn_synapses is None:
        return None
    if learn_synapses.shape != (steps, plan.mesh.n_cores):
        raise InputError(
            "learn_synapses", f"has shape {learn_synapses.shape}, not ({steps}, {plan.mesh.n_cores}) (steps, cores)"
        )
    ticks = np.zeros((steps, plan.mesh.n_endpoints), np.int64)
    for t, c in zip(*np.nonzero(learn_synapses), strict=True):
        ticks[t, c] = plan.costs.learning(int(learn_synapses[t, c]))
    return ticks


def _check_spikes(spikes: SpikeTrain, program: Program) -> None:
    if spikes.ids.size and not 0 <= int(spikes.ids.min()) <= int(spikes.ids.max()) < program.n_neurons:
        raise InputError(
            "spikes", f"have ids {spikes.ids.min()}..{spikes.ids.max()}; the program has {program.n_neurons} neurons"
        )
