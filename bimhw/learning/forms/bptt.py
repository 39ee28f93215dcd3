"""BPTT through compiled loops: autograd around the layers, one forward and one backward loop inside each.

The loops are `bimhw.models.bim.fused` and the sweep of `bimhw.learning.forms.adjoint`; autograd over
`bimhw.models.bim.cell`, step by step, is their twin in the tests and serves what they do not know (s6, adaptive thresholds).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bimhw.learning.forms.adjoint import Adjoint, Lambdas, fused_sweep
from bimhw.learning.forms.history import from_record
from bimhw.models.bim import complex_state, fused
from bimhw.models.bim.cell import Drive, LayerState, Record
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.loops import cell_is_fused, check_first_order, takes_loops
from bimhw.models.bim.net import BimLayer, BimNet, NetState, Run, RunLayer


def run_compiled(net: BimNet, x: Tensor, state: NetState | None = None) -> Run:
    """Run `BimNet.run` with gradients, several times faster where the loops know the layers, else the same call.

    Args:
        net: the network.
        x: inputs [T, B, n_in].
        state: before the first step; None: zero.
    """
    return net.run(x, state, layer_loop(net.config) if takes_loops(net.readout.weight) else None)


def layer_loop(config: BimConfig) -> RunLayer | None:
    """Return what takes such layers through all steps by compiled loops, or None where autograd's operations do."""
    if config.kind == "complex" and not config.adapt_beta:
        return run_complex
    return run_layer if cell_is_fused(config) else None


def run_complex(layer: BimLayer, drive: Drive, state: LayerState) -> tuple[LayerState, Tensor, Tensor]:
    """Run all steps of a ``complex`` layer from port values, differentiably; as `run_layer`."""
    return complex_state.run(layer, drive, state, _membrane)


def _membrane(layer: complex_state.Layer, q: Tensor, state: LayerState) -> tuple[LayerState, Tensor, Tensor]:
    r, i, v, f, ref, features, spikes = _Membrane.apply(  # type: ignore[no-untyped-call]
        layer, q, state.r, state.i, state.v, state.f, state.ref
    )
    return LayerState(state.x, r, i, v, ref, state.a, f, state.line), features, spikes


class _Membrane(torch.autograd.Function):
    """Kernel and membrane of a layer over all steps, from q [T, B, H], as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, layer: BimLayer, *tensors: Tensor) -> tuple[Tensor, ...]:
        q, r, i, v, f, ref = (t.detach() for t in tensors)
        zero = torch.zeros_like(v)
        old = LayerState(zero, r, i, v, ref, zero, f)
        reads = layer.config.reads_membrane(layer.index)
        new, v_pre, m, s, features = fused.membrane(q, old, layer.config, layer.constants, reads)
        ctx.layer = layer
        ctx.save_for_backward(v_pre, s, *([] if m is None else [m]))
        ctx.mark_non_differentiable(new.ref)
        return new.r, new.i, new.v, new.f, new.ref, features, s

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        check_first_order()
        r, i, v, f, _, signal, message = grads
        v_pre, s, *m = ctx.saved_tensors
        none = torch.zeros_like(s)
        ports = Drive(none, none, None, none)
        record = Record(ports, none, none, none, none, none, none, v_pre, m[0] if m else None, s)
        history = from_record(ctx.layer.config, s.new_zeros(len(s), 0, 0), record, signal)
        end = Lambdas(torch.zeros_like(v), r, i, v, torch.zeros_like(v), f)
        l_q, before = fused_sweep(ctx.layer, history, message, end)
        return None, l_q, before.r, before.i, before.v, before.f, None


def run_layer(layer: BimLayer, drive: Drive, state: LayerState) -> tuple[LayerState, Tensor, Tensor]:
    """Run all steps of a ``diag`` layer from port values, differentiably: state after them, features, spikes [T, B, H]."""
    own = (layer.get_parameter("a_log"), layer.get_parameter("d"))
    x, r, i, v, f, ref, features, spikes = _Loop.apply(  # type: ignore[no-untyped-call]
        layer, drive.z, drive.d, drive.c, *own, state.x, state.r, state.i, state.v, state.f, state.ref
    )
    return LayerState(x, r, i, v, ref, state.a, f, state.line), features, spikes


class _Loop(torch.autograd.Function):
    """Steps of a ``diag`` layer as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, layer: BimLayer, *tensors: Tensor) -> tuple[Tensor, ...]:
        z, d, c, a_log, direct, x, r, i, v, f, ref = (t.detach() for t in tensors)
        old = LayerState(x, r, i, v, ref, torch.zeros_like(v), f)
        membrane = layer.config.reads_membrane(layer.index)
        new, record, features = fused.run(
            Drive(z, d, None, c), a_log, direct, old, layer.config, layer.constants, membrane
        )
        held = [t for t in (*record[1:6], record.v_pre, record.s) if t is not None]
        ctx.layer, ctx.refractory = layer, record.m is not None
        ctx.save_for_backward(z, d, c, *held, *([] if record.m is None else [record.m]))
        ctx.mark_non_differentiable(new.ref)
        return new.x, new.r, new.i, new.v, new.f, new.ref, features, record.s

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        check_first_order()
        x, r, i, v, f, _, signal, message = grads
        z, d, c, delta, abar, gain, x_old, x_new, v_pre, s, *m = ctx.saved_tensors
        record = Record(Drive(z, d, None, c), delta, abar, gain, x_old, x_new, s, v_pre, m[0] if m else None, s)
        history = from_record(ctx.layer.config, z.new_zeros(len(z), 0, 0), record, signal)
        end = Lambdas(x, r, i, v, torch.zeros_like(v), f)
        out = Adjoint(ctx.layer).port_adjoints(history, message, end)
        before = out.start
        ports = (out.values["in"], out.values["delta"], out.values["c"])
        return (None, *ports, out.a_log, out.d, before.x, before.r, before.i, before.v, before.f, None)
