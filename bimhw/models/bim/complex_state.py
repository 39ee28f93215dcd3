"""The layer of kind ``complex``: a selective state that turns, and a norm that folds into the neuron's constants.

One neuron in step t, from its three ports z, d, c (as ``diag``), with its own constants omega, C_re, C_im, D::

    Abar = exp(-e^a_log softplus(d));   g = 1 - Abar  (dc)  |  sqrt(1 - Abar^2)  (variance)
    x <- Abar e^(i omega) x + g z                                      x complex, two words
    y = C_re Re x - C_im Im x;    q = c y + D z
    q^ = gamma (q - mean) / sqrt(var + 1e-5) + beta                    with ``norm``

then kernel, membrane and readout feature of `bimhw.models.bim.cell` take q^ for q. With omega = 0, C = 1, g = 1 - Abar
and no norm it is ``diag``. mean and var are those of the batch (over steps and sequences) in training mode with gradients, and
running averages otherwise. Everything between the state and the membrane is linear in each neuron, so `fold` puts the norm
into C and D and leaves one constant current: nothing of it remains on a chip.

Gains and rotation are those of diagonal state spaces: Orvieto et al. 2023, "Resurrecting recurrent neural networks for
long sequences" (the gain), Gu et al. 2022, S4D.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.models.bim.cell import Drive, LayerState, Record, decays, membrane_step
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.loops import takes_loops
from simulator.base.arrays import Floats
from simulator.neurons.psp import PspConstants

MOMENTUM, EPSILON = 0.05, 1e-5  # of the norm's running averages, and below its root


class Layer(Protocol):
    """Interface needed of a layer of `bimhw.models.bim.net`."""

    config: BimConfig
    constants: PspConstants
    training: bool
    index: int

    def get_parameter(self, name: str, /) -> nn.Parameter:
        """Return a parameter by its name."""

    def get_buffer(self, name: str, /) -> Tensor:
        """Return a buffer by its name."""


class Own(NamedTuple):
    """Constants of the neurons of a layer, each [H]."""

    a_log: Tensor
    d: Tensor
    omega: Tensor
    c_re: Tensor
    c_im: Tensor


def own(layer: Layer) -> Own:
    """Return a layer's constants."""
    return Own(*(layer.get_parameter(name) for name in Own._fields))


def select(drive: Drive, o: Own, x: Tensor, config: BimConfig) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute (Delta, Abar, g, x_new) of one step; x [B, H, 2] holds the real and the imaginary part."""
    delta, abar, gain = decays(drive.d, o.a_log, config.state_gain == "variance")
    cos, sin = o.omega.cos(), o.omega.sin()
    real, imaginary = x.unbind(-1)
    re = abar * (cos * real - sin * imaginary) + gain * drive.z
    return delta, abar, gain, torch.stack([re, abar * (sin * real + cos * imaginary)], -1)


def output(drive: Drive, x_new: Tensor, o: Own) -> Tensor:
    """Compute q = c (C_re Re x - C_im Im x) + D z."""
    real, imaginary = x_new.unbind(-1)
    return drive.c * (o.c_re * real - o.c_im * imaginary) + o.d * drive.z


def normalise(q: Tensor, layer: Layer, batch: bool) -> Tensor:
    """Standardise q [.., H]: by its own statistics, which move the running ones too, or by the running ones."""
    if layer.config.norm == "none":
        return q
    mean, var = layer.get_buffer("norm_mean"), layer.get_buffer("norm_var")
    gain, bias = layer.get_parameter("norm_gain"), layer.get_parameter("norm_bias")
    running = mean.to(q.dtype), var.to(q.dtype)  # the buffers themselves but for half-precision ones
    scale = gain.to(q.dtype), bias.to(q.dtype)
    flat = functional.batch_norm(q.reshape(-1, q.shape[-1]), *running, *scale, batch, MOMENTUM, EPSILON)
    if batch and running[0] is not mean:
        mean.copy_(running[0])
        var.copy_(running[1])
    return flat.reshape(q.shape)


def advance(drive: Drive, layer: Layer, state: LayerState, membrane: bool) -> tuple[LayerState, Record]:
    """Do one step of a layer, with running statistics; arguments as in `bimhw.models.bim.cell.advance`."""
    constants = own(layer)
    delta, abar, gain, x_new = select(drive, constants, state.x, layer.config)
    q = normalise(output(drive, x_new, constants), layer, batch=False)
    old = state
    state, v_pre, m, s = membrane_step(q, state, layer.config, layer.constants, membrane)
    record = Record(drive, delta, abar, gain, old.x, x_new, old.a, v_pre, m, s)
    return state._replace(x=x_new), record


# (layer, q [T, B, H], state) -> (state with the old x, features, spikes [T, B, H])
Membrane = Callable[[Layer, Tensor, LayerState], tuple[LayerState, Tensor, Tensor]]


def run(
    layer: Layer, drive: Drive, state: LayerState, membrane: Membrane | None = None
) -> tuple[LayerState, Tensor, Tensor]:
    """Run all steps of port values [T, B, H]: state after them, features, spikes [T, B, H].

    Args:
        layer: of kind ``complex``.
        drive: port values of all steps.
        state: before the first step.
        membrane: takes q of all steps through the spiking part; None: `membrane_steps`.
    """
    q, x = scan(drive, own(layer), state.x, layer.config)
    q = normalise(q, layer, batch=layer.training and torch.is_grad_enabled())
    new, features, spikes = (membrane or membrane_steps)(layer, q, state)
    return new._replace(x=x), features, spikes


def membrane_steps(layer: Layer, q: Tensor, state: LayerState) -> tuple[LayerState, Tensor, Tensor]:
    """Take q of all steps through the spiking part; see `Membrane`."""
    reads = layer.config.reads_membrane(layer.index)
    if takes_loops(q) and not layer.config.adapt_beta and not torch.is_grad_enabled():
        from bimhw.models.bim import fused

        state, _, _, s, f = fused.membrane(q, state, layer.config, layer.constants, reads)
        return state, f, s
    features, spikes = [], []
    for now in q:
        state, _, _, s = membrane_step(now, state, layer.config, layer.constants, reads)
        features.append(state.f)
        spikes.append(s)
    return state, torch.stack(features), torch.stack(spikes)


def scan(drive: Drive, o: Own, x: Tensor, config: BimConfig) -> tuple[Tensor, Tensor]:
    """Run the state over all steps: q [T, B, H], the state after them [B, H, 2]."""
    if takes_loops(drive.z) and takes_loops(o.a_log):
        from bimhw.models.bim.complex_loops import ComplexScan

        variance = config.state_gain == "variance"
        q, end = ComplexScan.apply(variance, drive.z, drive.d, drive.c, *o, x)  # type: ignore[no-untyped-call]
        return q, end
    qs = []
    for z, d, c in zip(drive.z, drive.d, drive.c, strict=True):
        now = Drive(z, d, None, c)
        x = select(now, o, x, config)[3]
        qs.append(output(now, x, o))
    return torch.stack(qs), x


def fold(values: Mapping[str, Floats], norm: bool) -> dict[str, Floats]:
    """Return C_re, C_im, D of the neurons with the norm folded in, and the constant current b_q that it leaves.

    C <- s C, D <- s D with s = gamma / sqrt(var + 1e-5);  b_q = beta - s mean.
    """
    named = {"c_re": values["c_re"], "c_im": values["c_im"], "D": values["d"]}
    if not norm:
        return {k: np.asarray(v, np.float64) for k, v in named.items()} | {"b_q": np.zeros(len(values["d"]))}
    factor = values["norm_gain"] / np.sqrt(values["norm_var"] + EPSILON)
    return {k: factor * v for k, v in named.items()} | {"b_q": values["norm_bias"] - factor * values["norm_mean"]}
