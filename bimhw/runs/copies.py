"""Run samples side by side on the copies of a program, and read each sample as if it had run alone.

Round r runs the samples r N .. (r + 1) N - 1, each on its own copy. The last round is filled up with the first samples again, so
that every round is a full chip; counters and times are of all that ran, answers of the samples that were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mapping.copies import MARK, copies_of
from simulator.base.arrays import I32
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Probe = tuple[str, str]
Values = I32


def rounds_of(program: Program, samples: int) -> int:
    """Return how many rounds so many samples take."""
    return -(-samples // copies_of(program))


def side_by_side(program: Program, trains: Sequence[SpikeTrain]) -> list[SpikeTrain]:
    """Return the input of each round: copy k gets the events of its sample, at its own neurons."""
    copies = copies_of(program)
    each, places = program.n_neurons // copies, copies * rounds_of(program, len(trains))
    full = [trains[place % len(trains)] for place in range(places)]
    return [_merged(full[first : first + copies], each) for first in range(0, places, copies)]


def _merged(trains: Sequence[SpikeTrain], neurons: int) -> SpikeTrain:
    steps = max(t.steps for t in trains)
    when = np.concatenate([np.repeat(np.arange(t.steps), t.counts()) for t in trains])
    who = np.concatenate([t.ids.astype(np.int64) + k * neurons for k, t in enumerate(trains)])
    order = np.lexsort((who, when))
    ptr = np.zeros(steps + 1, np.int64)
    np.cumsum(np.bincount(when, minlength=steps), out=ptr[1:])
    payload = None
    if any(t.payload is not None for t in trains):
        values = [np.ones(t.ids.size, np.int32) if t.payload is None else t.payload for t in trains]
        payload = np.concatenate(values)[order]
    return SpikeTrain(ptr, who[order].astype(np.int32), payload)


def apart(program: Program, rounds: Sequence[SpikeTrain], samples: int) -> tuple[SpikeTrain, ...]:
    """Return the events of each sample, at the ids of the first copy."""
    copies = copies_of(program)
    each = program.n_neurons // copies
    return tuple(_of_copy(rounds[s // copies], s % copies, each) for s in range(samples))


def _of_copy(train: SpikeTrain, copy: int, neurons: int) -> SpikeTrain:
    own = (train.ids >= copy * neurons) & (train.ids < (copy + 1) * neurons)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(own)])
    payload = None if train.payload is None else train.payload[own]
    if payload is not None and (payload == 1).all():
        payload = None
    return SpikeTrain(before[train.ptr], (train.ids[own] - copy * neurons).astype(np.int32), payload)


def probes_of(program: Program, probes: Sequence[Probe]) -> list[Probe]:
    """Return the same states of every copy."""
    return [(_named(name, k), state) for name, state in probes for k in range(copies_of(program))]


def values_apart(
    program: Program, probes: Sequence[Probe], values: Mapping[Probe, Values], samples: int
) -> dict[Probe, Values]:
    """Return recorded states by sample: (population, state) -> [samples, steps, n]."""
    copies = copies_of(program)
    return {
        (name, state): np.stack([values[_named(name, s % copies), state][s // copies] for s in range(samples)])
        for name, state in probes
    }


def _named(population: str, copy: int) -> str:
    return population if copy == 0 else f"{population}{MARK}{copy}"
