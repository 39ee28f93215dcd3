"""Running statistics of a layer's norm from what an online learner sees, step by step.

Offline a batch of sequences is standardised by its own mean and variance. Online they are known at the end only, so a step takes
the running ones as constants, and a span of steps (a sequence, or `SPAN` steps of a stream) moves them at its end::

    mean <- .95 mean + .05 mean(q),   var <- .95 var + .05 var(q)         over the span's steps and sequences, var unbiased

These are the offline running averages of the same q; the first span of a new layer sets them, since nothing else makes a step
of normal size then. A neuron holds four words: mean, var, and the sums of q and q^2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bimhw.learning.forms.complex_traces import moved
from bimhw.models.bim.cell import Record
from bimhw.models.bim.complex_state import MOMENTUM
from bimhw.models.bim.net import BimLayer

SPAN = 256  # steps of a stream after which its statistics move


class NormStatistics:
    """Sums of q of one layer since its running statistics last moved.

    Args:
        layer: with a norm.
    """

    def __init__(self, layer: BimLayer) -> None:
        self.layer = layer
        self._clear()

    def _clear(self) -> None:
        hidden = len(self.layer.get_parameter("norm_gain"))
        self.steps = self.count = 0
        self.sums = torch.zeros(2, hidden, dtype=torch.float64, device=self.layer.get_parameter("norm_gain").device)

    @torch.no_grad()
    def observe(self, record: Record) -> None:
        """Take in a step."""
        q = moved(record, self.layer).q.to(self.sums.dtype)
        self.sums[0] += q.sum(0)
        self.sums[1] += q.square().sum(0)
        self.count += len(q)
        self.steps += 1

    @property
    def due(self) -> bool:
        """Return whether a stream has run so long that its statistics are to move before the next step."""
        return self.steps >= SPAN

    @torch.no_grad()
    def move(self) -> None:
        """Move the running statistics by what was seen, and begin anew; a layer in evaluation mode keeps them."""
        if self.layer.training and self.count > 1:
            mean = self.sums[0] / self.count
            var = (self.sums[1] / self.count - mean.square()).clamp(min=0) * (self.count / (self.count - 1))
            running = self.layer.get_buffer("norm_mean"), self.layer.get_buffer("norm_var")
            share = 1.0 if not running[0].any() and bool((running[1] == 1).all()) else MOMENTUM
            for old, new in zip(running, (mean, var), strict=True):
                old.lerp_(new.to(old.dtype), share)
        self._clear()

    def state(self) -> dict[str, Tensor]:
        """Return all that `load` needs."""
        return {"sums": self.sums.clone(), "seen": torch.tensor([self.steps, self.count])}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        self.sums = state["sums"].clone()
        self.steps, self.count = (int(n) for n in state["seen"])
