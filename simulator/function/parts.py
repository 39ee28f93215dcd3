"""Samples in parts: any of them can be run apart, for all dynamic state is reset before each.

What samples share is the number of steps done before (the key of random numbers) and counts that add up. So a part that begins at
sample k starts its clock at k x steps, and parts joined in order are the run of all samples, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from simulator.base.arrays import I64
from simulator.function.counting import Tally
from simulator.function.simulation import Simulation
from simulator.function.state import Probe, Record
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Spread = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]
_PARTS_A_WORKER = 4


@dataclass(frozen=True, eq=False)
class Setup:
    """Setup that all parts share.

    Attributes:
        program: what to run.
        steps: of a sample.
        seed, probes, strict: as in `simulator.function.run`.
        graded: whether any sample carries payloads.
    """

    program: Program
    steps: int
    seed: int
    probes: tuple[Probe, ...]
    strict: bool
    graded: bool

    def simulation(self) -> Simulation:
        """Lay the program out."""
        return Simulation(
            self.program, seed=self.seed, probes=self.probes, strict=self.strict, graded_inputs=self.graded
        )


@dataclass(frozen=True, eq=False)
class Part:
    """Results of some samples.

    Attributes:
        record: events, probes and counts of their steps.
        active, saturated: int64 [N], counts of each neuron.
    """

    record: Record
    active: I64
    saturated: I64


def run_part(simulation: Simulation, samples: Sequence[SpikeTrain], first: int, steps: int) -> Part:
    """Run samples of which `first` come before, by a simulation at rest that is used for nothing else."""
    for k, sample in enumerate(samples, first):
        if k == first:
            simulation.state.step = first * steps
        if k:
            simulation.reset()
        simulation.advance(sample, steps)
    return Part(simulation.record, simulation.active_of_neuron, simulation.saturated_of_neuron)


def run_elsewhere(setup: Setup, samples: Sequence[SpikeTrain], first: int) -> Part:
    """Run a part in another process."""
    return run_part(setup.simulation(), samples, first, setup.steps)


def run_parts(
    setup: Setup, samples: Sequence[SpikeTrain], workers: int, spread: Spread | None, first: int = 0
) -> list[Part]:
    """Run all samples in parts, in threads of this process or wherever `spread` puts them.

    Args:
        setup: program and settings.
        samples: at least one.
        workers: threads.
        spread: calls a function on each tuple of arguments and returns the results in order.
        first: samples that come before all of these.
    """
    bounds = cut(len(samples), max(1, workers) * _PARTS_A_WORKER)
    if spread is not None:
        return list(spread(run_elsewhere, [(setup, samples[a:b], first + a) for a, b in bounds]))
    whole = setup.simulation()
    with ThreadPoolExecutor(workers) as pool:
        runs = [pool.submit(run_part, whole.twin(), samples[a:b], first + a, setup.steps) for a, b in bounds]
        return [r.result() for r in runs]


def cut(samples: int, parts: int) -> list[tuple[int, int]]:
    """Return the bounds of at most that many parts of about equal numbers of samples."""
    ends = np.linspace(0, samples, min(samples, parts) + 1).round().astype(int).tolist()
    return list(pairwise(ends))


def join_parts(parts: Sequence[Part], before: int = 0) -> tuple[Record, Tally]:
    """Put parts one after another; `before`: steps before the first of them, which resets are counted from."""
    whole = Record(probes={p: [] for p in parts[0].record.probes})
    for part in parts:
        r = part.record
        whole.ids += r.ids
        whole.payload += r.payload
        whole.counts.extend(r.counts)
        whole.active.extend(r.active)
        whole.saturated.extend(r.saturated)
        whole.resets += [step - before for step in r.resets]
        for probe, rows in r.probes.items():
            whole.probes[probe] += rows
    active, saturated = (
        np.stack(counts).sum(axis=0) for counts in zip(*((p.active, p.saturated) for p in parts), strict=True)
    )
    by_step = (np.array(whole.active, np.int64), np.array(whole.saturated, np.int64))
    return whole, Tally(active, by_step[0], saturated, by_step[1], tuple(whole.resets))
