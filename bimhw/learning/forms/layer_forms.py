"""Gradient forms of one layer behind any loss: what a form keeps of the steps, and which gradients it gives when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from bimhw.learning.forms.adjoint import Adjoint
from bimhw.learning.forms.blk import LayerCarry
from bimhw.learning.forms.history import LayerHistory, stack
from bimhw.learning.forms.learner import Gradients, add
from bimhw.learning.forms.rtrl import make_traces
from bimhw.models.bim.cell import Record
from bimhw.models.bim.net import BimLayer


class Eligibility(Protocol):
    """State that a gradient form keeps of the steps so far."""

    def push(self, x: Tensor, record: Record) -> None:
        """Take in a step."""
        ...

    def signal(self, error: Tensor) -> Gradients:
        """Take in dL/dy of the newest step; return the gradients that are due at once."""
        ...

    def settle(self) -> None:
        """Take in what still waits of the steps so far: constants of the layer are about to change."""
        ...

    def due(self) -> bool:
        """Return whether a sweep is due before the next step."""
        ...

    def sweep(self, messages: Tensor | None) -> tuple[Gradients, Tensor | None]:
        """Return the gradients still due and dL/dx [T, B, M] of the swept steps."""
        ...


# (layer, sequences in parallel, block, lookback) -> what it keeps
LayerForm = Callable[[BimLayer, int, int, int], Eligibility]


def forward_traces(layer: BimLayer, batch: int, block: int, lookback: int) -> Eligibility:
    """Return the dense form: traces, a gradient at every step, nothing left over."""
    return _Forward(layer, batch)


def whole_sequence(layer: BimLayer, batch: int, block: int, lookback: int) -> Eligibility:
    """Return the form that sweeps at the end of a sequence."""
    return _Backward(layer, None, 0, None)


def sliding_window(layer: BimLayer, batch: int, block: int, lookback: int) -> Eligibility:
    """Return the form that sweeps every `block` steps over `block` + `lookback` of them."""
    return _Backward(layer, block, lookback, None)


def carried_blocks(layer: BimLayer, batch: int, block: int, lookback: int) -> Eligibility:
    """Return the form that sweeps every `block` steps and carries what entered before."""
    return _Backward(layer, block, 0, LayerCarry(layer, batch))


class _Forward:
    """Dense traces, which move when the error of their step is known, or with the next step where there is none.

    The compiled loops move a trace and weigh it by the error in one pass.
    """

    def __init__(self, layer: BimLayer, batch: int) -> None:
        self.traces = make_traces(layer, batch, keep_v_pre=False)
        self.traces.reset()
        self._waits: tuple[Tensor, Record] | None = None

    def push(self, x: Tensor, record: Record) -> None:
        self.settle()
        self._waits = x, record

    def signal(self, error: Tensor) -> Gradients:
        assert self._waits is not None
        gradients = self.traces.learn(*self._waits, error)
        self._waits = None
        return gradients

    def settle(self) -> None:
        if self._waits is not None:
            self.traces.learn(*self._waits, None)
        self._waits = None

    def due(self) -> bool:
        return False

    def sweep(self, messages: Tensor | None) -> tuple[Gradients, Tensor | None]:
        return {}, None


class _Backward:
    """A history and the sweep back over it: SEQ (no block), TR (block and lookback), BLK (block and a carry)."""

    def __init__(self, layer: BimLayer, block: int | None, lookback: int, carry: LayerCarry | None) -> None:
        self.block, self.lookback, self.carry = block, lookback, carry
        self.adjoint = Adjoint(layer)
        self.history = LayerHistory(layer.config)
        self.since = 0

    def push(self, x: Tensor, record: Record) -> None:
        self.history.push(x, record)
        self.since += 1

    def signal(self, error: Tensor) -> Gradients:
        self.history.signal(error)
        return {}

    def settle(self) -> None:
        pass

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
        self.history.forget(self.lookback)
        self.since = 0
        return gradients, below
