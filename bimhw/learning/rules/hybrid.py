"""The hybrid rule: the paper's eq. 4 with its sign and its units put right, for W_in of every layer.

    u = lambda g - (1 - lambda) kappa Omega;   w <- clip(w - eta Opt(u), -w_max, w_max);   kappa = rms(g) / rms(Omega)

g is the gradient, Omega the STDP term, both since the last update; kappa brings Omega to the gradient's scale (decayed means of
squares, two scalars per layer). The other parameters have no post spike of their own and take lambda g.

With a third factor Omega is modulated: pairs collect in a decaying eligibility, which acts at a labelled step only, times the
reward beyond what is expected: R - <R>, R = 1 where the network's decision of that step is right, else 0, <R> its running mean
(begins at 1 / classes). One scalar for all synapses of all layers; each parallel sequence has its own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bimhw.learning.forms.learner import Gradients
from bimhw.learning.rules.stdp import ModulatedStdp, StdpSettings, StdpTraces
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError

_EMA = 0.99


class Hybrid:
    """STDP beside a gradient rule.

    Args:
        net: the network.
        batch: sequences in parallel.
        lam: lambda in [0, 1].
        stdp: the window.
        kappa: a constant scale; None follows the running ratio.
        hidden_gradient: without it the parameters besides W_in and readout stay as they are (pure STDP).
        tau_e: decay of the eligibility of the third factor in steps; None: no third factor.
    """

    def __init__(
        self,
        net: BimNet,
        batch: int,
        lam: float,
        stdp: StdpSettings | None = None,
        kappa: float | None = None,
        hidden_gradient: bool = True,
        tau_e: float | None = None,
    ) -> None:
        if not 0 <= lam <= 1:
            raise InputError("lambda", f"is {lam}, must be in [0, 1]", "1: gradient only, 0: STDP only")
        self.net, self.lam, self.kappa, self.hidden_gradient = net, lam, kappa, hidden_gradient
        config, like = net.config, net.readout.weight.detach()
        self.traces = [
            StdpTraces(stdp or StdpSettings(), batch, config.fan_in(i), h, like) for i, h in enumerate(config.hidden)
        ]
        self.squares = torch.zeros(config.n_layers, 2, dtype=torch.float64)  # decayed mean squares of g, Omega
        self.modulated = [] if tau_e is None else [ModulatedStdp(t, tau_e) for t in self.traces]
        self.expected = 1 / config.n_out  # <R>

    def reset(self) -> None:
        """Begin a new sequence."""
        for traces in self.traces:
            traces.reset()
        for modulated in self.modulated:
            modulated.eligibility.zero_()

    def resize(self, batch: int) -> None:
        """Take another number of parallel sequences (zero traces)."""
        for i, old in enumerate(self.traces):
            like = old.omega
            self.traces[i] = StdpTraces(old.settings, batch, like.shape[1], like.shape[0], like)
        self.modulated = [ModulatedStdp(t, m.tau_e) for t, m in zip(self.traces, self.modulated, strict=False)]

    @torch.no_grad()
    def observe(self, inputs: list[Tensor], spikes: list[Tensor], right: Tensor | None = None) -> None:
        """Observe one step of every layer: delivered pre and post spikes; right [B]: whose decision was right, if labelled."""
        if not self.modulated:
            for traces, u, s in zip(self.traces, inputs, spikes, strict=True):
                traces.step(u, s)
            return
        scalar = None if right is None else right.to(torch.float64) - self.expected
        for modulated, u, s in zip(self.modulated, inputs, spikes, strict=True):
            modulated.step(u, s, scalar)
        if right is not None:
            self.expected = _EMA * self.expected + (1 - _EMA) * float(right.to(torch.float64).mean())

    @torch.no_grad()
    def combine(self, gradients: Gradients) -> Gradients:
        """Return the update direction u by parameter name, from the gradients due now."""
        out = {}
        for name, g in gradients.items():
            if name.startswith("readout"):
                out[name] = g
            elif name.endswith(".w_in"):
                out[name] = self._mix(int(name.split(".")[1]), g)
            elif self.hidden_gradient:
                out[name] = self.lam * g
        return out

    def _mix(self, layer: int, g: Tensor) -> Tensor:
        omega = self.traces[layer].take()
        mask = self.net.layer(layer)._buffers.get("mask_in")
        omega = omega if mask is None else omega * mask
        return self.lam * g - (1 - self.lam) * self._scale(layer, g, omega) * omega

    def _scale(self, layer: int, g: Tensor, omega: Tensor) -> float:
        if self.kappa is not None:
            return self.kappa
        now = torch.tensor([float(g.square().mean()), float(omega.square().mean())], dtype=torch.float64)
        self.squares[layer] = _EMA * self.squares[layer] + (1 - _EMA) * now
        of_g, of_omega = (float(v) for v in self.squares[layer])
        return math.sqrt(of_g / of_omega) if of_omega > 0 else 0.0


@torch.no_grad()
def clip_inputs(net: BimNet, w_max: float) -> None:
    """Clip W_in of every layer to hard bounds: without them STDP runs away at small lambda."""
    for i in range(net.config.n_layers):
        net.layer(i).get_parameter("w_in").clamp_(-w_max, w_max)
