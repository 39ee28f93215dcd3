"""Exact forward (RTRL) traces of one layer, dense form: updated for every synapse at every step.

E^y_p = dy_i/dp for each parameter p that reaches neuron i. All parameters of a layer lie side by side in P columns, since
everything that multiplies a trace after q is a per-neuron scalar. What lies before q, and which column is whose, is the kind's
(`bimhw.learning.forms.trace_layouts`). Equations: docs/bim.md, section RTRL.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from bimhw.learning.forms.complex_traces import COMPLEX
from bimhw.learning.forms.trace_layouts import DIAG, S6
from bimhw.models.bim.cell import LayerState, Record, surrogate
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.loops import widened
from bimhw.models.bim.net import BimLayer
from simulator.base.arrays import Array
from simulator.neurons.psp import PspConstants

LAYOUTS = {"diag": DIAG, "s6": S6, "complex": COMPLEX}
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
        self.layout = LAYOUTS[layer.config.kind]
        self.batch, self.keep_v_pre = batch, keep_v_pre
        self.m1 = self.config.fan_in(layer.index) + 1
        self.membrane = self.config.reads_membrane(layer.index)
        self.reset()

    def reset(self) -> None:
        """Zero all traces, before a sequence."""
        c, w = self.config, self.layer.get_parameter("w_in")
        h = c.hidden[self.layer.index]
        zero = widened(w.detach()).new_zeros
        self.ex = zero(self.batch, h, *self.layout.x_shape(c, self.m1))
        columns = (self.batch, h, self.layout.columns(c, self.m1))
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
        v_pre = self._kernel(self.layout.step(self.ex, u1, record, self.layer))
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
        return self.layout.split(self.layer, g, self.m1)


def trace_words(layer: BimLayer) -> int:
    """Return the words of all traces of a layer, for one sequence.

    Behind q every column has v and f (i: exp, alpha; r: alpha; the adaptation, where there is one); f is no state but a value of
    the step where the readout filter has no memory.
    """
    c, m1 = layer.config, layer.config.fan_in(layer.index) + 1
    decay = c.k_membrane if c.reads_membrane(layer.index) else c.k_o
    behind = {"delta": 1, "exp": 2, "alpha": 3}[c.psp] + (decay > 0) + bool(c.adapt_beta)
    layout = LAYOUTS[c.kind]
    return c.hidden[layer.index] * (math.prod(layout.x_shape(c, m1)) + behind * layout.columns(c, m1))


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


def state_words(state: LayerState, config: BimConfig) -> int:
    """State words of one sequence in one layer (refractory counter not counted)."""
    used = [state.x, state.v, state.f] + ([state.i] if config.psp != "delta" else [])
    used += [state.r] if config.psp == "alpha" else []
    used += [state.a] if config.adapt_beta else []
    return sum(t[0].numel() for t in used)
