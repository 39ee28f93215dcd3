"""Run a module on a sample as its layers take it: all steps at once, in a loop of its own, or one step a call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bimhw.frontends.frameworks.cell import Cell, array
from bimhw.frontends.frameworks.expression import Expr, Nest, within
from bimhw.frontends.frameworks.outputs import Answer, find_answers
from bimhw.frontends.frameworks.readers import reset_all
from bimhw.frontends.frameworks.trace import Trace, tensors
from bimhw.frontends.frameworks.watch import watching
from simulator.base.arrays import Floats
from simulator.base.errors import FitError, InputError

_TRACED_STEPS = 4  # of a module that does one step a call: enough to see what comes from the step before
WRONG_SHAPE = (RuntimeError, ValueError, TypeError, IndexError)  # of a module that does not take its sample


@dataclass(frozen=True, eq=False)
class Ran:
    """A run.

    Attributes:
        trace: what it showed.
        answers: which of the results are read.
        x: input -> the sample, [B, T, *features].
        notes: how the sample was read.
    """

    trace: Trace
    answers: tuple[Answer, ...]
    x: Mapping[str, Floats]
    notes: tuple[str, ...]


class Run:
    """A module, its neuron layers and a sample of each input in the order of its forward, to be run once."""

    def __init__(
        self, module: nn.Module, cells: Mapping[str, Cell], inputs: Mapping[str, Tensor], time_axis: int | None
    ) -> None:
        self.module, self.cells, self.inputs, self.time_axis = module, cells, dict(inputs), time_axis

    def run(self) -> Ran:
        """Run it in the way that its layers ask for."""
        whole = {c.time for c in self.cells.values()} - {"step"}
        if whole:
            axes = "merged" if "merged" in whole else "BT" if "BT" in whole else "TB"
            return self._still() or self._at_once(axes)
        try:
            trace, out = self._watch("?")
            calls = {len(c) for c in trace.arrived.values()}
        except FitError:
            raise
        except WRONG_SHAPE:  # the sample has a time axis that the module does not take
            calls = {1}
        if calls == {1}:
            return self._step_by_step()
        return self._loop(*(self._walked(trace, out) or (trace, out)))

    def _walked(self, trace: Trace, out: Nest) -> tuple[Trace, Nest] | None:
        """Return the run with the sample's axes known, where the forward joins batch and time before it walks."""
        if trace.time_axes or not _unread(trace):
            return None
        steps = len(next(iter(trace.arrived.values())))
        for axes, axis in (("TB", 0), ("BT", 1)):
            fits = all(x.ndim > 2 and x.shape[axis] == steps for x in self.inputs.values())
            if self.time_axis in (None, axis) and fits:
                found, result = self._watch(axes)
                found.time_axes.update(dict.fromkeys(self.inputs, axis))
                if not _unread(found):
                    return found, result
        return None

    def _watch(self, axes: str, sizes: tuple[int, int] | None = None, still: bool = False) -> tuple[Trace, Any]:
        """Run it on the whole sample, whose axes are these; `sizes` (B, T) of a merged one."""
        self._reset()
        trace = self._trace()
        trace.still = still
        for name, x in self.inputs.items():
            shape = tuple(x.shape)
            expr = Expr("input", (), axes, shape, name)
            if sizes is not None:
                whole = Expr("input", (), "BT", (*sizes, *shape[1:]), name)
                expr = Expr("merge", (whole,), "merged", shape, ("BT", sizes))
            trace.keep(x, expr)
        with watching(trace, self.module):
            return trace, self.module(*self.inputs.values())

    def _trace(self) -> Trace:
        names = {m: n or "module" for n, m in nn.Module.named_modules(self.module)}
        return Trace(names, self.cells)

    def _reset(self) -> None:
        reset_all(self.module)

    def _at_once(self, axes: str) -> Ran:
        """Run a module whose layers take all steps at once."""
        if self.time_axis is not None and axes != "merged":
            axes = "TB" if self.time_axis == 0 else "BT"
        notes = [f"the sample is read as [{', '.join({'TB': 'TB', 'BT': 'BT'}.get(axes, 'M'))}, ...]"]
        sizes = None
        if axes == "merged":
            sizes = self._merged_sizes()
            notes = [f"the sample is read as [B * T, ...], B = {sizes[0]}"]
        trace, out = self._watch(axes, sizes)
        self._check_called(trace)
        answers = find_answers(trace, out, self.cells, None)
        values = {n: array(x if sizes is None else x.reshape(*sizes, *x.shape[1:])) for n, x in self.inputs.items()}
        values = {n: v.swapaxes(0, 1) if axes == "TB" else v for n, v in values.items()}
        return Ran(trace, answers, values, tuple(notes))

    def _still(self) -> Ran | None:
        """Run a module that repeats a still sample [B, ...] itself, along an axis of time; return None where it does not."""
        try:
            trace, out = self._watch("B", still=True)
            answers = find_answers(trace, out, self.cells, None)
        except (FitError, *WRONG_SHAPE):
            return None
        came = [c for calls in trace.arrived.values() for c in calls]
        if _unread(trace) or any(c.axes not in ("TB", "BT") for c in came):
            return None
        self._check_called(trace)
        first = next(iter(trace.arrived.values()))[0]
        steps = first.shape[0 if first.axes == "TB" else 1]
        note = f"the forward gives the same input in each of its {steps} steps"
        return Ran(trace, answers, {n: _held(x, steps) for n, x in self.inputs.items()}, (note,))

    def _merged_sizes(self) -> tuple[int, int]:
        """Return (B, T) of a module of sinabs' Squeeze layers."""
        for m in nn.Module.modules(self.module):
            batch, steps = getattr(m, "batch_size", None), getattr(m, "num_timesteps", None)
            n = next(iter(self.inputs.values())).shape[0]
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
        values, notes = {}, []
        for name, x in self.inputs.items():
            axis = trace.time_axes.get(name)
            what = "the sample" if len(self.inputs) == 1 else f"input {name!r}"
            if axis is None:
                same = "the same input" if len(self.inputs) == 1 else f"the same {name!r}"
                notes.append(f"the forward gives {same} in each of its {steps} steps")
                values[name] = _held(x, steps)
            else:
                notes.append(f"the forward walks along axis {axis} of {what}")
                values[name] = np.moveaxis(np.moveaxis(array(x), axis, 0), 0, 1)
        return Ran(trace, find_answers(trace, out, self.cells, steps), values, tuple(notes))

    def _step_by_step(self) -> Ran:
        """Run a module that does one step a call: once for every step of the sample [T, B, ...]."""
        axis = self.time_axis or 0
        walks = {name: x.movedim(axis, 0) for name, x in self.inputs.items()}
        steps = self._steps(walks)
        self._reset()
        trace = self._trace()
        state: list[Any] = []
        outs: list[Any] = []
        takes_state = len(parameters(self.module)) > len(walks)
        for t in range(steps):
            xs = {name: walk[t].clone() for name, walk in walks.items()}
            if t < _TRACED_STEPS:
                for name, x in xs.items():
                    trace.keep(x, Expr("input", (), "B", tuple(x.shape), name, t))
                with watching(trace, self.module):
                    out = self.module(*xs.values(), *state)
            else:
                with torch.no_grad():
                    out = self.module(*xs.values(), *state)
            if takes_state and isinstance(out, tuple) and len(out) == 2:
                state = [out[1]]
            outs.append(out)
        self._check_called(trace)
        traced = min(_TRACED_STEPS, steps)
        answers = find_answers(trace, outs[:traced], self.cells, traced)
        answers = tuple(
            replace(a, wanted=np.stack([array(tensors(o)[a.place]) for o in outs], axis=1)) for a in answers
        )
        note = "the module does one step a call; the sample is read as [T, B, ...]"
        return Ran(trace, answers, {n: array(w).swapaxes(0, 1) for n, w in walks.items()}, (note,))

    def _steps(self, walks: Mapping[str, Tensor]) -> int:
        """Return T of a sample [T, B, ...] of each input."""
        for name, walk in walks.items():
            if walk.ndim < 3:
                where = "sample" if len(walks) == 1 else f"sample of {name!r}"
                shape = tuple(self.inputs[name].shape)
                raise InputError(where, f"has shape {shape}, but the module does one step a call", "Give [T, B, ...]")
        lengths = {int(w.shape[0]) for w in walks.values()}
        if len(lengths) > 1:
            raise InputError("sample", f"has inputs of {sorted(lengths)} steps", "Bring them to one length")
        return lengths.pop()

    def _check_called(self, trace: Trace) -> None:
        unused = [n for n in self.cells if n not in trace.arrived]
        calls = {n: len(c) for n, c in trace.arrived.items()}
        if unused:
            raise FitError(f"layer {unused[0]!r}", "is not called in a run of the module", "Take it out")
        alike = {
            (self.cells[n].time == "step", k) for n, k in calls.items()
        }  # a layer over time is called once for all steps
        if len(alike) != len({step for step, _ in alike}):
            raise FitError("neuron layers", f"are called different numbers of times: {calls}", "Call each once a step")


def _unread(trace: Trace) -> bool:
    """Return whether a function of no known form feeds a neuron layer."""
    return any(e.op == "unknown" for calls in trace.arrived.values() for c in calls for e in within(c))


def _held(x: Tensor, steps: int) -> Floats:
    """Return a still sample [B, ...] as [B, T, ...]."""
    return np.repeat(array(x)[:, None], steps, axis=1)


def parameters(module: nn.Module) -> list[str]:
    """Return the names of what a forward takes."""
    return list(inspect.signature(module.forward).parameters)
