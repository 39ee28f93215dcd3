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
from bimhw.frontends.frameworks.cell import Cell
from bimhw.frontends.frameworks.outputs import Answer
from bimhw.frontends.frameworks.readers import frameworks, is_cell, known_cells, read_cell, reset_cell
from bimhw.frontends.frameworks.run import WRONG_SHAPE, Ran, Run
from bimhw.frontends.nir.lower import lower
from bimhw.frontends.nir.profile import Profile, Settings
from bimhw.frontends.nir.read import build_graph
from mapping.float_run import record
from mapping.network import Network
from simulator.base.errors import FitError, InputError

Floats = npt.NDArray[np.float64]
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
    if isinstance(sample, tuple | list) and any(isinstance(s, Tensor | np.ndarray) for s in sample):
        raise InputError(
            "sample",
            f"holds {len(sample)} inputs; a module is read with one",
            "Join them (torch.cat) and take slices of it in forward, or export a .nir file with an Input for each",
        )
    x = torch.as_tensor(np.asarray(sample) if not isinstance(sample, Tensor) else sample).detach()
    double, x = in_double(module, x)
    cells = _cells(double)
    try:
        ran = Run(double, cells, x, time_axis).run()
    except WRONG_SHAPE as error:
        problem = f"of shape {list(x.shape)} is not taken by the module: {str(error).splitlines()[0][:200]}"
        raise InputError("sample", problem, "Give it as the module's forward takes it") from error
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


def _finish(module: nn.Module, cells: Mapping[str, Cell], ran: Ran) -> Read:
    trace, answer = ran.trace, ran.answer
    modules = dict(nn.Module.named_modules(module)) | trace.function_layers
    binary = bool(((ran.x == 0) | (ran.x == 1)).all())
    built = Assembly(modules, dict(cells), binary)
    for name in trace.arrived:
        built.cell(name, trace.arrived[name], trace.shapes[name])
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
    if answer.over_time == "max" and "output" in meta:
        meta["output"] = dict(meta["output"]) | {"reduce": "max"}
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
    return answer.reduce(shown)


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
