"""`execute`: the one way to run a program on a simulated chip, what happens there and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from bimhw.runs.copies import apart, probes_of, side_by_side, values_apart
from bimhw.runs.request import How, Probe, Request
from bimhw.runs.workers import spreading
from mapping.copies import copies_of
from simulator.base.arrays import I32, I64
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.function import run_samples
from simulator.function.counting import Tally
from simulator.function.parts import Spread
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window

if TYPE_CHECKING:
    from simulator.timing.run import TimingRun
    from simulator.timing.sample import TimingSample


@dataclass(frozen=True, eq=False)
class Run:
    """Result of a program on some samples, with its times.

    Attributes:
        spikes: all events of each sample, inputs included; steps counted from its start. Of a program with copies, each sample
            as if its copy were the first.
        probes: (population, state) -> int32 [samples, steps, n].
        activity: counters of all samples; ``sim_time_ns`` is set where the run was timed.
        timing: of all samples one after another; None without an engine, or on a chip without published times.
        sampled: what the times rest on, where only some steps were timed.
        rounds: all events of each round of a program with copies; None without copies.
        tally: counts by neuron and step, where the run was stepped: another mapping is counted from it without a run.
    """

    spikes: tuple[SpikeTrain, ...]
    probes: Mapping[Probe, I32]
    activity: Activity
    timing: TimingRun | None
    sampled: TimingSample | None = None
    rounds: tuple[SpikeTrain, ...] | None = None
    tally: Tally | None = None

    @property
    def joined(self) -> SpikeTrain:
        """Spikes of the whole run as one train: samples, or rounds of samples side by side, one after another."""
        return joined(self.spikes if self.rounds is None else self.rounds)

    def timing_arrays(self) -> dict[str, I64] | None:
        """Return the arrays that ``timing.npz`` of a run folder holds."""
        return None if self.timing is None else arrays_of(self.timing)


def arrays_of(timing: TimingRun) -> dict[str, I64]:
    """Return what ``timing.npz`` of a run folder holds."""
    busy = timing.soma_busy_ticks + timing.synapse_busy_ticks
    arrays = {"step_ticks": timing.step_ticks, "core_busy": busy, "link_busy": timing.link_busy_ticks}
    return arrays if timing.late is None else arrays | {"late": timing.late}


def execute(request: Request) -> Run:
    """Run samples on a chip, the dynamic state reset between them.

    Raises:
        InputError: inputs or settings that do not fit the program.
        SaturationError: a saturation in a strict run.
    """
    program, chip, n = request.program, request.chip, len(request.trains)
    if chip is None or copies_of(program) == 1:
        return _execute(request, chip)
    abreast = replace(request, trains=side_by_side(program, request.trains), probes=probes_of(program, request.probes))
    run = _execute(abreast, chip)
    return replace(
        run, spikes=apart(program, run.spikes, n), probes=values_apart(program, request.probes, run.probes, n),
        activity=replace(run.activity, samples=len(run.spikes) * copies_of(program)), rounds=run.spikes,
    )  # fmt: skip


def _execute(r: Request, chip: Chip | None) -> Run:
    """Run samples, or rounds of samples, one after another."""
    how = r.how
    if chip is not None and how.sync == "free":
        return _free(r, chip)
    if chip is not None and how.engine == "events":
        return _events(r, chip)
    saving = {} if how.checkpoint is None else {"checkpoint": how.checkpoint}
    with spreading(how.dask) as spread:
        runs = run_samples(
            r.program, r.trains, r.steps, seed=how.seed, probes=r.probes, strict=how.strict, faults=how.faults,
            topology=None if chip is None else chip.topology, checkpoint_every=how.checkpoint_every,
            workers=how.threads, spread=spread, first=r.first, **saving,
        )  # fmt: skip
        resets = range(r.steps, r.steps * len(r.trains), r.steps)
        when = (None, None) if chip is None else time_run(r.program, chip, joined(runs.spikes), how, spread, resets)
    timing, sampled = when
    activity = runs.activity if timing is None else _timed(runs.activity, timing, r.program)
    return Run(runs.spikes, runs.probes, activity, timing, sampled, tally=runs.tally)


def _timed(activity: Activity, timing: TimingRun, program: Program) -> Activity:
    """Return the counters with the time of the run and the tokens of its synchronisation."""
    from simulator.timing.token_counts import with_tokens

    return with_tokens(replace(activity, sim_time_ns=timing.sim_time_ns), timing, program)


def time_run(
    program: Program, chip: Chip, spikes: SpikeTrain, how: How, spread: Spread | None = None, resets: Sequence[int] = ()
) -> tuple[TimingRun | None, TimingSample | None]:
    """Return the times of spikes that are known, and what they rest on where only some steps were timed.

    Both are None without an engine or without published times.
    """
    from simulator.timing.run import run_timing
    from simulator.timing.sample import sample_timing

    if how.engine == "none" or how.engine == "events" or chip.timing is None:
        return None, None
    if how.timing_sample is not None:
        if how.keep or how.sync != "barrier":
            raise InputError("timing sample", "goes with a barrier and without a trace", "Leave one out")
        return sample_timing(
            program, chip, spikes, how.timing_sample, how.engine, seed=how.seed, faults=how.faults, threads=how.threads
        )
    timing = run_timing(
        program, chip, spikes, how.engine, keep=how.keep, faults=how.faults, sync=_with_steps(how), period_ns=how.period_ns,
        resets=resets, threads=how.threads, spread=spread,
    )  # fmt: skip
    return timing, None


def _with_steps(how: How) -> Literal["barrier", "tick", "neighbour"]:
    """Return the synchronisation of a run that has steps."""
    assert how.sync != "free"
    return how.sync


def _events(r: Request, chip: Chip) -> Run:
    """Run one event-driven simulation: late packets of a tick change what is computed."""
    from simulator.events.run import event_engine
    from simulator.function.counting import Counter
    from simulator.function.run import finish

    program, trains, steps, how = r.program, r.trains, r.steps, r.how
    graded = any(t.payload is not None for t in trains)
    engine = event_engine(
        program, chip, sync=_with_steps(how), seed=how.seed, probes=r.probes, strict=how.strict, graded_inputs=graded,
        period_ns=how.period_ns, keep=how.keep,
    )  # fmt: skip
    for k, train in enumerate(trains):
        if k:
            engine.reset()
        engine.advance(train, steps)
    whole, timing = finish(engine, Counter(program, chip.topology), len(trains)), engine.timing()
    spikes = tuple(window(whole.spikes, k * steps, (k + 1) * steps) for k in range(len(trains)))
    recorded = {p: v.reshape(len(trains), steps, v.shape[1]) for p, v in whole.probes.items()}
    return Run(spikes, recorded, _timed(whole.activity, timing, program), timing)


def _free(r: Request, chip: Chip) -> Run:
    """Run asynchronously; an event counts to the input step in whose period it falls."""
    from simulator.events.asynchronous import run_free
    from simulator.function.counting import Counter

    program, trains, steps, how = r.program, r.trains, r.steps, r.how
    if r.probes:
        raise InputError("sync 'free'", "has no steps whose states could be read", "Decode the output by its spikes")
    assert how.period_ns is not None
    cut, ticks, updates = [], 0, []
    for k, train in enumerate(trains):
        run = run_free(program, chip, train, how.period_ns, seed=how.seed)
        period = max(1, round(how.period_ns / run.tick_ns))
        at = np.minimum(run.ticks // period, steps - 1)
        order = np.lexsort((run.ids, at))
        ptr = np.zeros(steps + 1, np.int64)
        np.cumsum(np.bincount(at, minlength=steps), out=ptr[1:])
        payload = run.payload[order]
        cut.append(SpikeTrain(ptr, run.ids[order], None if (payload == 1).all() else payload))
        ticks += max(run.end, steps * period)
        step = np.minimum(run.updated[:, 0] // period, steps - 1) + k * steps
        updates.append(np.column_stack([step, run.updated[:, 1:]]))
    spikes, n = joined(tuple(cut)), program.n_neurons
    step, neuron, active = np.concatenate(updates).T
    population = np.repeat(np.arange(len(program.populations)), [p.size for p in program.populations])
    by_step = np.zeros((spikes.steps, len(program.populations)), np.int64)
    np.add.at(by_step, (step, population[neuron]), 1)
    took = active > 0
    tally = Tally(
        np.bincount(neuron[took], minlength=n).astype(np.int64),
        np.bincount(step[took], minlength=spikes.steps).astype(np.int64),
        np.zeros(n, np.int64),
        np.zeros(spikes.steps, np.int64),
        tuple(range(steps, steps * len(trains), steps)),
        updated=(np.bincount(neuron, minlength=n).astype(np.int64), by_step),
    )
    activity = Counter(program, chip.topology).activity(spikes, tally, len(trains))
    return Run(tuple(cut), {}, replace(activity, sim_time_ns=ticks * run.tick_ns), None)


def joined(trains: Sequence[SpikeTrain]) -> SpikeTrain:
    """Return samples one after another as one train."""
    counts = np.concatenate([t.counts() for t in trains])
    ptr = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=ptr[1:])
    ids = np.concatenate([t.ids for t in trains])
    if all(t.payload is None for t in trains):
        return SpikeTrain(ptr, ids)
    ones = [np.ones(t.ids.size, np.int32) if t.payload is None else t.payload for t in trains]
    return SpikeTrain(ptr, ids, np.concatenate(ones))
