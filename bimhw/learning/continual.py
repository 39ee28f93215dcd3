"""Learn one task after another without losing the first: replay from a reservoir, consolidation, metaplastic synapses.

All three are local. Replay shows stored samples again; the others need the synapse's own weight and words alone::

    replay       a reservoir of n samples, each so far with equal probability; a batch takes as many old samples as new ones
    consolidate  G += strength Omega (w - w*);  Omega: mean of G^2 over the updates of earlier tasks;  w*: the weights after them
    metaplastic  dw <- dw (1 - tanh^2(m w)) where dw brings w nearer to 0: the more a weight has grown, the slower it is lost

Readout rows of classes that a task does not have stand still in the last two (``own_rows``): else the error of every new sample
pushes the old classes down, which no pull on the hidden weights can undo.

Sources: reservoir sampling, Vitter 1985 (algorithm R); elastic weight consolidation, Kirkpatrick et al. 2017, here with the mean
squared gradient of the updates as Fisher information; metaplasticity, Laborieux et al. 2021 (Nat. Commun. 12, 2549), there for
the hidden weights of binary synapses.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from bimhw.learning.optim import FlatParameters
from simulator.base.errors import InputError

Keep = Literal["none", "replay", "consolidate", "metaplastic"]
KEEPS: tuple[Keep, ...] = get_args(Keep)


class Plasticity(Protocol):
    """Changes an update, synapse by synapse."""

    @property
    def words(self) -> int:
        """Words beside the weights."""
        ...

    def gradient(self, g: Tensor, values: Tensor) -> Tensor:
        """Return the gradient to follow, from that of the loss and the weights."""
        ...

    def landed(self, before: Tensor, after: Tensor) -> Tensor:
        """Return the weights to take, from those before an update and those after it."""
        ...

    def settle(self, values: Tensor) -> None:
        """End a task with these weights."""
        ...


class Consolidation:
    """Hold weights where they mattered to the tasks before.

    Args:
        strength: of the pull.
    """

    def __init__(self, strength: float) -> None:
        self.strength, self._count = strength, 0
        self.importance: Tensor | None = None  # of the tasks before
        self._sum: Tensor | None = None  # of g^2 in the task of now
        self._anchor: Tensor | None = None

    @property
    def words(self) -> int:
        """Omega, w* and the sum of g^2 of the task of now: up to three a weight."""
        return sum(t.numel() for t in (self.importance, self._anchor, self._sum) if t is not None)

    def gradient(self, g: Tensor, values: Tensor) -> Tensor:
        """See `Plasticity`."""
        self._sum = g * g if self._sum is None else self._sum + g * g
        self._count += 1
        if self.importance is None or self._anchor is None:
            return g
        return torch.add(g, self.importance * (values - self._anchor), alpha=self.strength)

    def landed(self, before: Tensor, after: Tensor) -> Tensor:
        """See `Plasticity`."""
        return after

    def settle(self, values: Tensor) -> None:
        """See `Plasticity`."""
        if self._sum is None:
            return
        new = self._sum / self._count
        self.importance = new if self.importance is None else self.importance + new
        self._anchor, self._sum, self._count = values.clone(), None, 0


class Metaplasticity:
    """Slow the loss of weights that have grown.

    Args:
        strength: m.
    """

    words = 0

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def gradient(self, g: Tensor, values: Tensor) -> Tensor:
        """See `Plasticity`."""
        return g

    def landed(self, before: Tensor, after: Tensor) -> Tensor:
        """See `Plasticity`."""
        change = after - before
        slow = 1 - torch.tanh(self.strength * before).square()
        return before + torch.where(change * before < 0, change * slow, change)

    def settle(self, values: Tensor) -> None:
        """See `Plasticity`."""


def plasticity(keep: Keep, strength: float) -> Plasticity | None:
    """Return what changes the updates of a way to keep old tasks, None where nothing does."""
    if not 0 <= strength < math.inf:
        raise InputError("strength", f"is {strength}", "Give a number of at least 0")
    if keep == "consolidate":
        return Consolidation(strength)
    return Metaplasticity(strength) if keep == "metaplastic" else None


def own_rows(parameters: FlatParameters, classes: Collection[int]) -> Tensor:
    """Return 1 for every weight but the readout's from classes that a task does not have, as `FlatParameters.values` lie."""
    keep = []
    for name, shape in zip(parameters.names, parameters.shapes, strict=True):
        part = parameters.values.new_ones(shape)
        if name.startswith("readout."):
            part[[c for c in range(shape[0]) if c not in classes]] = 0
        keep.append(part.reshape(-1))
    return torch.cat(keep)
