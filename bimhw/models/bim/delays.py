"""Learnable axonal delays: each input channel j of a layer waits n_j whole steps, the same on all its synapses.

    n_j = round(D clamp(p_j, 0, 1));   x_j(t) = s_j(t - n_j)                            p_j trained, D the longest delay
    dL/dp_j = D sum_t g_j(t) sigma_j(t),   g = dL/dx,
    sigma_j(t) = sum_k [s_j(t - b_k) - s_j(t - a_k)] / sum_k (b_k - a_k),   k = 1..w
    a_k = max(n_j - k, 0),   b_k = min(n_j + k, D)

The delay is whole at every moment, so the network that is trained is the one that a chip runs. sigma is the slope of the delayed
input over the delay: a central difference, one-sided at 0 and D so that no step of the future is read, averaged over w lags.
For w = 1 it is the mean of the two slopes of linear interpolation between neighbouring steps. p is a share of D because an
optimiser such as Adam moves a parameter by about its learning rate an update: a delay in steps would stand still.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_STREAM = 0xDE1A  # tells these random numbers from others of the same seed


def drawn_shares(channels: int, most: float, seed: int, layer: int) -> Tensor:
    """Return initial shares p [channels], uniform in [0, most], of a layer's own stream of random numbers."""
    values = np.random.default_rng((seed, layer, _STREAM)).random(channels)
    return torch.from_numpy(most * values).float()


class Axons(NamedTuple):
    """Delays of the input channels of a layer.

    Attributes:
        steps: n, int64 [M].
        longest: D.
        width: w.
    """

    steps: Tensor
    longest: int
    width: int

    @classmethod
    def of(cls, share: Tensor, longest: int, width: int) -> Axons:
        """Return the delays of the shares p [M], in single precision on any device, as the front end does."""
        whole = torch.round(share.detach().float().clamp(0, 1) * longest)
        return cls(whole.to(torch.int64), longest, width)

    def line(self, u: Tensor, past: Tensor | None) -> Tensor:
        """Return the delay line [D + T, B, M], oldest first, of inputs u [T, B, M] after `past` [B, D, M] (None: silence)."""
        before = u.new_zeros(self.longest, *u.shape[1:]) if past is None else past.transpose(0, 1)
        return torch.cat([before.to(u.dtype), u])

    def newest(self, line: Tensor) -> Tensor:
        """Return what the next steps may still ask for, [B, D, M]."""
        return line[len(line) - self.longest :].transpose(0, 1)

    def through(self, line: Tensor, share: Tensor) -> Tensor:
        """Return x of every step [T, B, M], differentiable in the line and in the shares p."""
        x = self.at(line, self.steps)
        if not (share.requires_grad and torch.is_grad_enabled()):
            return x
        by = self.longest * (share - share.detach())  # 0, with the derivative D
        return x + by.to(x.dtype) * self.slope(line.detach())

    def at(self, line: Tensor, lag: Tensor) -> Tensor:
        """Return line(t - lag_j) of every step t [T, B, M], for lags [M] of 0..D."""
        return torch.gather(line, 0, self._index(line, lag))

    def slope(self, line: Tensor) -> Tensor:
        """Return sigma of every step [T, B, M]."""
        total, span = line.new_zeros(len(line) - self.longest, *line.shape[1:]), torch.zeros_like(self.steps)
        for k in range(1, self.width + 1):
            a, b = (self.steps - k).clamp(min=0), (self.steps + k).clamp(max=self.longest)
            total += self.at(line, b) - self.at(line, a)
            span += b - a
        return total / span

    def to_sources(self, g: Tensor) -> Tensor:
        """Return dL/ds [T, B, M] of g = dL/dx [T, B, M]; what belongs to steps before the first is left out."""
        line = g.new_zeros(self.longest + len(g), *g.shape[1:])
        return line.scatter_(0, self._index(line, self.steps), g)[self.longest :]

    def gradient(self, g: Tensor, slope: Tensor) -> Tensor:
        """Return dL/dp [M]."""
        return self.longest * (g * slope).sum((0, 1))

    def _index(self, line: Tensor, lag: Tensor) -> Tensor:
        steps = torch.arange(self.longest, len(line), device=line.device)
        return (steps[:, None, None] - lag).expand(-1, *line.shape[1:])
