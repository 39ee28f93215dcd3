"""Plain spiking neurons over whole sequences. Equations: `bimhw.models.stack`."""

from __future__ import annotations

import torch
from torch import Tensor

from bimhw.models import stack


class _Sequence(stack.Neuron):
    """A neuron layer that takes all steps [T, B, ...] from rest in one call."""

    def forward(self, x: Tensor) -> Tensor:
        """Run a sequence [T, B, ...] from rest: spikes, or membranes of LI, [T, B, ...]."""
        self.reset()
        out = torch.stack([stack.Neuron.forward(self, step) for step in x])
        self.reset()
        return out


class IF(_Sequence, stack.IF):
    """Integrate and fire over sequences."""


class LIF(_Sequence, stack.LIF):
    """Leaky integrate and fire over sequences."""


class CubaLIF(_Sequence, stack.CubaLIF):
    """Leaky integrate and fire behind a synaptic current, over sequences."""


class LI(_Sequence, stack.LI):
    """Leaky integrator over sequences: a readout that gives its membrane."""
