"""Traces of kind ``complex``: two words for each parameter that reaches the state, and the norm as constants of the step.

With u = R x_old, y = C_re Re x - C_im Im x, and s = gamma / sqrt(var + 1e-5) (1 without a norm)::

    W_in     E^x <- Abar R E^x + (g u_j, 0)                                          E^q = s (c E^y + D u_j)
    W_delta  E^x <- Abar R E^x + p sigmoid(d) u_j                                    E^q = s c E^y
    A_log    E^x <- Abar R E^x + p Delta                                             E^q = s c E^y
    omega    E^x <- Abar R E^x + Abar (-Im u, Re u)                                  E^q = s c E^y
    W_c      E^q = s y u_j      D: s z      C_re: s c Re x      C_im: -s c Im x      E^y = C_re Re E^x - C_im Im E^x
    gamma    E^q = (q - mean) / sqrt(var + 1e-5)      beta: 1      biases: u = 1
    p = dx/dDelta = -e^a_log Abar (u + (g' z, 0)),   g' = -1 (dc) | -Abar / g (variance)

Columns: W_in M1 | W_delta M1 | A_log 1 | omega 1 | W_c M1 | D 1 | C_re 1 | C_im 1, with a norm also gamma 1 | beta 1. The running
mean and variance are constants of a step: exact for a network whose statistics stand still, as they do within a sequence
(`bimhw.learning.forms.norms`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bimhw.learning.forms.trace_layouts import Gradients, Layout, by_name, sides
from bimhw.models.bim import complex_state
from bimhw.models.bim.cell import Record
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimLayer


class Moved(NamedTuple):
    """What a step of a ``complex`` layer moves, each [B, H], or two words [B, H, 2].

    Attributes:
        turned: u = R x_old.
        by_delta: p = dx/dDelta.
        y: C_re Re x - C_im Im x of the new state.
        q: before the norm.
    """

    turned: Tensor
    by_delta: Tensor
    y: Tensor
    q: Tensor


def moved(record: Record, layer: BimLayer) -> Moved:
    """Return what a step has moved."""
    o = complex_state.own(layer)
    cos, sin = o.omega.detach().cos(), o.omega.detach().sin()
    re, im = record.x_old.unbind(-1)
    turned = torch.stack([cos * re - sin * im, sin * re + cos * im], -1)
    slope = -torch.ones_like(record.gain)
    if layer.config.state_gain == "variance":  # a gain of 0 has no slope: the state keeps all
        slope = torch.where(record.gain > 0, -record.abar / record.gain, 0.0)
    inner = torch.stack([turned[..., 0] + slope * record.drive.z, turned[..., 1]], -1)
    by_delta = -(o.a_log.detach().exp() * record.abar)[..., None] * inner
    y = o.c_re.detach() * record.x_new[..., 0] - o.c_im.detach() * record.x_new[..., 1]
    return Moved(turned, by_delta, y, record.drive.c * y + o.d.detach() * record.drive.z)


def norm_scale(layer: BimLayer) -> Tensor | None:
    """Return s [H], or None without a norm."""
    if layer.config.norm == "none":
        return None
    return layer.get_parameter("norm_gain").detach() * _root(layer)


def _root(layer: BimLayer) -> Tensor:
    gain = layer.get_parameter("norm_gain")
    return (layer.get_buffer("norm_var").to(gain.dtype) + complex_state.EPSILON).rsqrt()


def _step(ex: Tensor, u1: Tensor, record: Record, layer: BimLayer) -> Tensor:
    o, drive, m1 = complex_state.own(layer), record.drive, u1.shape[1]
    omega, u, step = o.omega.detach(), u1[:, None, :], moved(record, layer)
    _turn(ex, record.abar, omega)
    re, im = ex[..., 0, :], ex[..., 1, :]
    re[..., :m1].addcmul_(record.gain[..., None], u)
    by_d = step.by_delta * torch.sigmoid(drive.d)[..., None]
    ex[..., m1 : 2 * m1].addcmul_(by_d[..., None], u[:, :, None])
    ex[..., 2 * m1] += step.by_delta * record.delta[..., None]
    re[..., 2 * m1 + 1] -= record.abar * step.turned[..., 1]
    im[..., 2 * m1 + 1] += record.abar * step.turned[..., 0]
    c, c_re, c_im, n = drive.c, o.c_re.detach(), o.c_im.detach(), 2 * m1 + 2
    eq = ex.new_empty(*ex.shape[:2], _columns(layer.config, m1))
    torch.mul(re, (c * c_re)[..., None], out=eq[..., :n])
    eq[..., :n].addcmul_(im, (c * c_im)[..., None], value=-1)
    eq[..., :m1].addcmul_(o.d.detach()[None, :, None], u)
    torch.mul(step.y[..., None], u, out=eq[..., n : n + m1])
    eq[..., n + m1] = drive.z
    eq[..., n + m1 + 1] = c * record.x_new[..., 0]
    eq[..., n + m1 + 2] = -c * record.x_new[..., 1]
    scale = norm_scale(layer)
    if scale is not None:
        eq[..., : n + m1 + 3] *= scale[:, None]
        eq[..., -2] = (step.q - layer.get_buffer("norm_mean").to(eq.dtype)) * _root(layer)
        eq[..., -1] = 1
    return eq


def _turn(ex: Tensor, abar: Tensor, omega: Tensor) -> None:
    """Update E^x [B, H, 2, Px] <- Abar R E^x."""
    cos, sin = (abar * omega.cos())[..., None], (abar * omega.sin())[..., None]
    re, im = ex.unbind(-2)
    turned = sin * re
    re.mul_(cos).addcmul_(sin, im, value=-1)
    im.mul_(cos).add_(turned)


def _columns(config: BimConfig, m1: int) -> int:
    return 3 * m1 + 5 + 2 * (config.norm == "batch")


def _split(layer: BimLayer, g: Tensor, m1: int) -> Gradients:
    w_in, w_delta, reached, w_c, own = torch.split(g, [m1, m1, 2, m1, g.shape[1] - 3 * m1 - 2], dim=1)
    names = ("a_log", "omega", "d", "c_re", "c_im", "norm_gain", "norm_bias")
    singles = dict(zip(names, torch.cat([reached, own], 1).unbind(1), strict=False))
    return singles | by_name(layer, {"in": sides(w_in), "delta": sides(w_delta), "c": sides(w_c)})


COMPLEX = Layout(lambda c, m1: (2, 2 * m1 + 2), _columns, _step, _split)
