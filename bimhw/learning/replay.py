"""Replay for continual learning: a reservoir of samples, and batches that show them again. See `bimhw.learning.continual`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bimhw.learning.evaluate import inputs
from bimhw.learning.loop import Batch
from bimhw.learning.objectives.classes import TaskBatches
from bimhw.tasks.base import Split, Task
from simulator.base.arrays import AnyInts
from simulator.base.errors import InputError


class Reservoir:
    """Samples of a stream, every one so far with the same probability.

    Args:
        capacity: most samples that are held.
        seed: of the choice.
    """

    def __init__(self, capacity: int, seed: int) -> None:
        if capacity < 1:
            raise InputError("reservoir", f"of {capacity} samples", "Give at least 1")
        self.capacity, self.seen = capacity, 0
        self._rng = np.random.default_rng((seed, 0x5265))
        self._x: list[AnyInts] = []
        self._y: list[int] = []

    def __len__(self) -> int:
        return len(self._y)

    def offer(self, split: Split) -> None:
        """Show samples in their order; each replaces a random one with probability capacity / seen."""
        for x, y in zip(split.x, split.y, strict=True):
            place = self.seen if self.seen < self.capacity else int(self._rng.integers(self.seen + 1))
            self.seen += 1
            if place < len(self._y):
                self._x[place], self._y[place] = x, int(y)
            elif place < self.capacity:
                self._x.append(x)
                self._y.append(int(y))

    def samples(self) -> Split:
        """Return the held samples."""
        return Split(np.stack(self._x), np.array(self._y, np.int64))


class ReplayBatches(TaskBatches):
    """Batches of a task, each with as many samples of a reservoir beside its own.

    Args:
        task: the new one.
        batch: of its own samples.
        seed: of the order, and of the choice from the reservoir.
        like: type of the inputs.
        old: samples to show again.
    """

    def __init__(self, task: Task, batch: int, seed: int, like: Tensor, old: Split) -> None:
        super().__init__(task, batch, seed, like)
        self.old = old

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch[Tensor]]:
        """See `Source`; progress counts the new samples."""
        for number, batch in enumerate(super().batches(epoch, first), first):
            chosen = np.random.default_rng((self.seed, epoch, number)).integers(len(self.old), size=batch.count)
            again = self.old.take(chosen)
            x = torch.cat([batch.x, inputs(again, self.task, self.like)], 1)
            yield replace(batch, x=x, y=torch.cat([batch.y, torch.from_numpy(again.y)]))
