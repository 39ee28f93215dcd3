"""Cost of a run on copies of its network (`mapping.copies`): counters repeated, hops and times counted anew.

The copies share the mesh, the host port and the barrier; the timing engine runs them together. A program that was compiled
with copies is simulated as it is, and needs none of this.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bimhw.costs.counted import CountedLearning
from mapping.copies import replicate
from simulator.base.arrays import I64
from simulator.chips.chip import Chip
from simulator.function.counting import Counter, Tally
from simulator.program.activity import Activity, Count
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.run import run_timing

TIMED_STEPS = 512  # chip steps that are timed; steps of other samples are taken to be alike
_BY_PLACE = ("packets_in_tile", "hops_ew", "hops_ns", "hops_chip")


def together(spikes: SpikeTrain, chip_steps: int, samples: int, neurons: int, copies: int, rounds: int) -> SpikeTrain:
    """Merge samples: round r runs the samples r copies .. (r + 1) copies - 1 at once, each on its own copy.

    A run with fewer samples than copies starts again with its first.
    """
    step = np.repeat(np.arange(spikes.steps), np.diff(spikes.ptr))
    whens, whos, values = [], [], []
    for place in range(rounds * copies):
        first = int(spikes.ptr[(place % samples) * chip_steps])
        last = int(spikes.ptr[(place % samples + 1) * chip_steps])
        whens.append(step[first:last] % chip_steps + place // copies * chip_steps)
        whos.append(spikes.ids[first:last] + (place % copies) * neurons)
        if spikes.payload is not None:
            values.append(spikes.payload[first:last])
    when = np.concatenate(whens)
    order = np.argsort(when, kind="stable")
    ptr = np.zeros(rounds * chip_steps + 1, np.int64)
    np.cumsum(np.bincount(when, minlength=rounds * chip_steps), out=ptr[1:])
    payload = np.concatenate(values)[order] if values else None
    return SpikeTrain(ptr, np.concatenate(whos)[order].astype(np.int32), payload)


def throughput(
    program: Program, chip: Chip, spikes: SpikeTrain, activity: Activity, copies: int
) -> tuple[Program, Activity]:
    """Run a run's samples again on copies of its network: counters and time.

    Hops are counted anew, for the copies lie elsewhere; all other counters are the run's own, a sample at a time.

    Args:
        program: that ran, once on the chip.
        chip: whose times are used.
        spikes: all events of the run.
        activity: its counters.
        copies: of the network.
    """
    many, merged, rounds = _beside(program, chip, spikes, max(1, activity.samples), copies)
    return many, _activity(many, chip, merged, rounds, activity, copies, None)


def learning_throughput(
    counted: CountedLearning, chip: Chip, copies: int
) -> tuple[Program, tuple[Activity, Activity, Activity]]:
    """Learn a run's samples on separate learners side by side, each with a network of its own.

    They share the mesh, the barrier and the chip's static power, and nothing else: no weight change goes from one to another.

    Args:
        counted: learning from the run's samples by one learner.
        chip: whose times are used.
        copies: learners.

    Returns:
        The program of all learners, and their counters and time at the low, nominal and high shares.
    """
    many, merged, rounds = _beside(counted.stored, chip, counted.spikes, counted.samples, copies)
    low, nominal, high = (
        _activity(many, chip, merged, rounds, activity, copies, _touched(counted, words, many, copies, rounds))
        for activity, words in zip(counted.activities, counted.touched, strict=True)
    )
    return many, (low, nominal, high)


def _beside(
    program: Program, chip: Chip, spikes: SpikeTrain, samples: int, copies: int
) -> tuple[Program, SpikeTrain, int]:
    """Return copies of a program, the events of their rounds, and how many rounds."""
    steps = spikes.steps // samples
    rounds = max(1, min(TIMED_STEPS // max(1, steps), -(-samples // copies)))
    return (
        replicate(program, chip, copies), together(spikes, steps, samples, program.n_neurons, copies, rounds), rounds,
    )  # fmt: skip


def _touched(counted: CountedLearning, words: I64, many: Program, copies: int, rounds: int) -> I64:
    """Count the synaptic words that learning touches in every chip step at every core of all learners."""
    steps, cores = words.shape[0] // counted.samples, words.shape[1]
    out = np.zeros((rounds * steps, cores), np.int64)
    each = counted.stored.n_neurons
    first = many.core[:each]
    for place in range(rounds * copies):
        own = many.core[place % copies * each :][:each]
        there = np.arange(cores)
        there[first[first >= 0]] = own[first >= 0]
        sample = place % counted.samples
        used = np.unique(first[first >= 0])
        start = place // copies * steps
        out[start : start + steps, there[used]] += words[sample * steps : (sample + 1) * steps, used]
    return out


def _activity(
    many: Program, chip: Chip, merged: SpikeTrain, rounds: int, activity: Activity, copies: int, touched: I64 | None
) -> Activity:
    """Return counters and time of all copies, from those of one."""
    done = rounds * copies
    zero = np.zeros(merged.steps, np.int64)
    nobody = np.zeros(many.n_neurons, np.int64)
    still = Tally(
        nobody, zero, nobody, zero, resting=(nobody, zero)
    )  # updates at rest are the run's own, as all but hops
    counted = Counter(many, chip.topology).activity(merged, still)
    counts = {name: c for name, c in counted.counts.items() if name in _BY_PLACE}
    for name, c in activity.counts.items():
        if name not in _BY_PLACE:
            factor = done / max(1, activity.samples)
            counts[name] = _repeated(c, factor, copies, merged.steps, counted.counts["neuron_updates"])
    time = None
    if activity.sim_time_ns is not None and chip.timing is not None:
        time = run_timing(many, chip, merged, learn_synapses=touched).sim_time_ns
    return replace(
        activity, counts=counts, steps=merged.steps, samples=done, populations=counted.populations, sim_time_ns=time,
        cores_used=counted.cores_used,
    )  # fmt: skip


def _repeated(count: Count, factor: float, copies: int, steps: int, like: Count) -> Count:
    """Multiply a counter of one copy: its total times `factor`, spread evenly over copies, steps and cores."""
    by_population = np.tile(np.rint(count.by_population * factor / copies), copies).astype(np.int64)
    total = int(by_population.sum())
    each = np.full(steps, total // steps, np.int64)
    each[: total % steps] += 1
    share = like.by_core / max(1, like.by_core.sum())
    by_core = np.floor(share * total).astype(np.int64)
    by_core[-1] += total - int(by_core.sum())
    return Count(by_core, each, by_population)
