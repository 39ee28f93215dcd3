"""Networks of meta-neurons as a torch module.

Equations of one step of a layer, x its input (`simulator.neurons.meta_neuron` has the source)::

    v = r + h (r^2 - leak r - u + W x + bias)
    w = u + h (rec_v r - rec_u u)
    z = [v >= theta]
    r <- clamp(v + z (reset - v)),  u <- clamp(w + z jump)                 to [-8, 8]
    s = z [d < transmit],  d uniform                                       what the next layer sees
    y(t) = k_o y(t-1) + (1 - k_o) (W_o s(t) + b_o),  y(-1) = b_o           readout ``filter``
    y(t) = W_o c(t) + b_o                                                  readout ``lz76``, c: phrases of each neuron's train

Surrogate: dz/d(v - theta) := 1 / (1 + |v - theta| / w)^2; a lost spike has the gradient 0, a sent one that of z. The gradient
goes through W, bias and the six constants of each neuron. d is counter-based: the chip draws the same.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from bimhw.models.leaky.net import spike
from bimhw.models.meta.complexity import phrases
from bimhw.models.meta.config import MetaConfig, parameter_shapes
from bimhw.models.nets import Net
from bimhw.models.spikessm.net import Draws
from simulator.base.random import uniforms
from simulator.neurons.meta_neuron import LIMIT


class MetaInit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Initial values.

    Attributes:
        gain_in: W ~ N(0, gain_in^2 / inputs).
        gain_out: W_o ~ N(0, gain_out^2 / neurons).
        leak: of all neurons, as the five that follow.
        theta: threshold.
        rec_v: recovery gained from the membrane.
        rec_u: decay of the recovery.
        reset: membrane after a spike.
        jump: recovery gained at a spike.
    """

    gain_in: float = 2.0
    gain_out: float = 1.0
    leak: float = 1.0
    theta: float = 1.0
    rec_v: float = 0.1
    rec_u: float = 0.5
    reset: float = 0.0
    jump: float = 0.2


class MetaRun(NamedTuple):
    """Result of a sequence: logits [T, B, C], sent spikes of each layer [T, B, H]."""

    logits: Tensor
    spikes: tuple[Tensor, ...]


class MetaNet(Net):
    """A network of meta-neurons; see the module.

    Args:
        config: the network.
        seed: of the initial weights.
        init: their scales, and the constants of the neurons.
    """

    config: MetaConfig

    def __init__(self, config: MetaConfig, seed: int = 0, init: MetaInit | None = None) -> None:
        super().__init__()
        self.config = config
        start, generator = init or MetaInit(), torch.Generator().manual_seed(seed)
        constants = msgspec.structs.asdict(start)
        self.layers = nn.ModuleList(nn.Module() for _ in config.hidden)
        self.readout = nn.Module()
        for name, shape in parameter_shapes(config).items():
            place, last = name.rsplit(".", 1)
            module = self.get_submodule(place)
            if last in constants:
                value = torch.full(shape, constants[last])
                if not config.learn_neuron:
                    module.register_buffer(last, value)
                    continue
            elif last == "bias":
                value = torch.zeros(shape)
            else:
                gain = start.gain_out if place == "readout" else start.gain_in
                value = torch.randn(shape, generator=generator) * gain / shape[1] ** 0.5
            module.register_parameter(last, nn.Parameter(value))

    def run(self, x: Tensor, draws: Draws | None = None) -> MetaRun:
        """Run inputs [T, B, n_in] from rest, with gradients."""
        spikes = []
        for k in range(self.config.n_layers):
            x = self._layer(k, x, draws or Draws())
            spikes.append(x)
        return MetaRun(self._read(x), tuple(spikes))

    def run_samples(self, x: Tensor, first: int = 0, seed: int = 0) -> MetaRun:
        """See `Net`."""
        return self.run(x, Draws(seed, first))

    def _layer(self, k: int, x: Tensor, draws: Draws) -> Tensor:
        """Return the spikes sent [T, B, H] by a layer over all steps."""
        c, layer = self.config, self.layers[k]
        p = {name: getattr(layer, name) for name in ("bias", "leak", "theta", "rec_v", "rec_u", "reset", "jump")}
        drive, h = x @ layer.get_parameter("weight").T + p["bias"], 0.5**c.sh_h
        r = u = torch.zeros_like(drive[0])
        out = []
        for current in drive:
            v = r + h * (r * r - p["leak"] * r - u + current)
            w = u + h * (p["rec_v"] * r - p["rec_u"] * u)
            z = spike(v - p["theta"], c.surrogate_width, reached=True)
            r = (v + z * (p["reset"] - v)).clamp(-LIMIT, LIMIT)
            u = (w + z * p["jump"]).clamp(-LIMIT, LIMIT)
            out.append(z)
        sent = torch.stack(out)
        return sent if c.transmit == 1 else sent * self._kept(k, sent, draws)

    def _kept(self, k: int, like: Tensor, draws: Draws) -> Tensor:
        """Return 1 where a spike of layer k is sent, by the numbers that the chip draws."""
        c, (steps, batch, size) = self.config, like.shape
        whole = steps + c.readout_latency
        first = [(draws.first + b) * whole + c.latency(k) for b in range(batch)]
        drawn = uniforms(draws.seed, first, steps, c.first_id(k), size, draws.stream)
        return torch.from_numpy(drawn.transpose(1, 0, 2) < c.transmit).to(like)

    def _read(self, s: Tensor) -> Tensor:
        weight, bias, k = self.readout.get_parameter("weight"), self.readout.get_parameter("bias"), self.config.k_o
        if self.config.readout == "lz76":
            count = torch.from_numpy(phrases(s.detach().cpu().numpy() > 0)).to(s)
            return count @ weight.T + bias
        y = bias.expand(s.shape[1], -1)
        logits = []
        for drive in s @ weight.T + bias:
            y = k * y + (1 - k) * drive
            logits.append(y)
        return torch.stack(logits)
