"""Rate regulariser: each neuron's error signal gets a term that pulls its spike rate towards a target.

rate_i <- rho rate_i + (1 - rho) s_i  (mean over parallel sequences);   delta_i += strength (rate_i - target)
"""

from __future__ import annotations

import torch
from torch import Tensor

from bimhw.models.bim.config import BimConfig

_DECAY = 0.99


class Homeostasis:
    """Local running rates of all neurons; begins at the target, so that it does not push at first.

    Args:
        config: the network.
        strength: of the term, in units of the loss per unit of rate.
        target: spikes per neuron and step.
        like: type of the tensors.
    """

    def __init__(self, config: BimConfig, strength: float, target: float, like: Tensor) -> None:
        self.strength, self.target = strength, target
        self.rates = [torch.full((h,), target).to(like) for h in config.hidden]

    def observe(self, spikes: list[Tensor]) -> None:
        """Observe one step's spikes of every layer [B, H]."""
        for rate, s in zip(self.rates, spikes, strict=True):
            rate.lerp_(s.mean(0), 1 - _DECAY)

    def add(self, signals: list[Tensor], weight: float = 1.0) -> list[Tensor]:
        """Return the signals [B, H] with the term added (weight: of the step in the loss)."""
        scale = self.strength * weight
        return [d + scale / len(d) * (rate - self.target) for d, rate in zip(signals, self.rates, strict=True)]
