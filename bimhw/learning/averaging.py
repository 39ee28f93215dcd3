"""Average of the weights over the last updates of a training (Polyak and Juditsky 1992; Izmailov et al. 2018).

With U updates in all and a share a, the network that is left has, of every weight w and running statistic after update u,

    w_mean = mean of w(u) over u > (1 - a) U.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bimhw.learning.checkpoints import Content
from bimhw.learning.methods import Descent


def averaged(net: nn.Module, descent: Descent, share: float, total: int) -> Descent:
    """Return what makes the updates, with the average of the weights at the end; a share of 0: `descent` itself."""
    return Averaged(net, descent, share, total) if share else descent


class Averaged:
    """A `Descent` that leaves the mean of the last weights.

    Args:
        net: what is trained; its floating-point parameters and buffers are averaged.
        descent: makes the updates.
        share: of the updates, the last ones, that the mean is over.
        total: updates in all.
    """

    def __init__(self, net: nn.Module, descent: Descent, share: float, total: int) -> None:
        self.net, self.descent, self.first = net, descent, (1 - share) * total
        self.mean: dict[str, Tensor] = {}
        self.count = 0

    @property
    def updates(self) -> int:
        """Updates so far."""
        return self.descent.updates

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:
        """See `Descent`."""
        with torch.enable_grad():
            self.descent.step(loss)
        if self.updates <= self.first:
            return
        self.count += 1
        for name, value in self._values().items():
            self.mean.setdefault(name, torch.zeros_like(value)).lerp_(value, 1 / self.count)

    @torch.no_grad()
    def finish(self) -> None:
        """See `Descent`."""
        for name, value in self._values().items():
            if name in self.mean:
                value.copy_(self.mean[name])
        self.descent.finish()

    def state(self) -> Content:
        """See `Descent`."""
        return {"descent": self.descent.state(), "mean": dict(self.mean), "count": self.count}

    def load(self, state: Content) -> None:
        """See `Descent`."""
        self.descent.load(state["descent"])
        like = self._values()
        self.mean = {name: value.to(like[name]).clone() for name, value in state["mean"].items()}
        self.count = int(state["count"])

    def _values(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.net.state_dict().items() if value.is_floating_point()}
