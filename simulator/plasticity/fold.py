"""A run that learns, forgotten while it goes on: memory does not grow with its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from simulator.base.arrays import U8
from simulator.function import Simulation
from simulator.function.counting import Counter
from simulator.function.fold import ActivityFold, SpikeFold
from simulator.function.run import recorded_spikes, tally_of
from simulator.function.state import Record
from simulator.plasticity.timing import Noted
from simulator.plasticity.words.counts import LearnCounts
from simulator.program.activity import Activity, Count
from simulator.program.spikes import SpikeTrain


class LearnFold:
    """Takes what a simulation that learns has recorded, adds it up, and lets go of it.

    Args:
        simulation: that learns.
        counts: of its learning.
        active: what is noted for the timing, `Noted.active`; None: nothing.
        folder: on whose disk what belongs to single steps lies.
        each: called with what was noted of the steps that were taken.

    Attributes:
        spikes: of all steps that were taken.
    """

    def __init__(
        self,
        simulation: Simulation,
        counts: LearnCounts,
        active: list[U8] | None,
        folder: Path | None,
        each: Callable[[Noted], None],
    ) -> None:
        self._simulation, self._counts, self._active, self._each = simulation, counts, active, each
        self._program = simulation.layout.program
        self._counter = Counter(self._program)
        self._sizes = [p.size for p in self._program.populations]
        self.spikes, self.activity = SpikeFold(folder), ActivityFold(folder)
        self._seen = [np.zeros_like(simulation.active_of_neuron), np.zeros_like(simulation.saturated_of_neuron)]

    def take(self, least: int = 1) -> None:
        """Take all steps that were recorded since the last call, if they are at least so many; between two samples."""
        steps = len(self._simulation.record.counts)
        if steps < least:
            return
        first = self._simulation.state.step - steps
        spikes = recorded_spikes(self._simulation.record)
        if self._active is not None:
            self._each(Noted(self._program, spikes, self._counts, tuple(self._active), first))
            self._active.clear()
        for name, by_step in self._counts.forget(range(first, first + steps)).items():
            self.activity.add_steps(name, by_step)
        self.activity.add(self._counted(spikes, first))
        self.spikes.add(spikes)
        self._simulation.record = Record()

    def _counted(self, spikes: SpikeTrain, first: int) -> Activity:
        """Count what happened since the last call; totals by neuron go on in the simulation."""
        tally = tally_of(self._simulation)
        now = [tally.active_by_neuron.copy(), tally.saturated_by_neuron.copy()]
        (active, saturated), self._seen = (a - b for a, b in zip(now, self._seen, strict=True)), now
        resets = tuple(step - first for step in tally.resets)
        since = replace(tally, active_by_neuron=active, saturated_by_neuron=saturated, resets=resets)
        return self._counter.activity(spikes, since)

    def totals(self, samples: int) -> Activity:
        """Return all counters, those of learning too; ``by_step`` has one entry, the total."""
        self.take()
        counted = self.activity.totals()
        counts: dict[str, Count] = dict(counted.counts)
        learning = self._counts.counts(0, self._program.core, self._sizes, self._counter.n_cores)
        for name, count in learning.items():
            counts[name] = replace(count, by_step=np.array([count.by_population.sum()], np.int64))
        return replace(counted, counts=counts, samples=samples)

    def whole(self, samples: int) -> Activity:
        """Return all counters with their steps, in memory."""
        totals, by_step = self.totals(samples), self.activity.by_step()
        return replace(totals, counts={n: replace(c, by_step=by_step[n].array()) for n, c in totals.counts.items()})
