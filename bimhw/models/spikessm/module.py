"""`PSpikeSSM`: encoder and layers of a P-SpikeSSM network as an ordinary torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bimhw.models.bim.loops import HALF, widened
from bimhw.models.spikessm.config import PSpikeConfig
from bimhw.models.spikessm.net import Draws, PSpikeInit, PSpikeLayer, chip_uniforms, initial_encoder, sample
from simulator.base.errors import InputError


class PSpikeSSM(nn.Module):
    """Stochastic neurons behind linear state spaces: inputs [T, B, n_in] -> residual stream [T, B, hidden].

    The equations are those of `bimhw.models.spikessm.net`, up to r_L. With a filter and a linear readout behind it the stack is
    a P-SpikeSSM network, which the compiler takes::

        torch.nn.Sequential(nn.PSpikeSSM(16, 64, layers=2), nn.Filter(0.9), torch.nn.Linear(64, 10))

    In training mode spikes are drawn from torch's generator of the device, as dropout is. In evaluation mode they are those that
    the compiled program draws on the chip with `seed` for samples 0, 1 ...: the same on every device.

    Args:
        n_in: input channels.
        hidden: H, channels of the stream and neurons of each layer.
        layers: L.
        n_states: N, complex modes of a neuron.
        clamp: the stream stays in [-clamp, clamp].
        seed: of the initial weights, and of the draws in evaluation mode.
        init: scales of the initial weights.

    Raises:
        InputError: a size or constant out of its range.
    """

    def __init__(
        self,
        n_in: int,
        hidden: int,
        *,
        layers: int = 1,
        n_states: int = 2,
        clamp: float = 1.0,
        seed: int = 0,
        init: PSpikeInit | None = None,
    ) -> None:
        super().__init__()
        self.config = PSpikeConfig(n_in=n_in, hidden=(hidden,) * layers, n_out=1, n_states=n_states, clamp=clamp)
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        init = init or PSpikeInit()
        self.encoder = nn.Linear(n_in, hidden)
        self.layers = nn.ModuleList(PSpikeLayer(self.config, init, generator) for _ in range(layers))
        initial_encoder(self.encoder, self.config, init, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Run a sequence [T, B, n_in] from the zero state: the stream behind the last layer [T, B, hidden]."""
        if x.ndim != 3 or x.shape[2] != self.config.n_in or not x.shape[0]:
            rule = f"Give [steps, batch, {self.config.n_in}], one step or more"
            raise InputError("PSpikeSSM: input", f"has shape {tuple(x.shape)}", rule)
        kappa = self.config.clamp
        kind = self.encoder.weight.dtype
        r = widened(self.encoder(x.to(kind))).clamp(-kappa, kappa)
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, PSpikeLayer)
            y = layer.logits(r)
            r = widened(layer.fuse(r, sample(y, self._uniforms(i, y))))
        return r.to(kind) if kind in HALF else r

    def _uniforms(self, layer: int, y: Tensor) -> Tensor:
        if self.training:
            return torch.rand_like(y)
        return chip_uniforms(self.config, layer, len(y), y.shape[1], Draws(self.seed), y)

    def extra_repr(self) -> str:
        """Describe the module in `print(model)`."""
        c = self.config
        return f"{c.n_in}, {c.width}, layers={c.n_layers}, n_states={c.n_states}, clamp={c.clamp:g}"
