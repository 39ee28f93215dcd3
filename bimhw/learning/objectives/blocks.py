"""A forward rule on streams that are labelled at every step: compiled loops take stretches or blocks of them at once."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.loop import Batch, Learnt
from bimhw.learning.methods import ByRule, Clock
from bimhw.learning.objectives.classes import EachStep
from bimhw.learning.objectives.stretch import is_plain, learn_stretch
from bimhw.learning.updater import Updater


class ByBlocks(ByRule):
    """A forward rule on streams.

    Args:
        updater: the rule, and what turns its gradients into weights.
        clock: counts the steps, for the learning rate.
    """

    def __init__(self, updater: Updater, clock: Clock) -> None:
        super().__init__(updater, EachStep(), clock)
        self._clock = clock

    def learn(self, batch: Batch[Tensor]) -> Learnt:
        """See `Method`; y [T, B]."""
        learner = self.ready(batch)
        loss = learn_stretch(self.updater, learner, self._clock, batch.x, batch.y)
        if loss is not None:
            self.memory_words = max(self.memory_words, learner.memory_words)
            return Learnt(loss)
        if not isinstance(learner, SweepLearner) or not learner.block or self.updater.hybrid is not None:
            return super().learn(batch)
        losses, at = np.zeros(len(batch.x)), 0
        if self._takes_windows(learner, batch):
            from bimhw.learning.objectives.windows import learn_windows

            at = len(batch.x) // learner.block * learner.block
            losses[:at] = learn_windows(self.updater, learner, self._clock, batch.x[:at], batch.y[:at])
        while at < len(batch.x):
            x, y = batch.x[at : at + learner.block], batch.y[at : at + learner.block]
            whole = learner.takes_blocks and len(x) == learner.block
            steps = len(x) if whole else 1
            self._clock.steps += steps
            if whole:
                losses[at : at + steps] = self._block(learner, x, y)
            else:
                losses[at] = self._observe(learner, x[0], y[0]).loss
            at += steps
        self.memory_words = max(self.memory_words, learner.memory_words)
        return Learnt(float(losses.mean()))

    def _takes_windows(self, learner: SweepLearner, batch: Batch[Tensor]) -> bool:
        """Return whether one compiled loop serves for the whole windows of a batch."""
        if type(learner) is not SweepLearner or not learner.takes_blocks or len(batch.x) < (learner.block or 0):
            return False
        return is_plain(self.updater, learner, batch.x, batch.y)

    def _block(self, learner: SweepLearner, x: Tensor, y: Tensor) -> float:
        loss, gradients = learner.learn_block(x, y)
        self.updater.update(gradients)
        return loss
