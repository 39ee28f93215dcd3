"""`execute`: the one way to run a program on a simulated chip, what happens there and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from bimhw.runs.copies import apart, probes_of, side_by_side, values_apart
from bimhw.runs.workers import spreading
from mapping.copies import copies_of
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.function import run_samples
from simulator.function.counting import Tally
from simulator.function.parts import Spread
from simulator.program.activity import Activity
from simulator.program.faults import Faults, check_faults
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window

if TYPE_CHECKING:
    from simulator.timing.run import TimingRun
    from simulator.timing.sample import TimingSample

Engine = Literal["compiled", "simpy", "clocked", "bound", "events", "none"]
Sync = Literal["barrier", "tick", "free", "neighbour"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
SYNCS: tuple[Sync, ...] = get_args(Sync)
Probe = tuple[str, str]
_SOUND = Faults()


@dataclass(frozen=True)
class How:
    """How a program is run.

    Attributes:
        engine: timing engine; ``events`` computes and times in one event-driven simulation; ``none``: function only.
        seed: key of everything random on the chip.
        faults: what is broken on the chip.
        strict: a value that leaves its word is an error instead of a count.
        sync: ``barrier``, ``tick`` (step s begins at s x period), ``neighbour`` (a core goes on when its neighbours do) or
            ``free`` (no steps; events drive the cores).
        period_ns: of ``tick`` and ``free``.
        keep: steps whose work and stamps are kept for a trace.
        checkpoint: file to save to and, if it exists, to go on from.
        checkpoint_every: steps between two checkpoints.
        timing_sample: share of the steps to time; None: all.
        threads: that samples and steps are shared among; the result is the same for any number.
        dask: address of a Dask scheduler that samples and chunks of steps are sent to; the result is the same.
    """

    engine: Engine = "compiled"
    seed: int = 0
    faults: Faults = _SOUND
    strict: bool = False
    sync: Sync = "barrier"
    period_ns: float | None = None
    keep: range = range(0)
    checkpoint: str | Path | None = None
    checkpoint_every: int = 1000
    timing_sample: float | None = None
    threads: int = 1
    dask: str | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise InputError(f"engine {self.engine!r}", "is not known", f"Engines: {', '.join(ENGINES)}")
        if self.sync not in SYNCS:
            raise InputError(f"sync {self.sync!r}", "is not known", f"Synchronisations: {', '.join(SYNCS)}")
        timed = self.sync in ("tick", "free")
        if not timed and self.period_ns is not None:
            raise InputError("period", "belongs to tick and free synchronisation", "Give --sync tick as well")
        if timed and not (self.period_ns and self.period_ns > 0):
            raise InputError(f"sync {self.sync!r}", "needs a period above 0", "For example --period 1ms")
        if self.engine == "events" and (self.faults != Faults() or self.checkpoint is not None):
            raise InputError("engine 'events'", "runs without faults and checkpoints", "Use --engine compiled")
        if self.sync == "free" and self.engine not in ("events", "compiled"):
            raise InputError("sync 'free'", f"has no engine {self.engine!r}", "Use --engine events")


_PLAIN = How()


@dataclass(frozen=True, eq=False)
class Run:
    """What a program did on some samples, and when.

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
    probes: Mapping[Probe, npt.NDArray[np.int32]]
    activity: Activity
    timing: TimingRun | None
    sampled: TimingSample | None = None
    rounds: tuple[SpikeTrain, ...] | None = None
    tally: Tally | None = None

    @property
    def joined(self) -> SpikeTrain:
        """All that happened on the chip as one train: samples, or rounds of samples side by side, one after another."""
        return joined(self.spikes if self.rounds is None else self.rounds)

    def timing_arrays(self) -> dict[str, npt.NDArray[np.int64]] | None:
        """Return the arrays that ``timing.npz`` of a run folder holds."""
        t = self.timing
        if t is None:
            return None
        busy = t.soma_busy_ticks + t.synapse_busy_ticks
        arrays = {"step_ticks": t.step_ticks, "core_busy": busy, "link_busy": t.link_busy_ticks}
        return arrays if t.late is None else arrays | {"late": t.late}


def execute(
    program: Program,
    trains: Sequence[SpikeTrain],
    chip: Chip,
    steps: int,
    *,
    probes: Sequence[Probe] = (),
    how: How = _PLAIN,
    first: int = 0,
) -> Run:
    """Run samples on a chip, the dynamic state reset between them.

    Args:
        program: mapped to the chip.
        trains: input spikes of each sample.
        chip: the chip.
        steps: chip steps of a sample.
        probes: (population, state) pairs to record.
        how: engine, seed, faults, synchronisation.
        first: samples of the same run that were run before, apart (`bimhw.runs.pieces`).

    Raises:
        InputError: inputs, faults or settings that do not fit the program or the chip.
        SaturationError: a saturation in a strict run.
    """
    check_faults(how.faults, chip.topology)
    _check_sync(how, chip)
    if how.engine == "events" and chip.timing is None:
        raise InputError("engine 'events'", f"needs times, and chip {chip.name!r} has none", "Use --engine none")
    if copies_of(program) == 1:
        return _execute(program, trains, chip, steps, probes, how, first)
    run = _execute(program, side_by_side(program, trains), chip, steps, probes_of(program, probes), how)
    n = len(trains)
    return replace(
        run, spikes=apart(program, run.spikes, n), probes=values_apart(program, probes, run.probes, n),
        activity=replace(run.activity, samples=len(run.spikes) * copies_of(program)), rounds=run.spikes,
    )  # fmt: skip


def _execute(
    program: Program,
    trains: Sequence[SpikeTrain],
    chip: Chip,
    steps: int,
    probes: Sequence[Probe],
    how: How,
    first: int = 0,
) -> Run:
    """Run samples, or rounds of samples, one after another."""
    if how.sync == "free":
        return _free(program, trains, chip, steps, probes, how)
    if how.engine == "events":
        return _events(program, trains, chip, steps, probes, how)
    saving = {} if how.checkpoint is None else {"checkpoint": how.checkpoint}
    with spreading(how.dask) as spread:
        runs = run_samples(
            program, trains, steps, seed=how.seed, probes=probes, strict=how.strict, topology=chip.topology,
            faults=how.faults, checkpoint_every=how.checkpoint_every, workers=how.threads, spread=spread, first=first, **saving,
        )  # fmt: skip
        resets = range(steps, steps * len(trains), steps)
        timing, sampled = time_run(program, chip, joined(runs.spikes), how, spread, resets)
    activity = runs.activity if timing is None else _timed(runs.activity, timing, program)
    return Run(runs.spikes, runs.probes, activity, timing, sampled, tally=runs.tally)


def _timed(activity: Activity, timing: TimingRun, program: Program) -> Activity:
    """Return the counters with the time of the run and the tokens of its synchronisation."""
    from simulator.timing.token_counts import with_tokens

    return with_tokens(replace(activity, sim_time_ns=timing.sim_time_ns), timing, program)


def _check_sync(how: How, chip: Chip) -> None:
    """Raise `InputError` where a run is timed by a synchronisation that the chip does not have."""
    has = chip.capabilities.sync
    if how.engine != "none" and chip.timing is not None and how.sync not in has:
        way = f"Choose {' or '.join(has)}, or list it under capabilities.sync of a chip file of your own"
        raise InputError(f"sync {how.sync!r}", f"is not one of chip {chip.name!r}: {', '.join(has)}", way)


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


def _events(
    program: Program, trains: Sequence[SpikeTrain], chip: Chip, steps: int, probes: Sequence[Probe], how: How
) -> Run:
    """Run one event-driven simulation: late packets of a tick change what is computed."""
    from simulator.events.run import event_engine
    from simulator.function.counting import Counter
    from simulator.function.run import finish

    graded = any(t.payload is not None for t in trains)
    engine = event_engine(
        program, chip, sync=_with_steps(how), seed=how.seed, probes=probes, strict=how.strict, graded_inputs=graded,
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


def _free(
    program: Program, trains: Sequence[SpikeTrain], chip: Chip, steps: int, probes: Sequence[Probe], how: How
) -> Run:
    """Run asynchronously; an event counts to the input step in whose period it falls."""
    from simulator.events.asynchronous import run_free
    from simulator.function.counting import Counter

    if probes:
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


def parse_period(text: str) -> float:
    """Return ns of a time such as ``1ms``, ``20us`` or ``500`` (ns)."""
    units = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
    unit = next((u for u in ("ns", "us", "µs", "ms", "s") if text.endswith(u)), "")
    try:
        value = float(text.removesuffix(unit)) * units[unit or "ns"]
    except ValueError as error:
        raise InputError(f"period {text!r}", "is no time", "For example 1ms, 20us or 500ns") from error
    if not 0 < value < float("inf"):
        raise InputError(f"period {text!r}", "must be above 0", "For example 1ms")
    return value


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
