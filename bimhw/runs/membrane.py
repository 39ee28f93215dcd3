"""Changes of membranes in a run, found by running its program again on its recorded inputs."""

from __future__ import annotations

import numpy as np

from bimhw.runs.folder import RunFolder
from simulator.base.arrays import I32
from simulator.function.simulation import Simulation
from simulator.neurons import base
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window

CHUNK = 256  # steps whose membranes are held at once


def membrane_of(model: str) -> str | None:
    """Return the state word that holds a model's potential; None for a model that keeps none."""
    return base.get(model).traits.membrane or None


def steps_of_samples(program: Program, steps: int, samples: int) -> tuple[int, int]:
    """Return (steps of the network, steps of the chip) of one sample; the chip's latency is what the second has more."""
    chip = steps // max(1, samples)
    return min(chip, program.facts.sample_steps or chip), chip


def membrane_updates(folder: RunFolder) -> dict[str, int] | None:
    """Count membrane updates of each population over the whole run, as NeuroBench 2.3 counts them.

    With T steps of a sample, a population of layer l works in the chip steps l .. l + T - 1 (in all of the chip's steps where
    the program does not say T). Of these, the first counts
    every neuron and each later one the neurons whose potential differs from that of the step before.

    Returns:
        Population -> count; None where running again does not give the recorded spikes (weights changed by learning).
    """
    program, recorded, activity = folder.program(), folder.spikes(), folder.activity()
    probes = {p.name: m for p in program.populations if (m := membrane_of(p.model)) is not None}
    samples = max(1, activity.samples)
    length, chip_steps = steps_of_samples(program, recorded.steps, samples)
    seed = int(folder.manifest.get("seed", 0))
    inputs = _inputs(program, recorded)
    run = Simulation(
        program, seed=seed, probes=tuple(probes.items()), graded_inputs=recorded.payload is not None, strict=False
    )
    layer = {p.name: min(p.layer, chip_steps - length) for p in program.populations}
    out = dict.fromkeys(probes, 0)
    for sample in range(samples):
        if sample and activity.total("state_resets"):
            run.reset()
        before: dict[str, I32] = {}
        for start in range(0, chip_steps, CHUNK):
            stop = min(chip_steps, start + CHUNK)
            run.advance(window(inputs, sample * chip_steps + start, sample * chip_steps + stop), stop - start)
            for name, state in probes.items():
                rows = np.array(run.record.probes[(name, state)], np.int32)
                out[name] += _changes(rows, before.get(name), start, layer[name], length)
                before[name] = rows[-1]
                run.record.probes[(name, state)].clear()
    same = np.array_equal(np.concatenate([np.zeros(0, np.int32), *run.record.ids]), recorded.ids)
    return out if same and np.array_equal(run.record.counts, recorded.counts()) else None


def _inputs(program: Program, spikes: SpikeTrain) -> SpikeTrain:
    """Return the events of the input populations only."""
    driven = np.concatenate([np.full(p.size, base.get(p.model).kernel is None) for p in program.populations])
    keep = driven[spikes.ids]
    step = np.repeat(np.arange(spikes.steps), spikes.counts())[keep]
    ptr = np.zeros(spikes.steps + 1, np.int64)
    np.cumsum(np.bincount(step, minlength=spikes.steps), out=ptr[1:])
    return SpikeTrain(ptr, spikes.ids[keep], None if spikes.payload is None else spikes.payload[keep])


def _changes(rows: I32, before: I32 | None, start: int, layer: int, length: int) -> int:
    """Count the updates in the rows of steps start, start + 1, ...; the window is [layer, layer + length)."""
    step = start + np.arange(rows.shape[0])
    previous = np.concatenate([rows[:1] if before is None else before[None], rows[:-1]])
    changed = (rows != previous).sum(axis=1)
    changed[step == layer] = rows.shape[1]
    return int(changed[(step >= layer) & (step < layer + length)].sum())
