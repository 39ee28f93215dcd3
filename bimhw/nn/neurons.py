"""Plain spiking neurons over whole sequences, and the leaky average that a readout reads. Equations: `bimhw.models.stack`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bimhw.models import stack
from simulator.base.errors import InputError


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


class Filter(nn.Module):
    """Leaky average f <- k f + (1 - k) x of a sequence [T, B, ...], from f = 0; on the chip part of the readout neuron.

    Args:
        k: what the average keeps of itself in a step, in [0, 1).
    """

    def __init__(self, k: float = 0.8) -> None:
        super().__init__()
        if not 0 <= k < 1:
            raise InputError("Filter: k", f"is {k}", "Give a number in [0, 1)")
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        """Filter a sequence."""
        f, out = torch.zeros_like(x[0]), []
        for step in x:
            f = self.k * f + (1 - self.k) * step
            out.append(f)
        return torch.stack(out)

    def extra_repr(self) -> str:
        """Describe the filter in `print(model)`."""
        return f"k={self.k}"
