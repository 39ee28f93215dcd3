"""Run a module on a sample as its layers take it: all steps at once, in a loop of its own, or one step a call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bimhw.frontends.frameworks.cell import Cell, array
from bimhw.frontends.frameworks.expression import Expr, within
from bimhw.frontends.frameworks.outputs import Answer, find_answer
from bimhw.frontends.frameworks.readers import is_cell, reset_cell
from bimhw.frontends.frameworks.trace import Trace, tensors
from simulator.base.errors import FitError, InputError

Floats = npt.NDArray[np.float64]
_TRACED_STEPS = 4  # of a module that does one step a call: enough to see what comes from the step before
WRONG_SHAPE = (RuntimeError, ValueError, TypeError, IndexError)  # of a module that does not take its sample


@dataclass(frozen=True, eq=False)
class Ran:
    """A run.

    Attributes:
        trace: what it showed.
        answer: which of the results is read.
        x: the sample, [B, T, *features].
        notes: how the sample was read.
    """

    trace: Trace
    answer: Answer
    x: Floats
    notes: tuple[str, ...]


class Run:
    """A module, its neuron layers and a sample, to be run once."""

    def __init__(self, module: nn.Module, cells: Mapping[str, Cell], x: Tensor, time_axis: int | None) -> None:
        self.module, self.cells, self.x, self.time_axis = module, cells, x, time_axis

    def run(self) -> Ran:
        """Run it in the way that its layers ask for."""
        whole = {c.time for c in self.cells.values()} - {"step"}
        if whole:
            axes = "merged" if "merged" in whole else "BT" if "BT" in whole else "TB"
            return self._still() or self._at_once(axes)
        try:
            trace, out = self._watch(self.x, Expr("input", (), "?", tuple(self.x.shape)))
            calls = {len(c) for c in trace.arrived.values()}
        except FitError:
            raise
        except WRONG_SHAPE:  # the sample has a time axis that the module does not take
            calls = {1}
        if calls == {1}:
            return self._step_by_step()
        return self._loop(trace, out)

    def _watch(self, x: Tensor, expr: Expr, still: bool = False) -> tuple[Trace, Any]:
        self._reset()
        trace = self._trace()
        trace.still = still
        trace.keep(x, expr)
        with trace.watching(self.module):
            return trace, self.module(x)

    def _trace(self) -> Trace:
        names = {m: n or "module" for n, m in nn.Module.named_modules(self.module)}
        return Trace(names, self.cells)

    def _reset(self) -> None:
        for m in nn.Module.modules(self.module):
            if is_cell(m):
                reset_cell(m)

    def _at_once(self, axes: str) -> Ran:
        """Run a module whose layers take all steps at once."""
        if self.time_axis is not None and axes != "merged":
            axes = "TB" if self.time_axis == 0 else "BT"
        notes = [f"the sample is read as [{', '.join({'TB': 'TB', 'BT': 'BT'}.get(axes, 'M'))}, ...]"]
        x = self.x
        shape = tuple(x.shape)
        expr = Expr("input", (), axes, shape)
        if axes == "merged":
            sizes = self._merged_sizes()
            notes = [f"the sample is read as [B * T, ...], B = {sizes[0]}"]
            expr = Expr("merge", (Expr("input", (), "BT", (*sizes, *shape[1:])),), "merged", shape, ("BT", sizes))
        trace, out = self._watch(x, expr)
        self._check_called(trace)
        answer = find_answer(trace, out, self.cells, None)
        values = array(x.reshape(*self._merged_sizes(), *shape[1:]) if axes == "merged" else x)
        values = values.swapaxes(0, 1) if axes == "TB" else values
        return Ran(trace, answer, values, tuple(notes))

    def _still(self) -> Ran | None:
        """Run a module that repeats a still sample [B, ...] itself, along an axis of time; return None where it does not."""
        try:
            trace, out = self._watch(self.x, Expr("input", (), "B", tuple(self.x.shape)), still=True)
            answer = find_answer(trace, out, self.cells, None)
        except (FitError, *WRONG_SHAPE):
            return None
        came = [c for calls in trace.arrived.values() for c in calls]
        if any(c.axes not in ("TB", "BT") or any(e.op == "unknown" for e in within(c)) for c in came):
            return None
        self._check_called(trace)
        first = next(iter(trace.arrived.values()))[0]
        steps = first.shape[0 if first.axes == "TB" else 1]
        note = f"the forward gives the same input in each of its {steps} steps"
        return Ran(trace, answer, np.repeat(array(self.x)[:, None], steps, axis=1), (note,))

    def _merged_sizes(self) -> tuple[int, int]:
        """Return (B, T) of a module of sinabs' Squeeze layers."""
        for m in nn.Module.modules(self.module):
            batch, steps = getattr(m, "batch_size", None), getattr(m, "num_timesteps", None)
            n = self.x.shape[0]
            if isinstance(batch, int) and batch > 0:
                return batch, n // batch
            if isinstance(steps, int) and steps > 0:
                return n // steps, steps
        raise InputError(
            f"module {type(self.module).__name__!r}", "does not tell its batch size", "Give its layers one"
        )

    def _loop(self, trace: Trace, out: Any) -> Ran:
        """Run a module whose forward walks through the steps."""
        self._check_called(trace)
        steps = len(next(iter(trace.arrived.values())))
        x = array(self.x)
        if trace.time_axis is None:
            notes = (f"the forward gives the same input in each of its {steps} steps",)
            x = np.repeat(x[:, None], steps, axis=1)
        else:
            notes = (f"the forward walks along axis {trace.time_axis} of the sample",)
            x = np.moveaxis(x, trace.time_axis, 1 if trace.time_axis else 0)
            x = x.swapaxes(0, 1) if trace.time_axis == 0 else x
        return Ran(trace, find_answer(trace, out, self.cells, steps), x, notes)

    def _step_by_step(self) -> Ran:
        """Run a module that does one step a call: once for every step of the sample [T, B, ...]."""
        axis = self.time_axis or 0
        walk = self.x.movedim(axis, 0)
        if walk.ndim < 3:
            raise InputError(
                "sample", f"has shape {tuple(self.x.shape)}, but the module does one step a call", "Give [T, B, ...]"
            )
        self._reset()
        trace = self._trace()
        state: list[Any] = []
        outs: list[Any] = []
        takes_state = _parameters(self.module) > 1
        for t in range(walk.shape[0]):
            x = walk[t].clone()
            if t < _TRACED_STEPS:
                trace.keep(x, Expr("input", (), "B", tuple(x.shape), None, t))
                with trace.watching(self.module):
                    out = self.module(x, *state)
            else:
                with torch.no_grad():
                    out = self.module(x, *state)
            if takes_state and isinstance(out, tuple) and len(out) == 2:
                state = [out[1]]
            outs.append(out)
        self._check_called(trace)
        answer = find_answer(trace, outs[: _traced(walk)], self.cells, _traced(walk))
        rows = [tensors(o)[answer.place] for o in outs]
        answer = replace(answer, wanted=np.stack([array(r) for r in rows], axis=1))
        note = "the module does one step a call; the sample is read as [T, B, ...]"
        return Ran(trace, answer, array(walk).swapaxes(0, 1), (note,))

    def _check_called(self, trace: Trace) -> None:
        unused = [n for n in self.cells if n not in trace.arrived]
        calls = {n: len(c) for n, c in trace.arrived.items()}
        if unused:
            raise FitError(f"layer {unused[0]!r}", "is not called in a run of the module", "Take it out")
        if len(set(calls.values())) != 1:
            raise FitError("neuron layers", f"are called different numbers of times: {calls}", "Call each once a step")


def _traced(walk: Tensor) -> int:
    return min(_TRACED_STEPS, int(walk.shape[0]))


def _parameters(module: nn.Module) -> int:
    return len(inspect.signature(module.forward).parameters)
