"""Networks learnt by spike times, as a torch module: run step by step here, event by event in `bimhw.learning.event_form`.

Equations, x the input spikes of a layer with their sizes, t in steps::

    tau_m dV/dt = -V + I,   tau_s dI/dt = -I,   I <- I + W x at a spike
    V reaches theta from below: a spike, V <- 0                          the readout has no threshold; its V are the logits

Between spikes V and I are sums of two exponentials, so that a step of length 1 is exact::

    u(t) = e^(-1/tau_s) u(t-1) + gamma W x(t),   gamma = tau_s (e^(-1/tau_m) - e^(-1/tau_s)) / (tau_m - tau_s)
    v(t) = e^(-1/tau_m) v(t-1) + u(t),   z = [v >= theta],   v <- 0 where z

v(t) is V at the end of step t: a spike anywhere in a step counts as one of that step. Layers follow each other in the same step.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from bimhw.models.event.config import EventConfig, parameter_shapes
from bimhw.models.nets import Net


class EventInit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Initial weights.

    Attributes:
        mean_in: mean of W times its inputs.
        gain_in: standard deviation of W times the root of its inputs.
        gain_out: the same of W_o.
    """

    mean_in: float = 0.25
    gain_in: float = 1.0
    gain_out: float = 4.0


class EventRun(NamedTuple):
    """Result of a sequence: logits [T, B, C], spikes of each layer [T, B, H]."""

    logits: Tensor
    spikes: tuple[Tensor, ...]


class EventNet(Net):
    """A network learnt by spike times; see the module.

    Args:
        config: the network.
        seed: of the initial weights.
        init: their scales.
    """

    config: EventConfig

    def __init__(self, config: EventConfig, seed: int = 0, init: EventInit | None = None) -> None:
        super().__init__()
        self.config = config
        scales, generator = init or EventInit(), torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList(nn.Module() for _ in config.hidden)
        self.readout = nn.Module()
        for name, shape in parameter_shapes(config).items():
            place = name.removesuffix(".weight")
            mean, gain = (0.0, scales.gain_out) if place == "readout" else (scales.mean_in, scales.gain_in)
            value = mean / shape[1] + torch.randn(shape, generator=generator) * gain / shape[1] ** 0.5
            self.get_submodule(place).register_parameter("weight", nn.Parameter(value))

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """W of each hidden layer, from below."""
        return tuple(layer.get_parameter("weight") for layer in self.layers)

    @torch.no_grad()
    def run(self, x: Tensor) -> EventRun:
        """Run inputs [T, B, n_in] from rest, step by step."""
        spikes, below = [], x
        for weight in self.weights:
            below = self._layer(below @ weight.T, self.config.theta)
            spikes.append(below)
        return EventRun(self._layer(below @ self.readout.get_parameter("weight").T, None), tuple(spikes))

    def _layer(self, drive: Tensor, theta: float | None) -> Tensor:
        """Return the spikes of a layer, or without a threshold its membranes."""
        slow, fast = self.config.keeps
        u, v, out = torch.zeros_like(drive[0]), torch.zeros_like(drive[0]), []
        for arriving in drive:
            u = fast * u + self.config.gain * arriving
            v = slow * v + u
            if theta is None:
                out.append(v)
            else:
                z = (v >= theta).to(v.dtype)
                v = v * (1 - z)
                out.append(z)
        return torch.stack(out)

    def run_samples(self, x: Tensor, first: int = 0, seed: int = 0) -> EventRun:
        """See `Net`: nothing here is random."""
        return self.run(x)
