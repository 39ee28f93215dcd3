"""Error signals of the layers: how the readout's error of a step reaches the features of each layer.

Exact for the top layer; below it the same-step approximations of docs/bim.md (e = softmax(o) - onehot, Wo_l the readout's
columns of layer l, psi the spike slope m psi)::

    filt-win   delta_l = Wo_l^T e + W_in^(l+1)T (psi^(l+1) delta_(l+1)),   eligibility E^f           (default)
               from a membrane-read layer above: W_in^T ((c + D) delta), no spike lies between V and that readout
    filt-avg   as filt-win with psi-bar^(l+1) for psi^(l+1), its running average   psi-bar <- .9 psi-bar + .1 psi
    filt-inst  delta_l = Wo_l^T e + J^(l+1)T (psi^(l+1) delta_(l+1)),      eligibility E^f;  J = dV-/du of the same step
    inst       the exact same-step Jacobian down to V-,                    eligibility E^V- of now
    direct     delta_l = Wo_l^T e                                          (needs the dense readout)
    dfa        delta_l = F_l e, F_l fixed random                           (top layer: exact)
    local      delta_l = Q_l^T (softmax(Q_l f_l) - onehot), Q_l fixed random (top layer: exact)

filt-avg holds a word (psi-bar, 0 at the start of a sequence) a neuron above the lowest layer, and does one MAC for it a step.
The error of a step belongs to spikes of many steps before it, so the mean slope says more of them than the slope of now.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from bimhw.learning.forms.complex_traces import moved, norm_scale
from bimhw.learning.forms.learner import softmax_error
from bimhw.learning.forms.traces import spike_slope
from bimhw.models.bim import complex_state
from bimhw.models.bim.cell import LayerState, Record
from bimhw.models.bim.net import BimLayer, BimNet
from simulator.base.errors import InputError, unknown_name

Credit = Literal["filt-win", "filt-avg", "filt-inst", "inst", "direct", "dfa", "local"]
CREDITS: tuple[Credit, ...] = get_args(Credit)
SLOPE_DECAY = 0.9  # of the averaged slope


class CreditAssigner:
    """Turns the readout's error into one signal per layer.

    Args:
        net: the network.
        rule: one of the rules above.
        seed: of the fixed random matrices (dfa, local).

    Raises:
        InputError: unknown rule, or ``direct`` without a dense readout on several layers.
    """

    def __init__(self, net: BimNet, rule: Credit = "filt-win", seed: int = 0) -> None:
        if rule not in CREDITS:
            raise unknown_name("credit rule", rule, CREDITS, listed="Rules")
        if rule == "direct" and net.config.n_layers > 1 and not net.config.dense_readout:
            raise InputError(
                "credit rule 'direct'", "gives the lower layers no signal without a dense readout", "Set dense_readout"
            )
        self.net, self.rule = net, rule
        self.slopes: list[Tensor] = []  # averaged psi of the layers above the lowest
        like = net.readout.weight
        generator = torch.Generator().manual_seed(seed)
        shapes = [(h, net.config.n_out) for h in net.config.hidden]
        self.random = [torch.randn(s, generator=generator).to(like) / math.sqrt(s[0]) for s in shapes]

    @property
    def same_step(self) -> bool:
        """True if the lower layers' signals belong to E^V- (``inst``) instead of E^f."""
        return self.rule == "inst"

    def reset(self) -> None:
        """Begin a new sequence."""
        self.slopes = []

    def observe(self, records: list[Record]) -> None:
        """Take in a step, labelled or not."""
        if self.rule != "filt-avg":
            return
        now = [spike_slope(record, self.net.config) for record in records[1:]]
        old = self.slopes or [torch.zeros_like(psi) for psi in now]
        self.slopes = [torch.lerp(psi, mean, SLOPE_DECAY) for psi, mean in zip(now, old, strict=True)]

    @property
    def words(self) -> int:
        """Words of one sequence."""
        return sum(self.net.config.hidden[1:]) if self.rule == "filt-avg" else 0

    def signals(
        self,
        error: Tensor,
        target: Tensor,
        weight: float,
        records: list[Record],
        states: tuple[LayerState, ...],
    ) -> list[Tensor]:
        """Return dL/df of each layer [B, H] (``inst``: dL/dV- for all but the top layer).

        Args:
            error: dL/dlogits [B, C] (weights of the loss included).
            target: classes [B], or labels [B, C].
            weight: of the step in the loss.
            records: the step's intermediates.
            states: after the step.
        """
        direct = direct_signals(self.net, error)
        top = len(direct) - 1
        if self.rule == "direct" or top == 0:
            return direct
        if self.rule in ("dfa", "local"):
            return [*self._random_signals(error, target, weight, states), direct[top]]
        signal, message = self._to_v_pre(top, direct[top], records[top]), None
        lower: list[Tensor] = []
        for i in range(top - 1, -1, -1):
            message = self.net.below(self._message(i + 1, signal, records[i + 1]), message)
            signal = self._receive(direct[i], message, records[i])
            lower.insert(0, signal)
        return [*lower, direct[top]]

    def _to_v_pre(self, index: int, delta: Tensor, record: Record) -> Tensor:
        """Return dL/df as it is, or for ``inst`` dL/dV- through the newest term of the readout filter."""
        if not self.same_step:
            return delta
        config = self.net.config
        if config.reads_membrane(index):
            return (1 - config.k_membrane) * delta
        return (1 - config.k_o) * spike_slope(record, config) * delta

    def _message(self, upper: int, signal: Tensor, record: Record) -> Tensor:
        """Return the message of the layer ``upper`` to the spikes below it [B, M]."""
        config, layer = self.net.config, self.net.layer(upper)
        membrane = config.reads_membrane(upper)
        if self.rule == "inst":
            return input_jacobian(layer, signal, record)
        through = signal
        if not membrane:
            through = (self.slopes[upper - 1] if self.slopes else spike_slope(record, config)) * signal
        if self.rule == "filt-inst":
            return input_jacobian(layer, through, record)
        if membrane and config.kind != "s6":
            through = direct_gain(layer, record) * signal
        return through @ layer.weight("in").detach()

    def to_inputs(self, signal: Tensor, record: Record) -> Tensor:
        """Return dL/du [B, M] of the lowest layer's inputs of the same step, through all ports, from its signal."""
        at_v_pre = signal
        if not (self.same_step and self.net.config.n_layers > 1):  # else it is at V- already
            config = self.net.config
            membrane = config.reads_membrane(0)
            at_v_pre = (1 - (config.k_membrane if membrane else config.k_o)) * signal
            at_v_pre = at_v_pre if membrane else spike_slope(record, config) * at_v_pre
        return input_jacobian(self.net.layer(0), at_v_pre, record)

    def _receive(self, direct: Tensor, down: Tensor, record: Record) -> Tensor:
        if not self.same_step:
            return direct + down
        config = self.net.config
        return spike_slope(record, config) * ((1 - config.k_o) * direct + down)

    def _random_signals(
        self, error: Tensor, target: Tensor, weight: float, states: tuple[LayerState, ...]
    ) -> list[Tensor]:
        lower = range(self.net.config.n_layers - 1)
        if self.rule == "dfa":
            return [error @ self.random[i].T for i in lower]
        if target.ndim == 2:
            return [softmax_error(states[i].f @ self.random[i], target, weight)[1] @ self.random[i].T for i in lower]
        share = weight / len(target)
        onehot = torch.zeros_like(error).scatter_(1, target[:, None], share)
        return [(torch.softmax(states[i].f @ self.random[i], -1) * share - onehot) @ self.random[i].T for i in lower]


def direct_gain(layer: BimLayer, record: Record) -> Tensor:
    """Return what a constant z reaches q with, [B, H], as if the state did not turn: c + D (complex: s (c C_re + D))."""
    if layer.config.kind != "complex":
        return record.drive.c + layer.get_parameter("d").detach()
    o, scale = complex_state.own(layer), norm_scale(layer)
    gain = record.drive.c * o.c_re.detach() + o.d.detach()
    return gain if scale is None else scale * gain


def input_jacobian(layer: BimLayer, grad: Tensor, record: Record) -> Tensor:
    """Compute (dV-/du)^T grad of the same step through all ports; grad [B, H] at V-, result [B, M]."""
    grad_q = layer.constants.same_step_gain * grad
    a_log, d = layer.get_parameter("a_log").detach(), layer.get_parameter("d").detach()
    drive, sig = record.drive, torch.sigmoid(record.drive.d)
    w = {port: layer.weight(port).detach().to(grad.dtype) for port in layer.ports}
    if layer.config.kind == "complex":
        o, step, scale = complex_state.own(layer), moved(record, layer), norm_scale(layer)
        grad_q = grad_q if scale is None else scale * grad_q
        c_re, c_im = (drive.c * v.detach() for v in (o.c_re, o.c_im))
        to_z = grad_q * (c_re * record.gain + d)
        to_d = grad_q * (c_re * step.by_delta[..., 0] - c_im * step.by_delta[..., 1]) * sig
        return to_z @ w["in"] + to_d @ w["delta"] + (grad_q * step.y) @ w["c"]
    if layer.config.kind == "diag":
        slope = a_log.exp() * record.abar * (drive.z - record.x_old) * sig
        to_z, to_d = grad_q * (drive.c * record.gain + d), grad_q * drive.c * slope
        return to_z @ w["in"] + to_d @ w["delta"] + (grad_q * record.x_new) @ w["c"]
    assert drive.b is not None
    grad_x = grad_q[..., None] * drive.c[:, None, :]
    a, bz = -a_log.exp(), drive.b[:, None, :] * drive.z[..., None]
    dg = 1.0 if layer.config.discretisation == "euler" else record.abar
    to_d = (grad_x * (a * record.abar * record.x_old + dg * bz)).sum(-1) * sig
    to_z = (grad_x * record.gain * drive.b[:, None, :]).sum(-1) + grad_q * d
    to_b = (grad_x * record.gain * drive.z[..., None]).sum(1)
    to_c = (grad_q[..., None] * record.x_new).sum(1)
    return to_z @ w["in"] + to_d @ w["delta"] + to_b @ w["b"] + to_c @ w["c"]


def direct_signals(net: BimNet, error: Tensor) -> list[Tensor]:
    """Return Wo_l^T e of each layer [B, H]; 0 where the readout does not read a layer."""
    config, back = net.config, error @ net.readout.weight.detach()
    if config.dense_readout:
        return list(torch.split(back, list(config.hidden), dim=-1))
    return [*(error.new_zeros(*error.shape[:-1], h) for h in config.hidden[:-1]), back]
