"""One layer of a BIM network for one step: selective state, PSP kernel, spiking neuron, readout filter.

The docstrings are the equations; docs/bim.md derives them. Letters: B batch, M inputs, H neurons, N states (s6).
The same functions serve autograd (BPTT) and the forward RTRL rules, which read the recorded intermediates.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional

from bimhw.models.bim.config import BimConfig
from simulator.neurons.psp import PspConstants


class Drive(NamedTuple):
    """Drive that the input spikes u give at the ports of a layer."""

    z: Tensor  # [.., H] input
    d: Tensor  # [.., H] before the softplus: Delta = softplus(d)
    b: Tensor | None  # s6: [.., N]
    c: Tensor  # diag [.., H], s6 [.., N]


class LayerState(NamedTuple):
    """Words that a layer keeps between steps; words a configuration does not use stay 0."""

    x: Tensor  # diag [B, H], s6 [B, H, N], complex [B, H, 2]: selective state
    r: Tensor  # [B, H] alpha kernel
    i: Tensor  # [B, H] synaptic current (exp, alpha)
    v: Tensor  # [B, H] membrane
    ref: Tensor  # [B, H] refractory steps left
    a: Tensor  # [B, H] adaptation
    f: Tensor  # [B, H] readout feature
    line: Tensor = torch.empty(0)  # [B, D, M] newest inputs of learnable delays, newest last; empty without delays


class Record(NamedTuple):
    """The intermediates of one step."""

    drive: Drive
    delta: Tensor  # Delta [B, H]
    abar: Tensor  # diag [B, H], s6 [B, H, N]
    gain: Tensor  # factor of the input to the state: diag 1 - abar, s6 G
    x_old: Tensor
    x_new: Tensor
    a_old: Tensor
    v_pre: Tensor  # V-, before the reset
    m: Tensor | None  # 1 where not refractory; None: always
    s: Tensor  # spikes


class _Spike(torch.autograd.Function):
    """s = [v >= 0] with the surrogate's derivative."""

    @staticmethod
    def forward(ctx: FunctionCtx, v: Tensor, kind: str, width: float) -> Tensor:
        _Spike.keep(ctx, v, kind, width)
        return (v >= 0).to(v.dtype)

    @staticmethod
    def keep(ctx: Any, v: Tensor, kind: str, width: float) -> None:
        """Keep what the derivative needs."""
        ctx.save_for_backward(v)
        ctx.kind, ctx.width = kind, width

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None]:
        (v,) = ctx.saved_tensors
        return grad[0] * surrogate(v, ctx.kind, ctx.width), None, None


class _TransformedSpike(_Spike):
    """The same for `torch.func`, which needs a context of its own; torch binds its arguments by name, at twice the time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor, kind: str, width: float) -> Tensor:  # type: ignore[override]
        return (v >= 0).to(v.dtype)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, str, float], output: Tensor) -> None:
        _Spike.keep(ctx, *inputs)


def _spikes(v: Tensor, kind: str, width: float) -> Tensor:
    transformed = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    function = _TransformedSpike if transformed else _Spike
    return cast(Tensor, function.apply(v, kind, width))  # type: ignore[no-untyped-call]


def surrogate(v: Tensor, kind: str, width: float) -> Tensor:
    """Compute psi(v): ``fast_sigmoid`` 1/(1+|v|/w)^2, ``triangle`` max(0, 1-|v|/w)."""
    scaled = v.abs() / width
    return (1 - scaled).clamp_min(0) if kind == "triangle" else (1 + scaled).square().reciprocal()


def zero_state(config: BimConfig, layer: int, batch: int, like: Tensor) -> LayerState:
    """Return the state before a sequence."""
    h = config.hidden[layer]
    x_shape = {"diag": (batch, h), "s6": (batch, h, config.n_states), "complex": (batch, h, 2)}[config.kind]
    zero, longest = like.new_zeros(batch, h), config.longest_delay(layer)
    line = like.new_zeros(batch, longest, config.fan_in(layer)) if longest else like.new_zeros(0)
    return LayerState(like.new_zeros(x_shape), zero, zero, zero, zero, zero, zero, line)


def softplus(d: Tensor) -> Tensor:
    """Compute log(1 + e^d), exact to rounding (torch's default switches to d at 20, an error of 2e-9)."""
    return functional.softplus(d, threshold=40.0)


def decays(d: Tensor, a_log: Tensor, variance: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Compute of kind ``complex`` Delta = softplus(d), Abar = exp(-e^a_log Delta) and the gain 1 - Abar or sqrt(1 - Abar^2)."""
    delta = softplus(d)
    exponent = a_log.exp() * delta
    abar = torch.exp(-exponent)
    return delta, abar, torch.sqrt(-torch.expm1(-2 * exponent)) if variance else 1 - abar


def select(drive: Drive, a_log: Tensor, x: Tensor, config: BimConfig) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute the selective state: (Delta, Abar, G, x_new).

    diag  Abar = exp(-e^a_log Delta);  x <- z + Abar (x - z)                      (G = 1 - Abar)
    s6    A = -e^a_log; Abar = exp(Delta A); x_n <- Abar_n x_n + G_n B_n z;  G = Delta (euler) | (Abar - 1)/A (zoh)
    """
    delta = softplus(drive.d)
    if config.kind == "diag":
        abar = torch.exp(-a_log.exp() * delta)
        return delta, abar, 1 - abar, drive.z + abar * (x - drive.z)
    assert drive.b is not None
    a = -a_log.exp()  # [H, N]
    exponent = delta[..., None] * a
    abar = exponent.exp()
    gain = delta[..., None].expand_as(abar) if config.discretisation == "euler" else torch.expm1(exponent) / a
    return delta, abar, gain, abar * x + gain * (drive.b[..., None, :] * drive.z[..., None])


def output(drive: Drive, x_new: Tensor, d: Tensor, config: BimConfig) -> Tensor:
    """Compute q = c x + D z (diag);  q = sum_n C_n x_n + D z (s6)."""
    if config.kind == "diag":
        return drive.c * x_new + d * drive.z
    return (drive.c[..., None, :] * x_new).sum(-1) + d * drive.z


def integrate(q: Tensor, state: LayerState, k: PspConstants) -> tuple[Tensor, Tensor, Tensor]:
    """Compute (V-, r, I) after the kernel took q at the start of the step; see `simulator.neurons.psp`."""
    if k.psp == "delta":
        return k.kap * state.v + (k.p_vi * k.c) * q, state.r, state.i
    if k.psp == "exp":
        current = state.i + k.c * q
        return k.kap * state.v + k.p_vi * current, state.r, k.rho * current
    rr = state.r + k.c * q
    v_pre = k.kap * state.v + k.p_vi * state.i + k.p_vr * rr
    return v_pre, k.rho * rr, k.b * rr + k.rho * state.i


def fire(v_pre: Tensor, state: LayerState, config: BimConfig) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
    """Compute (s, m, V, ref, a): s = m [V- >= theta + beta a], then the reset.

    soft V = V- - (theta + beta a) s;  hard V = m (1 - s) V-;  ref <- n_ref on a spike, else one less;  a <- rho_a a + s
    """
    m = (state.ref == 0).to(v_pre.dtype) if config.refractory else None
    theta = config.theta + config.adapt_beta * state.a if config.adapt_beta else config.theta
    s = _spikes(v_pre - theta, config.surrogate, config.surrogate_width)
    s = s if m is None else m * s
    if config.reset == "soft":
        drop = theta * s
        v = v_pre - (drop.detach() if config.detach_reset else drop)
    else:
        v = (1 - (s.detach() if config.detach_reset else s)) * v_pre
        v = v if m is None else m * v
    ref = state.ref
    if config.refractory:
        ref = torch.where(s.detach() > 0, float(config.refractory), (ref - 1).clamp_min(0))
    a = config.adapt_rho * state.a + s if config.adapt_beta else state.a
    return s, m, v, ref, a


def membrane_step(
    q: Tensor, state: LayerState, config: BimConfig, k: PspConstants, membrane: bool
) -> tuple[LayerState, Tensor, Tensor | None, Tensor]:
    """Take q through kernel, membrane and readout feature: (state with the old x, V-, m, spikes)."""
    v_pre, r, i = integrate(q, state, k)
    s, m, v, ref, a = fire(v_pre, state, config)
    decay, feature = (config.k_membrane, v_pre) if membrane else (config.k_o, s)
    f = decay * state.f + (1 - decay) * feature if decay else feature
    return LayerState(state.x, r, i, v, ref, a, f, state.line), v_pre, m, s


def advance(
    drive: Drive, a_log: Tensor, d: Tensor, state: LayerState, config: BimConfig, k: PspConstants, membrane: bool
) -> tuple[LayerState, Record]:
    """Advance a layer by one step.

    Args:
        drive: port values of this step.
        a_log: [H] (diag) or [H, N] (s6).
        d: [H], the direct path D.
        state: before the step.
        config: the network's constants.
        k: the kernel's constants.
        membrane: the readout feature is the (filtered) membrane instead of the filtered spikes.
    """
    delta, abar, gain, x_new = select(drive, a_log, state.x, config)
    new, v_pre, m, s = membrane_step(output(drive, x_new, d, config), state, config, k, membrane)
    record = Record(drive, delta, abar, gain, state.x, x_new, state.a, v_pre, m, s)
    return new._replace(x=x_new), record
