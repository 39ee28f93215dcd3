"""What a run would cost on copies of its network (`mapping.copies`): counters repeated, hops and times counted anew.

The copies share the mesh, the host port and the barrier; the timing engine runs them together. A program that was compiled
with copies is simulated as it is, and needs none of this.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapping.copies import replicate
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
    samples = max(1, activity.samples)
    chip_steps = spikes.steps // samples
    rounds = max(1, min(TIMED_STEPS // max(1, chip_steps), -(-samples // copies)))
    many = replicate(program, chip, copies)
    merged = together(spikes, chip_steps, samples, program.n_neurons, copies, rounds)
    zero = np.zeros(merged.steps, np.int64)
    still = Tally(np.zeros(many.n_neurons, np.int64), zero, np.zeros(many.n_neurons, np.int64), zero)
    counted = Counter(many, chip.topology).activity(merged, still)
    done = rounds * copies
    counts = {name: c for name, c in counted.counts.items() if name in _BY_PLACE}
    for name, c in activity.counts.items():
        if name not in _BY_PLACE:
            counts[name] = _repeated(c, done / samples, copies, merged.steps, counted.counts["neuron_updates"])
    time = None
    if activity.sim_time_ns is not None and chip.timing is not None:
        time = run_timing(many, chip, merged).sim_time_ns
    return many, replace(
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
