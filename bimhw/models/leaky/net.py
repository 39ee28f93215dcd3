"""Leaky networks as a torch module.

Equations of one step of a layer, x its input, z its spikes (letters as in Bellec et al. 2020)::

    a(t) = rho (a(t-1) + z(t-1))                                      ALIF only; a = 0 for LIF
    v(t) = alpha r(t-1) + W x(t) + W_rec z(t-1)                       r: membrane after the reset
    z(t) = [v(t) > A(t)],    A(t) = theta + beta a(t)                 ALIF: [v >= A]
    r(t) = v(t) - A(t) z(t)
    y(t) = kappa y(t-1) + (1 - kappa) W_o z(t)                        readout of the top layer's spikes

Surrogate: dz/dv := psi = 1 / (1 + |v - A| / w)^2. Layers follow each other in the same step.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import msgspec
import torch
from torch import Tensor, nn

from bimhw.models.leaky.config import LeakyConfig, parameter_shapes
from bimhw.models.nets import Net
from bimhw.models.orthogonal import Start, orthogonal_start


class LeakyInit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Initial weights.

    Attributes:
        gain_in: W ~ N(0, gain_in^2 / inputs).
        gain_rec: W_rec ~ N(0, gain_rec^2 / neurons).
        gain_out: W_o ~ N(0, gain_out^2 / neurons).
        recurrence: W_rec as above (``normal``), or gain_rec times an orthogonal matrix, by torch's QR (``orthogonal``) or by the
            local rule of `bimhw.models.orthogonal` (``local``).
    """

    gain_in: float = 2.0
    gain_rec: float = 0.5
    gain_out: float = 1.0
    recurrence: Start = "normal"


class LeakyRun(NamedTuple):
    """Result of a sequence: logits [T, B, C], spikes of each layer [T, B, H]."""

    logits: Tensor
    spikes: tuple[Tensor, ...]


class LeakyState(NamedTuple):
    """State of one layer: membrane after the reset r, raised part a, last spikes z, each [B, H]."""

    r: Tensor
    a: Tensor
    z: Tensor


class LeakyRecord(NamedTuple):
    """Record of a step of a layer: inputs [B, M], membrane v, threshold A and spikes s, each [B, H]."""

    x: Tensor
    v: Tensor
    threshold: Tensor
    s: Tensor


class _Spike(torch.autograd.Function):
    """Step function of v - A with the derivative psi."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, width: float, reached: bool) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.width = width
        return (distance >= 0 if reached else distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        return grad[0] * slope(distance, ctx.width), None, None


def spike(distance: Tensor, width: float, reached: bool) -> Tensor:
    """Return 1 where v - A is above 0 (or 0 too, if `reached`), with the derivative psi of this width."""
    return cast(Tensor, _Spike.apply(distance, width, reached))  # type: ignore[no-untyped-call]


def slope(distance: Tensor, width: float) -> Tensor:
    """Return psi of v - A."""
    return 1 / (1 + distance.abs() / width) ** 2


class LeakyNet(Net):
    """A leaky network; see the module.

    Args:
        config: the network.
        seed: of the initial weights.
        init: their scales.
    """

    config: LeakyConfig

    def __init__(self, config: LeakyConfig, seed: int = 0, init: LeakyInit | None = None) -> None:
        super().__init__()
        self.config = config
        scales, generator = init or LeakyInit(), torch.Generator().manual_seed(seed)
        gains = {"weight": scales.gain_in, "recurrent": scales.gain_rec}
        self.layers = nn.ModuleList(nn.Module() for _ in config.hidden)
        self.readout = nn.Module()
        for name, shape in parameter_shapes(config).items():
            place, last = name.rsplit(".", 1)
            gain = scales.gain_out if place == "readout" else gains[last]
            value = torch.randn(shape, generator=generator) * gain / shape[1] ** 0.5
            if last == "recurrent" and scales.recurrence != "normal":
                value = gain * orthogonal_start(shape[0], shape[1], scales.recurrence, generator)
            self.get_submodule(place).register_parameter(last, nn.Parameter(value))

    def rest(self, batch: int) -> tuple[LeakyState, ...]:
        """Return the zero state of all layers."""
        like = self.readout.get_parameter("weight")
        return tuple(LeakyState(*(like.new_zeros(batch, h) for _ in range(3))) for h in self.config.hidden)

    def step(self, x: Tensor, state: tuple[LeakyState, ...]) -> tuple[tuple[LeakyState, ...], list[LeakyRecord]]:
        """Do one step of all layers on inputs [B, n_in]."""
        c, states, records = self.config, [], []
        for k, old in enumerate(state):
            layer = self.layers[k]
            drive = x @ layer.get_parameter("weight").T
            if c.recurrent:
                drive = drive + old.z @ layer.get_parameter("recurrent").T
            a = c.adapt_keep * (old.a + old.z) if c.adaptive else old.a
            v, threshold = c.keep * old.r + drive, c.theta + c.adapt_jump * a
            s = spike(v - threshold, c.surrogate_width, c.adaptive)
            states.append(LeakyState(v - threshold * s, a, s))
            records.append(LeakyRecord(x, v, threshold, s))
            x = s
        return tuple(states), records

    def run(self, x: Tensor) -> LeakyRun:
        """Run inputs [T, B, n_in] from rest, with gradients."""
        state, k = self.rest(x.shape[1]), self.config.k_o
        y = x.new_zeros(x.shape[1], self.config.n_out)
        logits: list[Tensor] = []
        spikes: list[list[Tensor]] = [[] for _ in self.config.hidden]
        for step in x:
            state, records = self.step(step, state)
            y = k * y + (1 - k) * records[-1].s @ self.readout.get_parameter("weight").T
            logits.append(y)
            for out, record in zip(spikes, records, strict=True):
                out.append(record.s)
        return LeakyRun(torch.stack(logits), tuple(torch.stack(s) for s in spikes))

    def run_samples(self, x: Tensor, first: int = 0, seed: int = 0) -> LeakyRun:
        """See `Net`: nothing here is random."""
        return self.run(x)
