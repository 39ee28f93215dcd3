"""Classes of sequences: the cross-entropy of every labelled step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bimhw.learning.evaluate import inputs, labelled_loss
from bimhw.learning.forms.history import words_per_step
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.loop import Batch, Learnt
from bimhw.learning.methods import ByRule
from bimhw.models.bim.net import as_bim
from bimhw.tasks.base import Task


class TaskBatches:
    """Sequences of a task in a seeded order, another one in each epoch.

    Args:
        task: its training split is used.
        batch: sequences side by side.
        seed: of the order.
        like: type of the inputs.
    """

    def __init__(self, task: Task, batch: int, seed: int, like: Tensor) -> None:
        self.task, self.batch, self.seed, self.like, self.name = task, batch, seed, like, task.name

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch[Tensor]]:
        """See `Source`; y [B] are the classes, or [B, C] the labels."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.task.train))
        for start in range(first * self.batch, len(order), self.batch):
            part = self.task.train.take(order[start : start + self.batch])
            yield Batch(inputs(part, self.task, self.like), torch.from_numpy(part.y), len(part))


class Classes:
    """Cross-entropy at the labelled steps.

    Args:
        task: says which steps those are.
    """

    def __init__(self, task: Task) -> None:
        self.steps, self._labelled = torch.from_numpy(task.loss_steps), [bool(b) for b in task.loss_steps]

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """See `Objective`."""
        return labelled_loss(logits[self.steps], y)

    def labels(self, y: Tensor, steps: int) -> Iterable[Tensor | None]:
        """See `Objective`."""
        return (y if labelled else None for labelled in self._labelled)


class SweptSequences(ByRule):
    """A forward rule on labelled sequences: a form that takes whole sequences gets them whole."""

    def learn(self, batch: Batch[Tensor]) -> Learnt:
        """See `Method`."""
        learner = self.updater.learner(batch.x.shape[1])
        if not isinstance(learner, SweepLearner) or not learner.takes_sequences or self.updater.hybrid is not None:
            return super().learn(batch)
        assert isinstance(self.objective, Classes)
        config = as_bim(self.updater.net, "sweeps").config
        self.memory_words = words_per_step(config) * len(batch.x) * sum(config.hidden)
        loss, gradients, rates = learner.sequence(batch.x, batch.y, self.objective.steps)
        self.updater.update(gradients)
        return Learnt(loss, tuple(rates))


class EachStep:
    """Cross-entropy with a label at every step: the next symbol of a text, what is said in a recording."""

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """See `Objective`; y [T, B]."""
        return functional.cross_entropy(logits.flatten(0, 1), y.flatten())

    def labels(self, y: Tensor, steps: int) -> Iterable[Tensor | None]:
        """See `Objective`."""
        return y
