"""P-SpikeSSM networks as a torch module: stochastic neurons behind linear state spaces, parallel over time.

Equations of a sequence x(t) (docs/p-spikessm.md says what is the paper's and what is ours)::

    r_0 = clamp(W_e x + b_e)                                           encoder
    layer l, neuron i, mode n (i, l left out):
        lambda_n = exp(Delta (-e^alpha_n + i omega_n)),  Delta = e^log_step,  gamma_n = sqrt(1 - |lambda_n|^2)
        h_n(t) = lambda_n h_n(t-1) + gamma_n r_(l-1)(t)                state space, of channel i alone
        y(t)   = sum_n Re(c_n h_n(t)) + D r_(l-1)(t) + b
        s(t)   = [w(t) < sigmoid(y(t))],  w uniform                    SpikeSampler
        m(t)   = W s(t) + b_m                                          SpikeMixer
        r_l(t) = clamp(r_(l-1)(t) + m(t))                              ClampFuse, clamp to [-kappa, kappa]
    o(t) = filter of (W_o r_L(t) + b_o),  f <- k_o f + (1 - k_o) (.),  f(-1) = b_o

No state depends on a spike of its own layer, so all steps of a layer are computed at once: h is a convolution of r with the
kernel K(tau) = sum_n Re(c_n gamma_n lambda_n^tau), done by FFT; `PSpikeNet.step_by_step` is the same as a recurrence.

Surrogate of the sampler: ds/dy := d E[s]/dy = sigmoid(y) (1 - sigmoid(y)), whatever was drawn. For a loss that is linear in the
spikes it is the exact gradient of the expected loss.

w is counter-based (`Draws`): with the same seed the compiled program draws the same numbers on the chip.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.models.nets import Net
from bimhw.models.spikessm.config import PSpikeConfig, layer_shapes
from simulator.base.random import STREAM_NEURON, uniforms


class PSpikeInit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Initial weights.

    Attributes:
        delta_min: smallest time step Delta; a mode of e^alpha = 1/2 then lasts 2/Delta steps.
        delta_max: largest; Delta is log-uniform between them.
        gain_c: c ~ N(0, gain_c^2 / N), real and imaginary part.
        gain_in: W_e ~ N(0, gain_in^2 / n_in); b_e ~ U(-1/2, 1/2) kappa.
        gain_mix: W ~ N(0, gain_mix^2 / H).
        rate: spike probability of a neuron whose input is 0: b = logit(rate), and b_m = -rate sum of its weights.
    """

    delta_min: float = 0.005
    delta_max: float = 0.5
    gain_c: float = 1.0
    gain_in: float = 1.0
    gain_mix: float = 1.0
    rate: float = 0.2


class Draws(NamedTuple):
    """Keys of the random numbers: `first` is the number of the first sample, and sample b begins at chip step b x chip steps."""

    seed: int = 0
    first: int = 0
    stream: int = STREAM_NEURON


class PSpikeRun(NamedTuple):
    """Result of a sequence: logits [T, B, C], spikes and spike probabilities of each layer [T, B, H]."""

    logits: Tensor
    spikes: tuple[Tensor, ...]
    chances: tuple[Tensor, ...]


class _Sample(torch.autograd.Function):
    """s = [w < sigmoid(y)] with the derivative of its expectation."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, uniform: Tensor) -> Tensor:
        chance = torch.sigmoid(y)
        ctx.save_for_backward(chance)
        return (uniform < chance).to(y.dtype)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        (chance,) = ctx.saved_tensors
        return grad[0] * chance * (1 - chance), None


def sample(y: Tensor, uniform: Tensor) -> Tensor:
    """Sample spikes (SpikeSampler) of logits y against uniform numbers of the same shape."""
    return cast(Tensor, _Sample.apply(y, uniform))  # type: ignore[no-untyped-call]


class _Convolve(torch.autograd.Function):
    """y(t) = sum_(tau <= t) K(tau) r(t - tau) for r [B, H, T] and K [H, T], by FFT of twice the length.

    The backward pass is two correlations with the spectra that the forward pass made (half the transforms of autograd's own).
    """

    @staticmethod
    def forward(ctx: Any, r: Tensor, kernel: Tensor) -> Tensor:
        steps = r.shape[-1]
        spectra = torch.fft.rfft(r, 2 * steps), torch.fft.rfft(kernel, 2 * steps)
        ctx.save_for_backward(*spectra)
        y: Tensor = torch.fft.irfft(spectra[0] * spectra[1], 2 * steps)[..., :steps]
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor]:
        r, kernel = ctx.saved_tensors
        steps = grad[0].shape[-1]
        g = torch.fft.rfft(grad[0], 2 * steps)
        to_r = torch.fft.irfft(g * kernel.conj(), 2 * steps)[..., :steps]
        return to_r, torch.fft.irfft((g * r.conj()).sum(0), 2 * steps)[..., :steps]


def convolve(r: Tensor, kernel: Tensor) -> Tensor:
    """Convolve causally over the last axis: r [B, H, T], kernel [H, T]."""
    return cast(Tensor, _Convolve.apply(r, kernel))  # type: ignore[no-untyped-call]


class PSpikeLayer(nn.Module):
    """Parameters of one layer."""

    def __init__(self, config: PSpikeConfig, init: PSpikeInit, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        for name, shape in layer_shapes(config).items():
            self.register_parameter(name, nn.Parameter(_initial(name, shape, init, generator)))
        with torch.no_grad():
            self.get_parameter("b_mix").copy_(-init.rate * self.get_parameter("w_mix").sum(1))

    def poles(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return (log |lambda|, arg lambda, gamma), each [H, N]."""
        step = self.get_parameter("log_step").exp()[:, None]
        log_size = -step * self.get_parameter("log_decay").exp()
        return log_size, step * self.get_parameter("frequency"), torch.sqrt(-torch.expm1(2 * log_size))

    def kernel(self, steps: int) -> Tensor:
        """Return K(tau) of the first `steps` steps, [H, steps]; K(0) holds the direct weight too."""
        log_size, angle, gain = self.poles()
        tau = torch.arange(steps, dtype=log_size.dtype, device=log_size.device)
        turned = angle[..., None] * tau
        c_re, c_im = (gain * self.get_parameter(name) for name in ("c_re", "c_im"))
        wave = c_re[..., None] * torch.cos(turned) - c_im[..., None] * torch.sin(turned)
        kernel = (torch.exp(log_size[..., None] * tau) * wave).sum(1)
        return torch.cat([kernel[:, :1] + self.get_parameter("d")[:, None], kernel[:, 1:]], 1)

    def logits(self, r: Tensor) -> Tensor:
        """Return y [T, B, H] of the stream r [T, B, H], all steps at once."""
        y = convolve(r.permute(1, 2, 0), self.kernel(len(r)).to(r.dtype))
        shifted: Tensor = y.permute(2, 0, 1) + self.get_parameter("b_spike")
        return shifted

    def step(self, r: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return (y [B, H], modes after it) of one step from the modes h, complex [B, H, N]."""
        log_size, angle, gain = self.poles()
        h = torch.polar(log_size.exp(), angle) * h + gain * r[..., None]
        c = torch.complex(self.get_parameter("c_re"), self.get_parameter("c_im"))
        return (c * h).real.sum(-1) + self.get_parameter("d") * r + self.get_parameter("b_spike"), h

    def fuse(self, r: Tensor, s: Tensor) -> Tensor:
        """Mix and clamp (SpikeMixer, ClampFuse): the stream after the spikes s."""
        weight = self.get_parameter("w_mix")
        mixed = functional.linear(s.to(weight.dtype), weight, self.get_parameter("b_mix"))
        return (r + mixed).clamp(-self.config.clamp, self.config.clamp)


class PSpikeNet(Net):
    """A P-SpikeSSM network.

    Args:
        config: shape and constants.
        seed: of the initial weights.
        init: their scales.
    """

    config: PSpikeConfig

    def __init__(self, config: PSpikeConfig, seed: int = 0, init: PSpikeInit | None = None) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        init = init or PSpikeInit()
        self.encoder = nn.Linear(config.n_in, config.width)
        self.layers = nn.ModuleList(PSpikeLayer(config, init, generator) for _ in range(config.n_layers))
        self.readout = nn.Linear(config.width, config.n_out)
        initial_encoder(self.encoder, config, init, generator)
        with torch.no_grad():
            self.readout.weight.zero_()
            self.readout.bias.zero_()

    def layer(self, index: int) -> PSpikeLayer:
        """Return a layer by its 0-based index."""
        layer = self.layers[index]
        assert isinstance(layer, PSpikeLayer)
        return layer

    def run_samples(self, x: Tensor, first: int = 0, seed: int = 0) -> PSpikeRun:
        """Run inputs [T, B, n_in] with the chip's own random numbers of these samples."""
        return self.run(x, Draws(seed, first))

    def run(self, x: Tensor, draws: Draws | None = None) -> PSpikeRun:
        """Run a sequence of inputs [T, B, n_in] from the zero state, layer by layer, each over all steps at once."""
        steps, batch = x.shape[:2]
        r = self.encode(x)
        spikes, chances = [], []
        for i in range(self.config.n_layers):
            layer = self.layer(i)
            y = layer.logits(r)
            s = sample(y, self.uniform(i, steps, batch, draws or Draws(), y))
            r = layer.fuse(r, s)
            spikes.append(s)
            chances.append(torch.sigmoid(y.detach()))
        return PSpikeRun(self.filtered(self.readout(r)), tuple(spikes), tuple(chances))

    def step_by_step(self, x: Tensor, draws: Draws | None = None) -> PSpikeRun:
        """Do the same as `run`, as a recurrence: all layers in each step, as a chip does it."""
        steps, batch = x.shape[:2]
        config, like = self.config, self.readout.weight
        complex_type = torch.complex(like[:1, :1], like[:1, :1]).dtype
        h = [like.new_zeros(batch, config.width, config.n_states, dtype=complex_type) for _ in config.hidden]
        w = [self.uniform(i, steps, batch, draws or Draws(), like) for i in range(config.n_layers)]
        f, logits = self.readout.bias.expand(batch, -1), []
        spikes: list[list[Tensor]] = [[] for _ in config.hidden]
        chances: list[list[Tensor]] = [[] for _ in config.hidden]
        for t in range(steps):
            r = self.encode(x[t])
            for i in range(config.n_layers):
                y, h[i] = self.layer(i).step(r, h[i])
                s = sample(y, w[i][t])
                r = self.layer(i).fuse(r, s)
                spikes[i].append(s)
                chances[i].append(torch.sigmoid(y.detach()))
            f = config.k_o * f + (1 - config.k_o) * self.readout(r)
            logits.append(f)
        stacked = [tuple(torch.stack(part) for part in parts) for parts in (spikes, chances)]
        return PSpikeRun(torch.stack(logits), stacked[0], stacked[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [T, B, C] of a sequence [T, B, n_in] from the zero state, drawn with seed 0."""
        return self.run(x).logits

    def encode(self, x: Tensor) -> Tensor:
        """Return r_0 of inputs [.., n_in]."""
        encoded: Tensor = self.encoder(x)
        return encoded.clamp(-self.config.clamp, self.config.clamp)

    def filtered(self, o: Tensor) -> Tensor:
        """Filter the readout's values o [T, B, C], all steps at once: f = k^(t+1) b_o + (1 - k) sum_tau k^tau o(t - tau)."""
        steps, k = len(o), self.config.k_o
        power = k ** torch.arange(steps + 1, dtype=o.dtype, device=o.device)
        kernel = ((1 - k) * power[:-1]).expand(o.shape[2], steps)
        return convolve(o.permute(1, 2, 0), kernel).permute(2, 0, 1) + power[1:, None, None] * self.readout.bias

    def uniform(self, layer: int, steps: int, batch: int, draws: Draws, like: Tensor) -> Tensor:
        """Draw the numbers [T, B, H] of a layer's neurons: those of the compiled program on the chip."""
        return chip_uniforms(self.config, layer, steps, batch, draws, like)


def chip_uniforms(config: PSpikeConfig, layer: int, steps: int, batch: int, draws: Draws, like: Tensor) -> Tensor:
    """Return the numbers [T, B, H] that the neurons of a 0-based layer draw on the chip, in the type of `like`."""
    chip_steps = config.chip_steps(steps)
    first = [(draws.first + b) * chip_steps + config.latency(layer) for b in range(batch)]
    drawn = uniforms(draws.seed, first, steps, config.first_id(layer), config.width, draws.stream)
    return torch.from_numpy(drawn.transpose(1, 0, 2)).to(like)


@torch.no_grad()
def initial_encoder(encoder: nn.Linear, config: PSpikeConfig, init: PSpikeInit, generator: torch.Generator) -> None:
    """Set the encoder's initial weights in place."""
    encoder.weight.normal_(0, init.gain_in / math.sqrt(config.n_in), generator=generator)
    encoder.bias.uniform_(-config.clamp / 2, config.clamp / 2, generator=generator)


def _initial(name: str, shape: tuple[int, ...], init: PSpikeInit, generator: torch.Generator) -> Tensor:
    if name == "log_step":
        low, high = math.log(init.delta_min), math.log(init.delta_max)
        return low + (high - low) * torch.rand(shape, generator=generator)
    if name == "log_decay":  # S4D-Lin: the real part of every mode is -1/2, the imaginary part pi n
        return torch.full(shape, math.log(0.5))
    if name == "frequency":
        return math.pi * torch.arange(shape[1], dtype=torch.float32).expand(shape).clone()
    if name in ("c_re", "c_im"):
        return torch.randn(shape, generator=generator) * (init.gain_c / math.sqrt(shape[1]))
    if name == "w_mix":
        return torch.randn(shape, generator=generator) * (init.gain_mix / math.sqrt(shape[1]))
    if name == "d":
        return torch.randn(shape, generator=generator)
    return torch.full(shape, math.log(init.rate / (1 - init.rate)) if name == "b_spike" else 0.0)
