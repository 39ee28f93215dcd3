"""One step of a synapse's trace vector as a matrix per neuron: e(t) = M e(t-1) + beta u (kind ``diag``).

The vector holds the states after the step, in this order: x, then r (alpha), I (alpha, exp), V, f. M is lower triangular. Every
injection beta combines two vectors: X, the answer to a unit kick in the new x, and kq, to one in q::

    W_in (1-Abar) X + D kq     W_delta g X     W_c x kq     biases the same with u = 1     A_log (g Delta/sig(d)) X     D z kq
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bimhw.learning.forms.traces import reset_factor, spike_slope
from bimhw.models.bim.cell import Record
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimLayer
from simulator.base.errors import InputError

_STATES = {"alpha": ("x", "r", "i", "v", "f"), "exp": ("x", "i", "v", "f"), "delta": ("x", "v", "f")}


def state_count(config: BimConfig) -> int:
    """Return the entries of a trace vector: 5 alpha, 4 exp, 3 delta."""
    return len(_STATES[config.psp])


def check_supported(config: BimConfig, form: str) -> None:
    """Raise `InputError` for what has no such matrix here."""
    if config.kind != "diag":
        raise InputError(f"rule {form!r}", f"does not exist for kind {config.kind!r}", "Take rule seq, tr or rtrl")
    if config.adapt_beta:
        raise InputError(f"rule {form!r}", "does not hold the adaptive threshold's trace", "Take rule seq, tr or rtrl")


@dataclass(frozen=True, eq=False)
class Transition:
    """Transition of one layer and step.

    Attributes:
        matrix: M [B, H, n, n].
        ports: beta of W_in, W_delta, W_c, each [B, H, n].
        a_log: injection of A_log [B, H, n].
        d: injection of D [B, H, n].
    """

    matrix: Tensor
    ports: tuple[Tensor, Tensor, Tensor]
    a_log: Tensor
    d: Tensor


def transition(layer: BimLayer, record: Record) -> Transition:
    """Return M and all injections of a step."""
    n = state_count(layer.config)
    unit = torch.eye(n).to(record.s)
    batch = record.s.shape
    matrix = _step(layer, record, unit.expand(*batch, n, n), 0.0, 0.0)  # row k: answer to unit state k
    zero = record.s.new_zeros(*batch, 1, n)
    x_kick = _step(layer, record, zero, 1.0, 0.0)[..., 0, :]
    q_kick = _step(layer, record, zero, 0.0, 1.0)[..., 0, :]
    a_log, d = layer.get_parameter("a_log").detach(), layer.get_parameter("d").detach()
    through = a_log.exp() * record.abar * (record.drive.z - record.x_old)
    g = through * torch.sigmoid(record.drive.d)
    ports = (
        record.gain[..., None] * x_kick + d[:, None] * q_kick,
        g[..., None] * x_kick,
        record.x_new[..., None] * q_kick,
    )
    own = (through * record.delta)[..., None] * x_kick
    return Transition(matrix.transpose(-1, -2), ports, own, record.drive.z[..., None] * q_kick)


def _step(layer: BimLayer, record: Record, e: Tensor, kick_x: float, kick_q: float) -> Tensor:
    """Apply the linear map of one step to vectors e [B, H, k, n], plus kicks in x and q."""
    config, k = layer.config, layer.constants
    part = dict(zip(_STATES[config.psp], e.unbind(-1), strict=True))
    x = record.abar[..., None] * part["x"] + kick_x
    kick = k.c * (record.drive.c[..., None] * x + kick_q)
    out = {"x": x}
    if k.psp == "delta":
        v_pre = k.kap * part["v"] + k.p_vi * kick
    elif k.psp == "exp":
        current = part["i"] + kick
        v_pre, out["i"] = k.kap * part["v"] + k.p_vi * current, k.rho * current
    else:
        rr = part["r"] + kick
        v_pre = k.kap * part["v"] + k.p_vi * part["i"] + k.p_vr * rr
        out["r"], out["i"] = k.rho * rr, k.b * rr + k.rho * part["i"]
    psi = spike_slope(record, config)
    membrane = config.reads_membrane(layer.index)
    decay = config.k_membrane if membrane else config.k_o
    out["v"] = reset_factor(record, config, psi)[..., None] * v_pre
    out["f"] = decay * part["f"] + (1 - decay) * (v_pre if membrane else psi[..., None] * v_pre)
    return torch.stack([out[name] for name in _STATES[config.psp]], -1)
