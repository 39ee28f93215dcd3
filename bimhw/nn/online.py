"""Online learning of one BIM layer behind any loss: what `BIM.observe`, `backward` and `finish` do."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from bimhw.learning.forms.credit import direct_gain, input_jacobian
from bimhw.learning.forms.layer_forms import Eligibility, LayerForm
from bimhw.learning.forms.learner import Gradients
from bimhw.learning.forms.norms import NormStatistics
from bimhw.learning.forms.traces import spike_slope
from bimhw.learning.rules.registry import check_kind, forms
from bimhw.models.bim.cell import LayerState, Record
from bimhw.models.bim.loops import check_first_order
from bimhw.models.bim.module import BimModule
from simulator.base.errors import InputError, unknown_name

Credit = Literal["inst", "filt-inst", "filt-win"]


class Online:
    """State of a layer that learns step by step.

    Args:
        layer: the layer.
        form: a form of `bimhw.learning.rules.registry` that serves one layer; ``rtrl`` is the form ``dense``.
        credit: what flows to the input of the same step.
        block: K of ``tr`` and ``blk``.
        lookback: L of ``tr``.

    Raises:
        InputError: an option that is not known or out of range, or a form that the layer's kind does not have.
    """

    def __init__(self, layer: BimModule, form: str, credit: Credit, block: int, lookback: int) -> None:
        if credit not in get_args(Credit):
            raise unknown_name("BIM: credit", credit, get_args(Credit))
        if block < 1 or lookback < 0:
            raise InputError(f"BIM: block {block}, lookback {lookback}", "must be at least 1 and 0", "Give larger ones")
        self.layer, self.form, self.credit = layer, form, credit
        self._steps = block, lookback
        self._make = layer_form(form)
        check_kind(forms()["dense" if form == "rtrl" else form], layer.config.kind, "BIM: rule 'rtrl'")
        self._make(layer, 1, *self._steps)  # forms have limits of their own
        self.norm = NormStatistics(layer) if layer.config.norm == "batch" else None
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence; the running statistics of a norm move by the one before."""
        if self.norm is not None:
            self.norm.move()
        self.state: LayerState | None = None
        self.record: Record | None = None
        self.steps = self.signalled = 0
        self.memory: Eligibility | None = None
        self.began = ""
        self.slopes: list[Tensor] = []  # of the inputs over their learnt delays, of the steps that a sweep may cover

    def observe(self, x: Tensor) -> Tensor:
        """Do one step; see `BIM.observe`."""
        layer = self.layer
        if self.memory is not None and self.memory.due():
            self.finish(None)
        if self.memory is not None and self.norm is not None and self.norm.due:
            self.memory.settle()
            self.norm.move()
        if self.state is not None and len(x) != len(self.state.v):
            raise InputError(
                "BIM: step",
                f"has a batch of {len(x)}, the sequence began with {len(self.state.v)}",
                "Call reset() first",
            )
        with torch.no_grad():
            arriving, line = self._delayed(x)
            drive = layer.drive(arriving)
            if self.state is None or self.memory is None:
                layer.check_own("online learning")
                self.began = _type_of(layer)
                self.state = layer.initial_state(len(x), drive.z)
                self.memory = self._make(layer, len(x), *self._steps)
            elif (now := _type_of(layer)) != self.began:
                raise InputError("BIM: step", f"is {now}, the sequence began as {self.began}", "Call reset() first")
            state, self.record = layer.advance(drive, self.state)
            self.state = state._replace(line=line)
            self.memory.push(arriving.detach().to(drive.z.dtype), self.record)
            if self.norm is not None:
                self.norm.observe(self.record)
        self.steps += 1
        names, parameters = zip(*layer.named_parameters(recurse=False), strict=True)
        return cast(Tensor, _Step.apply(self, self.steps, names, x, *parameters))  # type: ignore[no-untyped-call]

    def _delayed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pass a step through the learnable delays, as it arrives; return also the line of inputs to keep."""
        past = self.state and self.state.line
        learns = self.form != "rtrl" and forms()[self.form].delays
        slope = self.layer.delay_slope(x[None], past) if learns else None
        if slope is not None:
            self.slopes.append(slope[0])
        arriving, line = self.layer.arriving(x[None], past)
        return arriving[0], line

    def backward(self, error: Tensor) -> Tensor | None:
        """Add the gradient of the newest step to ``.grad``; see `BIM.backward`."""
        below, gradients = self.learn(self.steps, error)
        self._accumulate(gradients)
        return below

    def learn(self, step: int, error: Tensor) -> tuple[Tensor | None, Gradients]:
        """Return (dL/dx, gradients by parameter name) of a step, given dL/dy of it.

        Raises:
            InputError: the step is not the newest, or had its error already.
        """
        if self.memory is None or self.record is None or step != self.steps or step == self.signalled:
            raise InputError(
                f"BIM: backward of step {step}",
                f"comes after step {self.steps} was observed, or for the second time",
                "Call backward once a step, before the next observe; sum the losses of a step first",
            )
        self.signalled = step
        error = error.detach().to(self.record.s.dtype)
        gradients = self.memory.signal(error)
        return (None if self.form == "seq" else self._below(error, self.record)), gradients

    def finish(self, messages: Tensor | None) -> Tensor | None:
        """Sweep what is due into ``.grad``; see `BIM.finish`."""
        if self.memory is None:
            return None
        gradients, below = self.memory.sweep(messages)
        axons = self.layer.axons
        if axons is not None and below is not None:
            if self.slopes:
                own = axons.gradient(below, torch.stack(self.slopes[-len(below) :]).to(below.dtype))
                gradients = gradients | {"delay": own}
            kept = self._steps[1] if self.form == "tr" else 0
            self.slopes = self.slopes[-kept:] if kept else []
            below = axons.to_sources(below)
        self._accumulate(gradients)
        return below

    def _below(self, error: Tensor, record: Record) -> Tensor:
        """Compute same-step credit: dL/dx from dL/dy."""
        layer, config = self.layer, self.layer.config
        membrane = layer.output == "membrane"
        at_v = error if membrane else spike_slope(record, config) * error
        if self.credit == "filt-win":
            scale = direct_gain(layer, record) if membrane and config.kind != "s6" else 1.0
            return (scale * at_v) @ layer.weight("in").detach().to(at_v.dtype)
        if self.credit == "filt-inst":
            return input_jacobian(layer, at_v, record)
        decay = config.k_membrane if membrane else config.k_o if layer.output == "filtered" else 0.0
        below, axons = input_jacobian(layer, at_v * (1 - decay), record), layer.axons
        return below if axons is None else below * (axons.steps == 0)  # a delayed input has no part in its own step

    @torch.no_grad()
    def _accumulate(self, gradients: Gradients) -> None:
        for name, g in gradients.items():
            parameter = self.layer.get_parameter(name)
            if parameter.requires_grad:
                g = g.to(parameter.dtype)
                parameter.grad = g.clone() if parameter.grad is None else parameter.grad + g


def _type_of(layer: BimModule) -> str:
    weight = layer.get_parameter("w_in")
    return f"{weight.dtype} on {weight.device}"


def layer_form(name: str) -> LayerForm:
    """Return what a gradient form keeps of one layer, by the form's name (``rtrl``: dense).

    Raises:
        InputError: no such form, or one that a layer alone does not have.
    """
    able = {form.name: form.layer for form in forms().values() if form.layer is not None}
    found = able.get("dense" if name == "rtrl" else name)
    if found is None:
        raise unknown_name("BIM: form", name, ("rtrl", *able))
    return found


class _Step(torch.autograd.Function):
    """A step as a node of autograd's graph: parameters get their gradient from the layer's traces, not from the graph."""

    @staticmethod
    def forward(ctx: Any, online: Online, step: int, names: tuple[str, ...], x: Tensor, *parameters: Tensor) -> Tensor:
        assert online.record is not None and online.state is not None
        ctx.online, ctx.step, ctx.names, ctx.kind = online, step, names, x.dtype
        return online.layer.choose(online.record, online.state).clone()

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Any, ...]:
        check_first_order()
        below, gradients = ctx.online.learn(ctx.step, grad[0])
        own = [gradients.get(name) for name in ctx.names]
        return None, None, None, None if below is None else below.to(ctx.kind), *own
