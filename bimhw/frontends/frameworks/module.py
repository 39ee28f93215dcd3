"""Modules of snnTorch, SpikingJelly, Norse, sinabs and Rockpool -> float network, by a run on a sample.

What a module is, and in which step what arrives, is seen in the run (`trace`); what a neuron layer computes is read off the
object (`readers`). The network is then run in the float engine on the sample and compared with what the module gave.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bimhw.frontends.frameworks.assemble import INPUT, Assembly
from bimhw.frontends.frameworks.cell import Cell, array
from bimhw.frontends.frameworks.expression import Expr
from bimhw.frontends.frameworks.outputs import Answer, find_answer
from bimhw.frontends.frameworks.readers import frameworks, is_cell, known_cells, read_cell, reset_cell
from bimhw.frontends.frameworks.trace import Trace, tensors
from bimhw.frontends.nir.lower import lower
from bimhw.frontends.nir.profile import Profile, Settings
from bimhw.frontends.nir.read import build_graph
from mapping.float_run import record
from mapping.network import Network
from simulator.base.errors import FitError, InputError

Floats = npt.NDArray[np.float64]
_TRACED_STEPS = 4  # of a module that does one step a call: enough to see what comes from the step before
PAYLOAD_BITS = 8  # of a real-valued sample


def is_framework_module(module: object) -> bool:
    """Return whether a torch module holds neuron layers of a framework."""
    return isinstance(module, nn.Module) and any(is_cell(m) for m in nn.Module.modules(module))


@dataclass(frozen=True, eq=False)
class Read:
    """A module that was read.

    Attributes:
        network: float stage.
        x: the sample, [B, T, n].
        wanted, got: what the module and the float engine give, [B, T, n] or [B, n] (a sum over the steps).
    """

    network: Network
    x: Floats
    wanted: Floats
    got: Floats

    @property
    def differ(self) -> int:
        """Values that differ, spikes and counts exactly, others by more than 1e-6 of the largest."""
        room = 0.0 if (self.wanted == np.round(self.wanted)).all() else 1e-6 * (1 + np.abs(self.wanted).max())
        return int((np.abs(self.got - self.wanted) > room).sum())


def module_network(module: nn.Module, sample: Any = None, time_axis: int | None = None) -> Network:
    """Return the float network of a module; arguments and errors as in `read_module`."""
    return read_module(module, sample, time_axis).network


def read_module(module: nn.Module, sample: Any = None, time_axis: int | None = None) -> Read:
    """Read a module of a framework.

    Args:
        module: with neuron layers of one of the frameworks; it is not changed.
        sample: input as its forward takes it; of a module that does one step a call, [T, B, ...].
        time_axis: axis of time in the sample, where it is not what the framework uses.

    Raises:
        InputError: no sample, or one that does not fit.
        FitError: a layer or function that has no form on a chip, by its name.
    """
    if sample is None:
        raise InputError(
            f"module {type(module).__name__!r}",
            "needs a sample input to be read",
            "Give sample=x, as its forward takes it",
        )
    x = torch.as_tensor(np.asarray(sample) if not isinstance(sample, Tensor) else sample).detach()
    double, x = in_double(module, x)
    cells = _cells(double)
    ran = _Run(double, cells, x, time_axis).run()
    return _finish(double, cells, ran)


def in_double(module: nn.Module, x: Tensor) -> tuple[nn.Module, Tensor]:
    """Return a copy of the module in float64 and evaluation, and the sample in float64."""
    for inner in nn.Module.modules(module):
        if is_cell(inner):
            reset_cell(inner)
    try:
        twin = copy.deepcopy(module)
    except (AttributeError, RuntimeError, TypeError):  # sinabs' recurrent layers cannot be copied
        twin = _twin(module)
    nn.Module.double(twin)
    nn.Module.train(twin, False)
    for inner in nn.Module.modules(twin):  # some neurons give float32 spikes whatever they are given
        inner.register_forward_pre_hook(_cast_in, with_kwargs=True)
    return twin, x.to(torch.float64)


def _twin(module: nn.Module) -> nn.Module:
    """Return a copy layer by layer, with parameters and buffers of its own."""
    twin = copy.copy(module)
    own = twin.__dict__
    own["_parameters"] = {
        k: p if p is None else nn.Parameter(p.detach().clone()) for k, p in module._parameters.items()
    }
    own["_buffers"] = {k: b if b is None else b.detach().clone() for k, b in module._buffers.items()}
    own["_modules"] = {k: m if m is None else _twin(m) for k, m in module._modules.items()}
    for name, value in list(own.items()):
        if inspect.ismethod(value) and value.__self__ is module:
            own[name] = value.__func__.__get__(twin)
    return twin


def _cast_in(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    def cast(value: Any) -> Any:
        return value.double() if isinstance(value, Tensor) and value.dtype == torch.float32 else value

    return tuple(cast(a) for a in args), {k: cast(v) for k, v in kwargs.items()}


def _cells(module: nn.Module) -> dict[str, Cell]:
    found = {
        name or "module": read_cell(name or "module", m) for name, m in nn.Module.named_modules(module) if is_cell(m)
    }
    if not found:
        known = "; ".join(f"{f}: {', '.join(c)}" for f, c in known_cells().items())
        raise FitError(f"module {type(module).__name__!r}", "holds no neuron layer that is known", f"Known: {known}")
    return found


@dataclass(frozen=True, eq=False)
class _Ran:
    trace: Trace
    answer: Answer
    x: Floats  # [B, T, *features]
    notes: tuple[str, ...]


class _Run:
    def __init__(self, module: nn.Module, cells: Mapping[str, Cell], x: Tensor, time_axis: int | None) -> None:
        self.module, self.cells, self.x, self.time_axis = module, cells, x, time_axis

    def run(self) -> _Ran:
        whole = {c.time for c in self.cells.values()} - {"step"}
        if whole:
            return self._at_once("merged" if "merged" in whole else "BT" if "BT" in whole else "TB")
        try:
            trace, out = self._watch(self.x, Expr("input", (), "?", tuple(self.x.shape)))
            calls = {len(c) for c in trace.arrived.values()}
        except FitError:
            raise
        except (
            RuntimeError,
            ValueError,
            TypeError,
            IndexError,
        ):  # the sample has a time axis that the module does not take
            calls = {1}
        if calls == {1}:
            return self._step_by_step()
        return self._loop(trace, out)

    def _watch(self, x: Tensor, expr: Expr, *more: Any) -> tuple[Trace, Any]:
        self._reset()
        trace = self._trace()
        trace.keep(x, expr)
        with trace.watching(self.module):
            return trace, self.module(x, *more)

    def _trace(self) -> Trace:
        names = {m: n or "module" for n, m in nn.Module.named_modules(self.module)}
        return Trace(names, self.cells)

    def _reset(self) -> None:
        for m in nn.Module.modules(self.module):
            if is_cell(m):
                reset_cell(m)

    def _at_once(self, axes: str) -> _Ran:
        """A module whose layers take all steps at once."""
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
        return _Ran(trace, answer, values, tuple(notes))

    def _merged_sizes(self) -> tuple[int, int]:
        """(B, T) of a module of sinabs' Squeeze layers."""
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

    def _loop(self, trace: Trace, out: Any) -> _Ran:
        """A module whose forward walks through the steps."""
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
        return _Ran(trace, find_answer(trace, out, self.cells, steps), x, notes)

    def _step_by_step(self) -> _Ran:
        """A module that does one step a call: called for every step of the sample [T, B, ...]."""
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
        return _Ran(trace, answer, array(walk).swapaxes(0, 1), (note,))

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


def _finish(module: nn.Module, cells: Mapping[str, Cell], ran: _Ran) -> Read:
    trace, answer = ran.trace, ran.answer
    modules = dict(nn.Module.named_modules(module))
    binary = bool(((ran.x == 0) | (ran.x == 1)).all())
    built = Assembly(modules, dict(cells), binary)
    for name in trace.arrived:
        shape = next(e.features for e in trace.known.values() if e.op == "spike" and e.what == name)
        built.cell(name, trace.arrived[name], shape)
    built.output(answer.expr, answer.step, answer.membrane)
    width = built.input_shape
    if width is None:
        raise InputError("sample", "does not reach a neuron layer", "Give the module's own input")
    nodes = {INPUT: ("Input", {"shape": np.array(width)}), **built.nodes}
    graph = build_graph(nodes, built.edges, type(module).__name__)
    output = "membrane" if answer.membrane else "counts"
    source = next(p for p in frameworks() if any(c.__module__.split(".")[0] == p for c in _classes(module)))
    profile = Profile(source, Settings(1.0), output=output)
    network = lower(graph, profile, {n: c.form() for n, c in cells.items()})
    x = ran.x.reshape(*ran.x.shape[:2], math.prod(width))
    got = _float_answer(network, x, answer)
    read = Read(network, x, answer.wanted.reshape(got.shape), got)
    notes = [*ran.notes, *(n for c in cells.values() for n in c.notes), *answer.notes]
    notes.append(
        f"float engine on the sample: {read.differ} of {read.wanted.size} outputs differ from the module's own"
    )
    meta = dict(network.meta) | {"notes": [*network.meta["notes"], *notes], "source": source}
    scale = input_scale(x)
    meta["input"] = dict(meta["input"]) | {"scale": scale}
    done = replace(network, meta=meta)
    return replace(read, network=replace(done, samples=payloads(done, x)))


def _classes(module: nn.Module) -> list[type]:
    return [c for m in nn.Module.modules(module) if is_cell(m) for c in type(m).__mro__]


def _float_answer(network: Network, x: Floats, answer: Answer) -> Floats:
    name = network.meta["outputs"][0]
    what = "v" if answer.membrane else "out"
    layer = network.population(name).layer
    steps = x.shape[1]
    shown = record(network, {INPUT: x}, steps + layer, [(name, what)])[name, what][:, layer:]
    return shown.sum(axis=1) * answer.factor if answer.over_time else shown


def input_scale(x: Floats) -> float:
    """Return the value of a payload of 1: 1 for whole numbers, else a power of two that keeps 8 bits of the largest value."""
    if (x == np.round(x)).all():
        return 1.0
    largest = float(np.abs(x).max())
    return 2.0 ** (math.floor(math.log2(largest)) + 2 - PAYLOAD_BITS)


def payloads(network: Network, x: Floats) -> npt.NDArray[np.int32]:
    """Return values [B, T, n] as integer payloads of a network's input."""
    scaled: npt.NDArray[np.int32] = np.round(x / network.meta["input"]["scale"]).astype(np.int32)
    return scaled
