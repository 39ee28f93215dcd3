"""Exact forward (RTRL) traces of one layer, dense form: updated for every synapse at every step.

E^y_p = dy_i/dp for each parameter p that reaches neuron i. All parameters of a layer lie side by side in columns, since
everything that multiplies a trace after q is a per-neuron scalar. Letters: B batch, H neurons, M1 = M + 1 (bias last),
N states, P columns::

    diag   x-traces [B, H, Px]: W_in M1 | W_delta M1 | A_log 1;   then W_c M1 | D 1 without one         P = 3 M1 + 2
    s6     x-traces [B, H, N, 3 M1 + 1]: W_in M1 | W_delta M1 | W_b M1 | A_log 1;  columns of q: W_in M1 | W_delta M1 |
           W_b N M1 | A_log N | W_c N M1 | D 1 (W_b, W_c are shared by the channels: their gradient is summed over H)

Equations: docs/bim.md, section RTRL.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bimhw.models.bim.cell import LayerState, Record, surrogate
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.loops import widened
from bimhw.models.bim.net import BimLayer
from simulator.base.arrays import Array
from simulator.neurons.psp import PspConstants

_TRACES = ("ex", "er", "ei", "ev", "ef", "ea")


class LayerTraces:
    """The traces of one layer for B sequences in parallel (a chip has B = 1).

    Args:
        layer: whose parameters are traced.
        batch: B.
        keep_v_pre: keep E^V- of the newest step (the same-step rules need it).
        decay: of E^f; None: the readout filter's.
    """

    def __init__(self, layer: BimLayer, batch: int, keep_v_pre: bool = False, decay: float | None = None) -> None:
        self.decay = filter_decay(layer, decay)
        self.layer, self.config, self.constants = layer, layer.config, layer.constants
        self.batch, self.keep_v_pre = batch, keep_v_pre
        self.m1 = self.config.fan_in(layer.index) + 1
        self.membrane = self.config.reads_membrane(layer.index)
        self.reset()

    def reset(self) -> None:
        """Zero all traces, before a sequence."""
        c, w = self.config, self.layer.get_parameter("w_in")
        h = c.hidden[self.layer.index]
        x_shape = (h, 2 * self.m1 + 1) if c.kind == "diag" else (h, c.n_states, 3 * self.m1 + 1)
        zero = widened(w.detach()).new_zeros
        self.ex = zero(self.batch, *x_shape)
        columns = (self.batch, h, trace_columns(c, self.m1))
        none = zero(0)
        self.er = zero(columns) if c.psp == "alpha" else none
        self.ei = zero(columns) if c.psp != "delta" else none
        self.ev, self.ef = zero(columns), zero(columns)
        self.ea = zero(columns) if c.adapt_beta else none
        self.ev_pre = none

    @property
    def words(self) -> int:
        """Trace words of one sequence."""
        return trace_words(self.layer)

    def advance(self, u: Tensor, record: Record) -> None:
        """Update all traces with the step that ``record`` describes; u [B, M] are the layer's inputs of it."""
        u1 = torch.cat([u, u.new_ones(len(u), 1)], -1)
        a_log, d = self.layer.get_parameter("a_log").detach(), self.layer.get_parameter("d").detach()
        step = _diag_q if self.config.kind == "diag" else _s6_q
        v_pre = self._kernel(step(self.ex, u1, record, a_log, d, self.config))
        self._spike(v_pre, record)

    def learn(self, u: Tensor, record: Record, delta: Tensor | None) -> dict[str, Tensor]:
        """Call `advance`; return the gradients by parameter name if there is an error signal delta [B, H] at the features."""
        self.advance(u, record)
        return {} if delta is None else self.gradient(delta, self.ef)

    def _kernel(self, eq: Tensor) -> Tensor:
        k: PspConstants = self.constants
        if k.psp == "delta":
            return self.ev.mul_(k.kap).add_(eq, alpha=k.p_vi * k.c)
        if k.psp == "exp":
            self.ei.add_(eq, alpha=k.c)
            self.ev.mul_(k.kap).add_(self.ei, alpha=k.p_vi)
            self.ei.mul_(k.rho)
            return self.ev
        self.er.add_(eq, alpha=k.c)
        self.ev.mul_(k.kap).add_(self.ei, alpha=k.p_vi).add_(self.er, alpha=k.p_vr)
        self.ei.mul_(k.rho).add_(self.er, alpha=k.b)
        self.er.mul_(k.rho)
        return self.ev

    def _spike(self, ev: Tensor, record: Record) -> None:
        """Go from E^V- (in place of E^V) to E^f and E^V."""
        c = self.config
        if self.keep_v_pre:
            self.ev_pre = ev.clone()
        psi = spike_slope(record, c)
        es = ev * psi[..., None]
        if c.adapt_beta:
            es.addcmul_(self.ea, psi[..., None], value=-c.adapt_beta)
        decay = self.decay
        self.ef.mul_(decay).add_(ev if self.membrane else es, alpha=1 - decay)
        self._reset_traces(ev, es, record)
        if c.adapt_beta:
            self.ea.mul_(c.adapt_rho).add_(es)

    def _reset_traces(self, ev: Tensor, es: Tensor, record: Record) -> None:
        c, m = self.config, record.m
        if c.reset == "hard":
            keep = (1 - record.s) if m is None else m * (1 - record.s)
            ev.mul_(keep[..., None])
            if not c.detach_reset:
                v_pre = record.v_pre if m is None else m * record.v_pre
                ev.addcmul_(es, v_pre[..., None], value=-1)
        elif not c.detach_reset:
            if c.adapt_beta:
                theta = c.theta + c.adapt_beta * record.a_old
                ev.addcmul_(es, theta[..., None], value=-1)
                ev.addcmul_(self.ea, record.s[..., None], value=-c.adapt_beta)
            else:
                ev.add_(es, alpha=-c.theta)

    def gradient(self, delta: Tensor, eligibility: Tensor) -> dict[str, Tensor]:
        """Sum delta_i E_i over batch (and channels, where shared), by parameter name; delta [B, H], E [B, H, P]."""
        return self.split(torch.bmm(delta.T[:, None, :], eligibility.transpose(0, 1))[:, 0])

    def state(self) -> dict[str, Tensor]:
        """Return all that `load` needs."""
        return {name: getattr(self, name).clone() for name in _TRACES}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        for name in _TRACES:
            setattr(self, name, state[name].clone())

    def split(self, g: Tensor) -> dict[str, Tensor]:
        """Split columns [H, P] into gradients by parameter name, pruned synapses as 0."""
        m1, n = self.m1, self.config.n_states
        if self.config.kind == "diag":
            w_in, w_delta, a_log, w_c, d = torch.split(g, [m1, m1, 1, m1, 1], dim=1)
            ports = {"in": _split(w_in), "delta": _split(w_delta), "c": _split(w_c)}
            own = {"a_log": a_log[:, 0], "d": d[:, 0]}
        else:
            w_in, w_delta, w_b, a_log, w_c, d = torch.split(g, [m1, m1, n * m1, n, n * m1, 1], dim=1)
            shared = {"b": _split(w_b.sum(0).view(n, m1)), "c": _split(w_c.sum(0).view(n, m1))}
            ports = {"in": _split(w_in), "delta": _split(w_delta), **shared}
            own = {"a_log": a_log, "d": d[:, 0]}
        return own | by_name(self.layer, ports)


def _split(columns: Tensor) -> tuple[Tensor, Tensor]:
    return columns[:, :-1], columns[:, -1]


def by_name(layer: BimLayer, ports: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Return gradients (weights, biases) of the ports by parameter name, pruned synapses as 0."""
    out = {}
    for port, (weights, biases) in ports.items():
        mask = layer._buffers.get(f"mask_{port}")
        out[f"w_{port}"] = weights if mask is None else weights * mask
        out[f"b_{port}"] = biases
    return out


def trace_words(layer: BimLayer) -> int:
    """Return the words of all traces of a layer, for one sequence.

    Behind q every column has v and f (i: exp, alpha; r: alpha; the adaptation, where there is one); f is no state but a value of
    the step where the readout filter has no memory.
    """
    c, m1 = layer.config, layer.config.fan_in(layer.index) + 1
    decay = c.k_membrane if c.reads_membrane(layer.index) else c.k_o
    behind = {"delta": 1, "exp": 2, "alpha": 3}[c.psp] + (decay > 0) + bool(c.adapt_beta)
    x = 2 * m1 + 1 if c.kind == "diag" else c.n_states * (3 * m1 + 1)
    return c.hidden[layer.index] * (x + behind * trace_columns(c, m1))


def trace_columns(config: BimConfig, m1: int) -> int:
    """Return P, the parameters of a neuron (s6: with its share of the common ones)."""
    if config.kind == "diag":
        return 3 * m1 + 2
    return 2 * m1 + 2 * config.n_states * m1 + config.n_states + 1


def spike_slope(record: Record, config: BimConfig) -> Tensor:
    """Return m psi(V- - theta_i), the surrogate derivative of the spike [B, H]."""
    theta = config.theta + config.adapt_beta * record.a_old if config.adapt_beta else config.theta
    psi = surrogate(record.v_pre - theta, config.surrogate, config.surrogate_width)
    return psi if record.m is None else record.m * psi


def filter_decay(layer: BimLayer, own: float | None = None) -> float:
    """Return the decay of E^f: the readout filter's, or the traces' own where the layer is read by spikes."""
    membrane = layer.config.reads_membrane(layer.index)
    return layer.config.k_membrane if membrane else layer.config.k_o if own is None else own


def kernel_constants(layer: BimLayer, own_decay: float | None = None) -> Array:
    """Return kap, rho, P_VI, P_Vr, b, c, the decay of `filter_decay`, theta, surrogate width, in the type of the weights."""
    k, config = layer.constants, layer.config
    decay = filter_decay(layer, own_decay)
    kind = layer.get_parameter("w_in").detach().numpy().dtype
    return np.array([k.kap, k.rho, k.p_vi, k.p_vr, k.b, k.c, decay, config.theta, config.surrogate_width], dtype=kind)


def reset_factor(record: Record, config: BimConfig, psi: Tensor) -> Tensor:
    """Return dV/dV- [B, H] without adaptive threshold; psi = `spike_slope`."""
    if config.reset == "soft":
        return torch.ones_like(psi) if config.detach_reset else 1 - config.theta * psi
    keep = 1 - record.s if record.m is None else record.m * (1 - record.s)
    if config.detach_reset:
        return keep
    return keep - psi * (record.v_pre if record.m is None else record.m * record.v_pre)


def _diag_q(ex: Tensor, u1: Tensor, record: Record, a_log: Tensor, d: Tensor, config: BimConfig) -> Tensor:
    """Update E^x in place, return E^q [B, H, P]."""
    drive, abar, m1 = record.drive, record.abar, u1.shape[1]
    u = u1[:, None, :]
    through = a_log.exp() * abar * (drive.z - record.x_old)  # dx/dDelta
    ex.mul_(abar[..., None])
    ex[..., :m1].addcmul_(record.gain[..., None], u)
    ex[..., m1 : 2 * m1].addcmul_((through * torch.sigmoid(drive.d))[..., None], u)
    ex[..., 2 * m1] += through * record.delta
    eq = ex.new_empty(*ex.shape[:2], 3 * m1 + 2)
    torch.mul(ex, drive.c[..., None], out=eq[..., : 2 * m1 + 1])
    eq[..., :m1].addcmul_(d[None, :, None], u)
    torch.mul(record.x_new[..., None], u, out=eq[..., 2 * m1 + 1 : -1])
    eq[..., -1] = drive.z
    return eq


def _s6_q(ex: Tensor, u1: Tensor, record: Record, a_log: Tensor, d: Tensor, config: BimConfig) -> Tensor:
    """Update E^x in place, return E^q [B, H, P]."""
    drive, abar, gain, m1 = record.drive, record.abar, record.gain, u1.shape[1]
    assert drive.b is not None
    a, delta, z = -a_log.exp(), record.delta[..., None], drive.z[..., None]
    u, bz = u1[:, None, None, :], drive.b[:, None, :] * z  # [B, 1, 1, M1], [B, H, N]
    slope = 1.0 if config.discretisation == "euler" else abar  # dG/dDelta
    ex.mul_(abar[..., None])
    ex[..., :m1].addcmul_((gain * drive.b[:, None, :])[..., None], u)
    through = (a * abar * record.x_old + slope * bz) * torch.sigmoid(drive.d)[..., None]
    ex[..., m1 : 2 * m1].addcmul_(through[..., None], u)
    ex[..., 2 * m1 : 3 * m1].addcmul_((gain * z)[..., None], u)
    own = delta * a * abar * record.x_old
    ex[..., 3 * m1] += own if config.discretisation == "euler" else own + (delta * abar - gain) * bz
    return _s6_columns(ex, u1, record, d, m1)


def _s6_columns(ex: Tensor, u1: Tensor, record: Record, d: Tensor, m1: int) -> Tensor:
    b, h = ex.shape[:2]
    scaled = ex * record.drive.c[:, None, :, None]
    summed = scaled[..., : 2 * m1].sum(2)
    summed[..., :m1].addcmul_(d[None, :, None], u1[:, None, :])
    w_b, a_log = scaled[..., 2 * m1 : 3 * m1].reshape(b, h, -1), scaled[..., 3 * m1]
    w_c = (record.x_new[..., None] * u1[:, None, None, :]).view(b, h, -1)
    return torch.cat([summed, w_b, a_log, w_c, record.drive.z[..., None]], -1)


def state_words(state: LayerState, config: BimConfig) -> int:
    """State words of one sequence in one layer (refractory counter not counted)."""
    used = [state.x, state.v, state.f] + ([state.i] if config.psp != "delta" else [])
    used += [state.r] if config.psp == "alpha" else []
    used += [state.a] if config.adapt_beta else []
    return sum(t[0].numel() for t in used)
