"""`run_timing`: when everything happens that a functional run said happens ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from simulator.base.arrays import I64, Bools, Floats
from simulator.base.errors import InputError, unknown_name
from simulator.chips.chip import Chip
from simulator.function.parts import Spread
from simulator.program.axons import AxonTable, axon_table
from simulator.program.faults import Detour, Faults, clock_factors, detours
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.active import active_updates
from simulator.timing.barrier import quiet_times, release_time, start_times
from simulator.timing.bound import link_busy_of, release_bound
from simulator.timing.chunks import chunks_of
from simulator.timing.compiled import run_steps
from simulator.timing.contract import Mesh, StepTimes, StepWork
from simulator.timing.expand import Chunk, expand, message_counts
from simulator.timing.overlap import Overlapping, period_ticks
from simulator.timing.plan import Plan, make_plan
from simulator.timing.result import Engine as Engine
from simulator.timing.result import TimingRun as TimingRun
from simulator.timing.variation import vary_cores

_Ways = Mapping[tuple[int, int], Detour]


def engines(
    ways: _Ways | None = None,
) -> dict[str, Callable[[Mesh, StepWork], StepTimes]]:
    """Return the cycle-level engines by name; each gives the same times, to the tick. Ways around dead links: ``simpy`` only."""
    from simulator.timing.clocked import run_clocked
    from simulator.timing.compiled import run_compiled
    from simulator.timing.simpy_timing import run_simpy

    if not ways:
        return {"clocked": run_clocked, "compiled": run_compiled, "simpy": run_simpy}
    from simulator.timing.variation import detour_router

    return {"simpy": partial(run_simpy, router=detour_router(ways))}


def run_timing(
    program: Program,
    chip: Chip,
    spikes: SpikeTrain,
    engine: Engine = "compiled",
    *,
    threads: int = 1,
    sync: Literal["barrier", "tick", "neighbour"] = "barrier",
    period_ns: float | None = None,
    resets: Sequence[int] = (),
    learn_synapses: I64 | None = None,
    keep: range = range(0),
    mesh: Mesh | None = None,
    axons: AxonTable | None = None,
    core_factors: Floats | None = None,
    active: Bools | None = None,
    faults: Faults | None = None,
    spread: Spread | None = None,
) -> TimingRun:
    """Time a run. Under a barrier steps are independent of one another; under ticks of a fixed period they may overlap.

    Args:
        program, chip: a mapped program, and the chip that it runs on.
        spikes: all events of all steps, inputs included (as the functional run gives them).
        engine: ``compiled`` (fast), ``clocked`` (the definition), ``simpy`` (processes) or ``bound`` (lower bound).
        threads: that chunks of steps are shared among; the result is the same for any number.
        sync: ``barrier`` (a step begins when all is quiet), ``tick`` (step s begins at s * period; late messages are
            counted) or ``neighbour`` (a core's step begins when it and its neighbours are through with the last one).
        period_ns: length of a tick of ``tick``.
        resets: steps before which all state is reset; the chip is quiet then, whatever the synchronisation.
        learn_synapses: int64 [T, cores], synaptic words that each core touches in the learning phase of each step.
        keep: steps whose work and stamps are kept.
        mesh: hardware other than the chip's own (a sweep of buffers, hop times ...).
        axons: the program's axon table, if it is at hand.
        core_factors: float64 [cores], how much longer each core takes than nominal (clock variation).
        active: bool [T, N], neurons with an input that is not 0, or with a spike (needed where weights changed in the run).
        faults: dead links and uneven clocks of the chip; ``simpy`` alone sends packets round dead links.
        spread: calls a function on each tuple of arguments, elsewhere, and returns the results in order (a cluster).

    Raises:
        InputError: unknown engine, a chip without times, a core that cannot be reached.
    """
    if engine not in ("clocked", "simpy", "compiled", "bound"):
        raise unknown_name("engine", engine, ("compiled", "clocked", "simpy", "bound"))
    plan, ways = _hardware(program, chip, mesh, axons, faults, core_factors)
    _check_ways(plan, ways, faults, engine, sync)
    _check_spikes(spikes, program)
    if sync == "barrier":
        job = _Job(plan, program, spikes, engine, _learn_ticks(plan, spikes.steps, learn_synapses), keep, active, ways)
        return job.all_steps(threads, spread)
    if learn_synapses is not None:
        raise InputError(f"sync {sync!r}", "does not go with learning phases", "Use sync='barrier'")
    whole = Overlapping(plan, program, spikes, engine, keep)
    if sync == "neighbour":
        return whole.by_neighbours(resets, threads)
    return whole.by_ticks(period_ticks(sync, period_ns, plan), engines(ways).get(engine))


def _hardware(
    program: Program,
    chip: Chip,
    mesh: Mesh | None,
    axons: AxonTable | None,
    faults: Faults | None,
    core_factors: Floats | None,
) -> tuple[Plan, _Ways]:
    """Return the plan of a program on a chip with its uneven clocks, and the ways around its dead links."""
    axons = axon_table(program) if axons is None else axons
    plan = make_plan(program, chip, mesh, axons)
    ways = {} if faults is None else detours(program, axons, chip.topology, faults.dead_links)
    if core_factors is None and faults is not None and faults.clock_sigma:
        core_factors = clock_factors(faults, plan.mesh.n_cores)
    return plan if core_factors is None else vary_cores(plan, core_factors), ways


def _check_ways(plan: Plan, ways: _Ways, faults: Faults | None, engine: Engine, sync: str) -> None:
    """Raise `InputError` where packets would have to go round dead links and cannot."""
    if ways and (sync == "neighbour" or plan.mesh.multicast):
        what = "multicast" if plan.mesh.multicast else "sync 'neighbour'"
        raise InputError(what, "does not go with dead links in the way of packets", "Leave out one of them")
    if ways and engine != "simpy":
        raise InputError(
            f"dead links {[list(link) for link in faults.dead_links] if faults else []}",
            f"lie in the way of {len(ways)} pairs of cores, and the engine {engine!r} routes x first only",
            "Use the engine simpy, which sends their packets round, or place the network elsewhere",
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """Results of one chunk."""

    step_ticks: I64
    soma: I64
    synapse: I64
    stall: I64
    links: I64
    steps: dict[int, tuple[StepWork, StepTimes]]


@dataclass(frozen=True, eq=False)
class _Job:
    plan: Plan
    program: Program
    spikes: SpikeTrain
    engine: Engine
    learn: I64 | None
    keep: range
    active: Bools | None
    ways: _Ways

    def all_steps(self, threads: int, spread: Spread | None) -> TimingRun:
        """Time all chunks of steps, here or elsewhere."""
        messages = message_counts(self.plan, self.spikes)
        chunks = chunks_of(messages, self.plan.mesh.n_endpoints, threads)
        if spread is not None and len(chunks) > 1:
            parts = spread(_run_chunk, [(self, c) for c in chunks])
        elif threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(self.run, chunks))
        else:
            parts = [self.run(c) for c in chunks]
        return _joined(self.plan, self.engine, messages, parts)

    def run(self, bounds: tuple[int, int]) -> _Part:
        """Expand and time the steps of one chunk."""
        first, last = bounds
        active = self.active[first:last] if self.active is not None else None
        if active is None and not self.plan.uniform:
            active = active_updates(self.program, self.spikes, first, last)
        chunk = expand(self.plan, self.spikes, first, last, active)
        if self.engine == "bound":
            return self._bound(chunk)
        if self.engine == "compiled":
            return self._compiled(chunk)
        return self._step_by_step(chunk)

    def _extra(self, t: int) -> I64 | None:
        return None if self.learn is None else self.learn[t]

    def _compiled(self, chunk: Chunk) -> _Part:
        mesh, kept = self.plan.mesh, [t for t in self.keep if chunk.first <= t < chunk.first + chunk.steps]
        start = start_times(mesh)
        timed = run_steps(
            mesh, chunk.off, chunk.gap, chunk.carries, chunk.tail, start, stamps=bool(kept), ends=chunk.ends
        )
        quiet = timed.quiet if self.learn is None else timed.quiet + self.learn[chunk.first : chunk.first + chunk.steps]
        ticks = np.array([release_time(mesh, q) for q in quiet], np.int64)
        stall = (timed.soma_end - start).sum(axis=0) - chunk.soma
        steps = {}
        for t in kept:
            i = t - chunk.first
            stamps = timed.stamps[chunk.off[i, 0] : chunk.off[i, -1]]
            work = chunk.step(i)
            steps[t] = (work, StepTimes(stamps, timed.soma_end[i], link_busy_of(mesh, work)))
        return _Part(ticks, chunk.soma, chunk.synapse, stall, timed.link_busy, steps)

    def _step_by_step(self, chunk: Chunk) -> _Part:
        mesh, time_step = self.plan.mesh, engines(self.ways)[self.engine]
        part = self._empty(chunk)
        for i in range(chunk.steps):
            t, work = chunk.first + i, chunk.step(i)
            times = time_step(mesh, work)
            part.step_ticks[i] = release_time(mesh, quiet_times(work, times, self._extra(t)))
            part.links[:] += times.link_busy
            part.stall[:] += times.soma_end - work.start - _soma_work(work)
            if t in self.keep:
                part.steps[t] = (work, times)
        return part

    def _bound(self, chunk: Chunk) -> _Part:
        part = self._empty(chunk)
        for i in range(chunk.steps):
            work, extra = chunk.step(i), self._extra(chunk.first + i)
            part.step_ticks[i] = release_bound(self.plan.mesh, work, extra)
            part.links[:] += link_busy_of(self.plan.mesh, work)
        return part

    def _empty(self, chunk: Chunk) -> _Part:
        m = self.plan.mesh
        links = np.zeros((m.n_routers, m.n_ports), np.int64)
        stall = np.zeros(m.n_endpoints, np.int64)
        return _Part(np.zeros(chunk.steps, np.int64), chunk.soma, chunk.synapse, stall, links, {})


def _run_chunk(job: _Job, bounds: tuple[int, int]) -> _Part:
    return job.run(bounds)


def _joined(plan: Plan, engine: Engine, messages: I64, parts: list[_Part]) -> TimingRun:
    m = plan.mesh
    zero, links = np.zeros(m.n_endpoints, np.int64), np.zeros((m.n_routers, m.n_ports), np.int64)
    return TimingRun(
        engine=engine,
        mesh=m,
        tick_ns=plan.costs.tick_ns,
        step_ticks=np.concatenate([p.step_ticks for p in parts]) if parts else np.zeros(0, np.int64),
        messages=messages,
        soma_busy_ticks=sum((p.soma for p in parts), zero),
        synapse_busy_ticks=sum((p.synapse for p in parts), zero),
        soma_stall_ticks=sum((p.stall for p in parts), zero),
        link_busy_ticks=sum((p.links for p in parts), links),
        steps={t: v for p in parts for t, v in p.steps.items()},
    )


def _soma_work(work: StepWork) -> I64:
    running = np.zeros(work.gap.size + 1, np.int64)
    np.cumsum(work.gap, out=running[1:])
    return np.diff(running[work.off]) + work.tail.astype(np.int64)


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
