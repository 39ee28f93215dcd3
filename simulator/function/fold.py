"""A run that is forgotten while it goes on: counters add up in memory, what belongs to single steps goes to the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from simulator.base.arrays import I64, Array
from simulator.base.spool import Spool
from simulator.program.activity import Activity, Count
from simulator.program.spikes import SpikeTrain


class SpikeFold:
    """All spikes, part after part, as one train on the disk.

    Args:
        folder: on whose disk they lie.

    Attributes:
        steps, events: so far.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._ptr, self._ids = Spool(np.int64, folder=folder), Spool(np.int32, folder=folder)
        self._payload: Spool | None = None
        self._ptr.fill(0, 1)
        self.steps = self.events = 0

    def add(self, spikes: SpikeTrain) -> None:
        """Append the steps of a train."""
        if spikes.payload is not None and self._payload is None:
            self._payload = Spool(np.int32, folder=self._folder)
            self._payload.fill(1, self.events)
        if self._payload is not None:
            ones = np.ones(spikes.ids.size, np.int32)
            self._payload.add(ones if spikes.payload is None else spikes.payload)
        self._ptr.add(spikes.ptr[1:] + self.events)
        self._ids.add(spikes.ids)
        self.steps += spikes.steps
        self.events += int(spikes.ids.size)

    def arrays(self) -> Mapping[str, Array | Spool]:
        """Return what ``spikes.npz`` of a run folder holds."""
        payload = np.zeros(0, np.int32) if self._payload is None else self._payload
        return {"ptr": self._ptr, "ids": self._ids, "payload": payload}


@dataclass(eq=False)
class ActivityFold:
    """Counters of a run, part after part.

    Attributes:
        folder: on whose disk the counts of single steps lie.
        steps: so far.
    """

    folder: Path | None = None
    steps: int = 0
    _sums: dict[str, tuple[I64, I64]] = field(default_factory=dict)  # by core, by population
    _by_step: dict[str, Spool] = field(default_factory=dict)
    _last: Activity | None = None
    _samples: int = 0

    def add(self, activity: Activity, samples: int = 0) -> None:
        """Append a part; `samples`: that begin in it."""
        for name, count in activity.counts.items():
            self.add_steps(name, count.by_step)
            old = self._sums.get(name)
            new = count.by_core, count.by_population
            self._sums[name] = new if old is None else (old[0] + new[0], old[1] + new[1])
        self._last, self.steps, self._samples = activity, self.steps + activity.steps, self._samples + samples

    def add_steps(self, name: str, by_step: I64) -> None:
        """Append the counts of the steps that come next of one counter, without its other groupings."""
        if name not in self._by_step:
            self._by_step[name] = Spool(np.int64, folder=self.folder)
        spool = self._by_step[name]
        spool.fill(0, self.steps - spool.rows)
        spool.add(by_step)

    def totals(self) -> Activity:
        """Return all counters; ``by_step`` has one entry, the total."""
        assert self._last is not None
        counts = {
            name: Count(by_core, np.array([by_population.sum()], np.int64), by_population)
            for name, (by_core, by_population) in self._sums.items()
        }
        return replace(self._last, counts=counts, steps=self.steps, samples=self._samples)

    def by_step(self) -> dict[str, Spool]:
        """Return the counts of each step, by counter."""
        for spool in self._by_step.values():
            spool.fill(0, self.steps - spool.rows)
        return self._by_step


def activity_arrays(activity: Activity, by_step: Mapping[str, Spool]) -> dict[str, Array | Spool]:
    """Return what ``activity.npz`` of a run folder holds, the counts of each step from the disk."""
    arrays: dict[str, Array | Spool] = dict(activity.arrays())
    return arrays | {f"{name}.by_step": spool for name, spool in by_step.items()}
