"""`run` one stream, or `run_samples` with all dynamic state reset between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.base.arrays import I32
from simulator.base.errors import InputError
from simulator.base.shown import Shown
from simulator.chips.chip import Topology
from simulator.function.checkpoint import advance_samples_saving, advance_saving
from simulator.function.counting import Counter, Tally
from simulator.function.large import useful_threads
from simulator.function.parts import Setup, Spread, join_parts, run_parts
from simulator.function.resting import with_resting
from simulator.function.simulation import Simulation
from simulator.function.state import Probe, Record, State
from simulator.program.activity import Activity
from simulator.program.faults import Faults
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window


@dataclass(frozen=True, eq=False, repr=False)
class FunctionRun(Shown):
    """Result of a program's run.

    Attributes:
        spikes: every event of every step, inputs included, logical ids ascending within a step; payload None where all
            are binary.
        probes: (population, state) -> int32 [T, n], value after the step.
        activity: counters.
        state: dynamic state after the last step.
        tally: counts by neuron and step, from which a `Counter` counts again for another mapping.
    """

    spikes: SpikeTrain
    probes: Mapping[Probe, I32]
    activity: Activity
    state: State
    tally: Tally


@dataclass(frozen=True, eq=False, repr=False)
class SampleRuns(Shown):
    """Results of a program on several samples.

    Attributes:
        spikes: of each sample, steps counted from its start.
        probes: (population, state) -> int32 [samples, T, n].
        activity: counters of all samples together; ``by_step`` runs through all of them.
        tally: of all samples, as in `FunctionRun`.
    """

    spikes: tuple[SpikeTrain, ...]
    probes: Mapping[Probe, I32]
    activity: Activity
    tally: Tally


def run(
    program: Program,
    inputs: SpikeTrain,
    steps: int,
    *,
    seed: int = 0,
    probes: Sequence[Probe] = (),
    strict: bool = False,
    topology: Topology | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_every: int = 1000,
    faults: Faults | None = None,
) -> FunctionRun:
    """Run a program for `steps` steps. A spike of step t arrives at step t + 1 + delay.

    Args:
        program: what to run.
        inputs: events of the input populations; silence after their end, events after `steps` are not used.
        steps: chip steps.
        seed: key of all random numbers; the same seed gives the same bytes under every mapping.
        probes: (population, state) pairs to record.
        strict: a saturation is an error instead of a count.
        topology: mesh for packets and hops; by default that of the program's chip.
        checkpoint: file to save to and, if it exists, to go on from; the result is that of an unbroken run.
        checkpoint_every: steps between two checkpoints.
        faults: what is broken on the chip; counted as ``fault_*``.

    Raises:
        InputError: a program or inputs that do not fit together, or a checkpoint of another run.
        SaturationError: a saturation in a strict run.
    """
    graded = inputs.payload is not None
    simulation = Simulation(program, seed=seed, probes=probes, strict=strict, graded_inputs=graded, faults=faults)
    if checkpoint is None:
        simulation.advance(inputs, steps)
    else:
        advance_saving(simulation, inputs, steps, checkpoint, checkpoint_every)
    return finish(simulation, Counter(program, topology))


def run_samples(
    program: Program,
    samples: Sequence[SpikeTrain],
    steps: int,
    *,
    seed: int = 0,
    probes: Sequence[Probe] = (),
    strict: bool = False,
    topology: Topology | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_every: int = 1000,
    faults: Faults | None = None,
    workers: int = 1,
    spread: Spread | None = None,
    first: int = 0,
) -> SampleRuns:
    """Run samples one after another, `steps` steps each, all dynamic state reset before each but the first.

    Random numbers go on through all samples (the step of their key is not reset). Arguments and errors as in `run`.

    Args:
        workers: threads that samples are shared among, or the neurons of a large network where samples are not; the result is
            the same for any number. Runs with faults or of a program that learns take one.
        spread: calls a function on each tuple of arguments, elsewhere, and returns the results in order (a cluster).
        first: samples of the same run that were run before, apart; not of a program that learns or has faults.
    """
    if not samples:
        raise InputError("samples", "are none", "Give at least one")
    graded = any(s.payload is not None for s in samples)
    alone = checkpoint is not None or faults not in (None, Faults()) or any(p.plastic for p in program.projections)
    assert not (first and alone)
    if not alone and (first or (len(samples) > 1 and (workers > 1 or spread is not None))):
        setup = Setup(program, steps, seed, tuple(probes), strict, graded)
        record, tally = join_parts(run_parts(setup, samples, workers, spread, first), first * steps)
        return _cut(program, record, tally, Counter(program, topology), len(samples), steps)
    threads = useful_threads(program, workers)
    simulation = Simulation(
        program, seed=seed, probes=probes, strict=strict, graded_inputs=graded, faults=faults, threads=threads
    )
    if checkpoint is not None:
        advance_samples_saving(simulation, samples, steps, checkpoint, checkpoint_every)
    else:
        for k, sample in enumerate(samples):
            if k:
                simulation.reset()
            simulation.advance(sample, steps)
    return _cut(program, simulation.record, tally_of(simulation), Counter(program, topology), len(samples), steps)


def _cut(program: Program, record: Record, tally: Tally, counter: Counter, samples: int, steps: int) -> SampleRuns:
    """Cut what was recorded into samples."""
    spikes = recorded_spikes(record)
    tally = with_resting(program, spikes, tally)
    probes = recorded_probes(program, record)
    cut = tuple(window(spikes, k * steps, (k + 1) * steps) for k in range(samples))
    probed = {p: v.reshape(samples, steps, v.shape[1]) for p, v in probes.items()}
    return SampleRuns(cut, probed, counter.activity(spikes, tally, samples), tally)


def finish(simulation: Simulation, counter: Counter, samples: int = 1) -> FunctionRun:
    """Return the result of a simulation so far."""
    spikes = recorded_spikes(simulation.record)
    probes = recorded_probes(simulation.layout.program, simulation.record)
    tally = with_resting(simulation.layout.program, spikes, tally_of(simulation))
    return FunctionRun(spikes, probes, counter.activity(spikes, tally, samples), simulation.state, tally)


def recorded_probes(program: Program, record: Record) -> dict[Probe, I32]:
    """Return the values of each probe, int32 [T, n]."""
    sizes = {p.name: p.size for p in program.populations}
    return {p: np.array(v, np.int32).reshape(len(v), sizes[p[0]]) for p, v in record.probes.items()}


def tally_of(simulation: Simulation) -> Tally:
    """Return what the step loop counted itself."""
    r = simulation.record
    return Tally(
        simulation.active_of_neuron,
        np.array(r.active, np.int64),
        simulation.saturated_of_neuron,
        np.array(r.saturated, np.int64),
        tuple(r.resets),
        {} if simulation.breakage is None else simulation.breakage.lost,
        None if simulation.breakage is None else simulation.breakage.dead,
    )


def recorded_spikes(record: Record) -> SpikeTrain:
    """Return all events so far."""
    ptr = np.zeros(len(record.counts) + 1, np.int64)
    np.cumsum(record.counts, out=ptr[1:])
    ids = np.concatenate([*record.ids, np.empty(0, np.int32)])
    return SpikeTrain(ptr, ids, record.all_payloads())
