"""Online learning of one BIM layer behind any loss: what `BIM.observe`, `backward` and `finish` do."""

from __future__ import annotations

from typing import Any, Literal, Protocol, cast, get_args

import torch
from torch import Tensor

from bimhw.learning.forms.adjoint import Adjoint
from bimhw.learning.forms.blk import LayerCarry
from bimhw.learning.forms.credit import input_jacobian
from bimhw.learning.forms.history import LayerHistory, stack
from bimhw.learning.forms.learner import Gradients, add
from bimhw.learning.forms.traces import LayerTraces, spike_slope
from bimhw.models.bim.cell import LayerState, Record
from bimhw.models.bim.module import BimModule
from simulator.base.errors import InputError

Form = Literal["rtrl", "seq", "tr", "blk"]
Credit = Literal["inst", "filt-inst", "filt-win"]


class Eligibility(Protocol):
    """What a gradient form keeps of the steps so far."""

    def push(self, x: Tensor, record: Record) -> None:
        """Take in a step."""
        ...

    def signal(self, error: Tensor) -> Gradients:
        """Take in dL/dy of the newest step; return the gradients that are due at once."""
        ...

    def due(self) -> bool:
        """Return whether a sweep is due before the next step."""
        ...

    def sweep(self, messages: Tensor | None) -> tuple[Gradients, Tensor | None]:
        """Return the gradients still due and dL/dx [T, B, M] of the swept steps."""
        ...


class _Forward:
    """Dense traces: a gradient at every step, nothing left over."""

    def __init__(self, layer: BimModule, batch: int) -> None:
        self.traces = LayerTraces(layer, batch)

    def push(self, x: Tensor, record: Record) -> None:
        self.traces.advance(x, record)

    def signal(self, error: Tensor) -> Gradients:
        return self.traces.gradient(error, self.traces.ef)

    def due(self) -> bool:
        return False

    def sweep(self, messages: Tensor | None) -> tuple[Gradients, Tensor | None]:
        return {}, None


class _Backward:
    """A history and the sweep back over it: SEQ (no block), TR (block and lookback), BLK (block and a carry)."""

    def __init__(
        self, layer: BimModule, batch: int, block: int | None, lookback: int, carry: LayerCarry | None
    ) -> None:
        self.layer, self.block, self.lookback, self.carry = layer, block, lookback, carry
        self.adjoint = Adjoint(layer)
        self.history = LayerHistory(layer.config)
        self.since = 0

    def push(self, x: Tensor, record: Record) -> None:
        self.history.push(x, record)
        self.since += 1

    def signal(self, error: Tensor) -> Gradients:
        self.history.signal(error)
        return {}

    def due(self) -> bool:
        return self.block is not None and self.since == self.block

    def sweep(self, messages: Tensor | None) -> tuple[Gradients, Tensor | None]:
        if not self.since:
            return {}, None
        gradients, _, ports = self.adjoint.sweep_stacked(stack(self.history), messages)
        if self.carry is not None:
            add(gradients, self.carry.gradient(ports.start))
            self.carry.advance(self.history)
        below = self.adjoint.to_below(ports)
        self.history.drop(self.lookback)
        self.history.deltas = [torch.zeros_like(d) for d in self.history.deltas]
        self.since = 0
        return gradients, below


class Online:
    """State of a layer that learns step by step.

    Args:
        layer: the layer.
        form: ``rtrl``, ``seq``, ``tr`` or ``blk``.
        credit: what flows to the input of the same step.
        block: K of ``tr`` and ``blk``.
        lookback: L of ``tr``.

    Raises:
        InputError: an option that is not known or out of range, or a form that the layer's kind does not have.
    """

    def __init__(self, layer: BimModule, form: Form, credit: Credit, block: int, lookback: int) -> None:
        for name, value, known in (("form", form, get_args(Form)), ("credit", credit, get_args(Credit))):
            if value not in known:
                raise InputError(f"BIM: {name} {value!r}", "is not known", f"One of {', '.join(known)}")
        if block < 1 or lookback < 0:
            raise InputError(f"BIM: block {block}, lookback {lookback}", "must be at least 1 and 0", "Give larger ones")
        self.layer, self.form, self.credit, self.block, self.lookback = layer, form, credit, block, lookback
        if form == "blk":
            LayerCarry(layer, 1)  # refuses the kinds that have no carry
        self.reset()

    def reset(self) -> None:
        """Begin a new sequence."""
        self.state: LayerState | None = None
        self.record: Record | None = None
        self.steps = self.signalled = 0
        self.memory: Eligibility | None = None

    def observe(self, x: Tensor) -> Tensor:
        """Do one step; see `BIM.observe`."""
        layer = self.layer
        if self.memory is not None and self.memory.due():
            self.finish(None)
        with torch.no_grad():
            drive = layer.drive(x)
            if self.state is None or self.memory is None:
                self.state = layer.initial_state(len(x), drive.z)
                self.memory = self._memory(len(x))
            elif len(x) != len(self.state.v):
                raise InputError(
                    "BIM: step",
                    f"has a batch of {len(x)}, the sequence began with {len(self.state.v)}",
                    "Call reset() first",
                )
            self.state, self.record = layer.advance(drive, self.state)
            self.memory.push(x.detach().to(drive.z.dtype), self.record)
        self.steps += 1
        names, parameters = zip(*layer.named_parameters(recurse=False), strict=True)
        return cast(Tensor, _Step.apply(self, self.steps, names, x, *parameters))  # type: ignore[no-untyped-call]

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
        self._accumulate(gradients)
        return below

    def _memory(self, batch: int) -> Eligibility:
        if self.form == "rtrl":
            return _Forward(self.layer, batch)
        block = None if self.form == "seq" else self.block
        carry = LayerCarry(self.layer, batch) if self.form == "blk" else None
        return _Backward(self.layer, batch, block, self.lookback if self.form == "tr" else 0, carry)

    def _below(self, error: Tensor, record: Record) -> Tensor:
        """Same-step credit: dL/dx from dL/dy."""
        layer, config = self.layer, self.layer.config
        membrane = layer.output == "membrane"
        at_v = error if membrane else spike_slope(record, config) * error
        if self.credit == "filt-win":
            scale = (record.drive.c + layer.get_parameter("d").detach()) if membrane and config.kind == "diag" else 1.0
            return (scale * at_v) @ layer.weight("in").detach()
        decay = config.k_membrane if membrane else config.k_o if layer.output == "filtered" else 0.0
        return input_jacobian(layer, at_v * (1 - decay) if self.credit == "inst" else at_v, record)

    @torch.no_grad()
    def _accumulate(self, gradients: Gradients) -> None:
        for name, g in gradients.items():
            parameter = self.layer.get_parameter(name)
            if parameter.requires_grad:
                g = g.to(parameter.dtype)
                parameter.grad = g.clone() if parameter.grad is None else parameter.grad + g


class _Step(torch.autograd.Function):
    """A step as a node of autograd's graph: parameters get their gradient from the layer's traces, not from the graph."""

    @staticmethod
    def forward(ctx: Any, online: Online, step: int, names: tuple[str, ...], x: Tensor, *parameters: Tensor) -> Tensor:
        assert online.record is not None and online.state is not None
        ctx.online, ctx.step, ctx.names, ctx.kind = online, step, names, x.dtype
        return online.layer.choose(online.record, online.state).clone()

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Any, ...]:
        below, gradients = ctx.online.learn(ctx.step, grad[0])
        own = [gradients.get(name) for name in ctx.names]
        return None, None, None, None if below is None else below.to(ctx.kind), *own
