"""P-SpikeSSM networks as their authors define them, as a torch module parallel over time.

Bal & Sengupta 2025 (ICLR, arXiv:2406.02923) and its public code. Of a sequence i(t), layer l, channel c (l, c left out)::

    x_0 = W_e i + b_e                                                    encoder
    u = Norm_batch(a_in x + b_in)
    z = [w < u]                              P(z = 1) = clamp(u, 0, 1)   SpikeSampler
    y = K * z + D z,  K(tau) = Re C Abar^tau Bbar                        DPLR, HiPPO-LegS at first; A, B shared by the channels
    s = [w < a_out GELU(y) + b_out]                                      SpikeSampler
    m = GELU(W s + b)                                                    SpikeMixer
    x_(l+1) = x_l + dropout(m) with ``fuse`` (ClampFuse), else dropout(m)
    o(t) = sum_(tau <= t) (W_o x_L(tau) + b_o) / steps                   its last value: the readout of the mean over time

Gradient of both samplers, straight through: ds/du := 1 for 0 <= u <= 1, else 0.

K comes from its generating function by one inverse FFT on a circle of radius below 1 at 2 T points, in float64, to 1e-10::

    sum K(tau) zeta^tau = 2/(1 + zeta) C (g I - A)^-1 B,   g = (2/Delta)(1 - zeta)/(1 + zeta)

w is counter-based: the compiled program draws the same numbers on the chip (`Draws`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.models.nets import Net
from bimhw.models.spikessm.legs import legs
from bimhw.models.spikessm.net import Draws, convolve
from bimhw.models.spikessm.s4_config import STATISTICS, S4SpikeConfig, layer_shapes
from simulator.base.random import uniforms

MOMENTUM, EPSILON = 0.1, 1e-5  # of the norm, torch's own
_ALIAS = 1e-10  # what K of 2 T steps later adds


class S4SpikeInit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Initial weights; linear layers begin as torch's.

    Attributes:
        delta_min: smallest time step Delta.
        delta_max: largest; Delta is log-uniform between them.
    """

    delta_min: float = 0.001
    delta_max: float = 0.1


class S4SpikeRun(NamedTuple):
    """Result of a sequence: logits [T, B, C]; s, z and the probabilities of z and of s of each layer, [T, B, H]."""

    logits: Tensor
    spikes: tuple[Tensor, ...]
    sampled: tuple[Tensor, ...]
    chances: tuple[tuple[Tensor, Tensor], ...]


def sample_clamped(u: Tensor, uniform: Tensor) -> Tensor:
    """Sample spikes with probability clamp(u, 0, 1) against uniform numbers, gradient straight through."""
    chance = u.clamp(0, 1)
    return (uniform < u).to(u.dtype) + (chance - chance.detach())


class S4SpikeLayer(nn.Module):
    """Parameters of one layer."""

    def __init__(self, config: S4SpikeConfig, init: S4SpikeInit, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        for name, shape in layer_shapes(config).items():
            value = _initial(name, shape, config, init, generator)
            if name in STATISTICS:
                self.register_buffer(name, value)
            else:
                self.register_parameter(name, nn.Parameter(value))

    def _complex(self, name: str) -> Tensor:
        return torch.complex(*(self.get_parameter(f"{name}_{part}").double() for part in ("re", "im")))

    def continuous(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return Lambda, P, B [N/2], C [H, N/2] and Delta [H], in float64."""
        poles = torch.complex(-self.get_parameter("log_decay").double().exp(), self.get_parameter("frequency").double())
        delta = self.get_parameter("log_step").double().exp()
        return poles, self._complex("p"), self._complex("in"), self._complex("c"), delta

    def kernel(self, steps: int) -> Tensor:
        """Return K(tau) of the first `steps` steps, float64 [H, steps]; K(0) holds the direct weight too."""
        poles, p, b, c, delta = self.continuous()
        points = 2 * steps
        radius = _ALIAS ** (1 / points)
        turn = torch.arange(steps + 1, dtype=torch.float64, device=delta.device) * (-2 * math.pi / points)
        zeta = torch.polar(torch.full_like(turn, radius), turn)
        g = (2 / delta)[:, None] * (1 - zeta) / (1 + zeta)  # [H, points]
        near, far = (1 / (g[..., None] - a) for a in (poles, poles.conj()))  # Cauchy, [H, points, N/2]

        def paired(weight: Tensor) -> Tensor:
            return torch.einsum("hlm,hm->hl", near, weight) + torch.einsum("hlm,hm->hl", far, weight.conj())

        ones = torch.ones_like(delta)[:, None]
        direct, through = paired(c * b), paired(c * p) * paired(ones * (p.conj() * b))
        generating = 2 / (1 + zeta) * (direct - through / (1 + paired(ones * (p * p.conj()))))
        damped = torch.fft.irfft(generating, points)[:, :steps]
        kernel = damped * radius ** -torch.arange(steps, dtype=torch.float64, device=delta.device)
        return torch.cat([kernel[:, :1] + self.get_parameter("d").double()[:, None], kernel[:, 1:]], 1)

    def normalised(self, x: Tensor, batch: bool) -> Tensor:
        """Return u [T, B, H] of the stream; `batch`: by the batch's statistics, which the running ones follow."""
        x = self.get_parameter("a_in") * x + self.get_parameter("b_in")
        mean, var = self.get_buffer("norm_mean"), self.get_buffer("norm_var")
        gain, bias = self.get_parameter("norm_gain"), self.get_parameter("norm_bias")
        flat = functional.batch_norm(x.reshape(-1, x.shape[-1]), mean, var, gain, bias, batch, MOMENTUM, EPSILON)
        return flat.reshape(x.shape)

    def second(self, y: Tensor) -> Tensor:
        """Return the probability (before its clamp) of the second sampler from the state space's output."""
        value: Tensor = self.get_parameter("a_out") * functional.gelu(y) + self.get_parameter("b_out")
        return value

    def mixed(self, s: Tensor) -> Tensor:
        """Return GELU(W s + b)."""
        return functional.gelu(functional.linear(s, self.get_parameter("w_mix"), self.get_parameter("b_mix")))


class S4SpikeNet(Net):
    """A P-SpikeSSM network by its authors' definition.

    Args:
        config: shape and constants.
        seed: of the initial weights.
        init: their scales.
    """

    config: S4SpikeConfig

    def __init__(self, config: S4SpikeConfig, seed: int = 0, init: S4SpikeInit | None = None) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        start = init or S4SpikeInit()
        self.encoder = nn.Linear(config.n_in, config.width)
        self.layers = nn.ModuleList(S4SpikeLayer(config, start, generator) for _ in range(config.n_layers))
        self.readout = nn.Linear(config.width, config.n_out)
        with torch.no_grad():
            for linear in (self.encoder, self.readout):
                bound = linear.in_features**-0.5
                for value in (linear.weight, linear.bias):
                    value.uniform_(-bound, bound, generator=generator)

    def layer(self, index: int) -> S4SpikeLayer:
        """Return a layer by its 0-based index."""
        layer = self.layers[index]
        assert isinstance(layer, S4SpikeLayer)
        return layer

    def run_samples(self, x: Tensor, first: int = 0, seed: int = 0) -> S4SpikeRun:
        """Run inputs [T, B, n_in] with the chip's own random numbers of these samples."""
        return self.run(x, Draws(seed, first))

    def run(self, x: Tensor, draws: Draws | None = None) -> S4SpikeRun:
        """Run a sequence of inputs [T, B, n_in] from the zero state.

        While training, with gradients, the norm takes the batch's statistics and the mixer's values drop out.
        """
        draws = draws or Draws()
        learning = self.training and torch.is_grad_enabled()
        stream = self.encoder(x)
        spikes, sampled, chances = [], [], []
        for i in range(self.config.n_layers):
            layer = self.layer(i)
            u = layer.normalised(stream, learning)
            z = sample_clamped(u, self.uniform(i, 0, draws, u))
            y = convolve(z.permute(1, 2, 0), layer.kernel(len(x)).to(z)).permute(2, 0, 1)
            p = layer.second(y)
            s = sample_clamped(p, self.uniform(i, 1, draws, p))
            m = layer.mixed(s)
            if learning and self.config.dropout:
                kept = self.uniform(i, 2, draws, m) >= self.config.dropout
                m = m * kept / (1 - self.config.dropout)
            stream = stream + m if self.config.fuse else m
            spikes.append(s)
            sampled.append(z)
            chances.append((u.detach().clamp(0, 1), p.detach().clamp(0, 1)))
        score = self.readout(stream).cumsum(0) / self.config.steps
        return S4SpikeRun(score, tuple(spikes), tuple(sampled), tuple(chances))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [T, B, C] of a sequence [T, B, n_in] from the zero state, drawn with seed 0."""
        return self.run(x).logits

    def uniform(self, layer: int, part: int, draws: Draws, like: Tensor) -> Tensor:
        """Draw the numbers, as `like` [T, B, H], of the sampler (0), state space (1) or mixer (2) of a layer on the chip."""
        config, (steps, batch, width) = self.config, like.shape
        whole, late = config.chip_steps(steps), config.latency(layer) + part
        first = [(draws.first + b) * whole + late for b in range(batch)]
        drawn = uniforms(draws.seed, first, steps, config.first_id(layer) + part * width, width, draws.stream)
        return torch.from_numpy(drawn.transpose(1, 0, 2)).to(like)


def _initial(
    name: str, shape: tuple[int, ...], config: S4SpikeConfig, init: S4SpikeInit, generator: torch.Generator
) -> Tensor:
    if name in ("a_in", "a_out", "norm_gain", "norm_var"):
        return torch.ones(shape)
    if name in ("c_re", "c_im"):
        return torch.randn(shape, generator=generator) * math.sqrt(0.5)
    if name == "d":
        return torch.randn(shape, generator=generator)
    if name == "log_step":
        low, high = math.log(init.delta_min), math.log(init.delta_max)
        return low + (high - low) * torch.rand(shape, generator=generator)
    if name in ("w_mix", "b_mix"):
        bound = config.width**-0.5
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)
    start = legs(config.n_states)
    known = {"log_decay": -start.poles.real, "frequency": start.poles.imag}
    known |= {"p_re": start.p.real, "p_im": start.p.imag, "in_re": start.b.real, "in_im": start.b.imag}
    if name not in known:
        return torch.zeros(shape)
    value = torch.from_numpy(known[name].copy())
    return (value.log() if name == "log_decay" else value).float()
