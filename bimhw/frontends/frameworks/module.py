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
import torch
from torch import Tensor, nn

from bimhw.frontends.frameworks.assemble import OUTPUT, Assembly
from bimhw.frontends.frameworks.cell import Cell
from bimhw.frontends.frameworks.expression import Nest
from bimhw.frontends.frameworks.layers import does_nothing
from bimhw.frontends.frameworks.nodes import INPUT
from bimhw.frontends.frameworks.outputs import Answer
from bimhw.frontends.frameworks.readers import frameworks, is_cell, keeps_state, known_cells, read_cell, reset_all
from bimhw.frontends.frameworks.run import WRONG_SHAPE, Ran, Run, parameters
from bimhw.frontends.nir.graph import NirGraph
from bimhw.frontends.nir.lower import lower, outline
from bimhw.frontends.nir.profile import Profile, Settings
from bimhw.frontends.nir.read import build_graph
from mapping.float_run import record
from mapping.network import Network
from simulator.base.arrays import I32, Floats
from simulator.base.errors import FitError, InputError
from simulator.program.entries import column_scales, input_populations, scale_facts
from simulator.program.meta import input_entry

PAYLOAD_BITS = 8  # of a real-valued sample


def is_framework_module(module: object) -> bool:
    """Return whether a torch module holds neuron layers of a framework."""
    return isinstance(module, nn.Module) and any(is_cell(m) for m in nn.Module.modules(module))


@dataclass(frozen=True, eq=False)
class Read:
    """A module that was read.

    Attributes:
        network: float stage.
        x: the sample, [B, T, n]; several inputs side by side.
        outputs: output -> what the module and the float engine give, [B, T, n] or [B, n] (a sum over the steps).
    """

    network: Network
    x: Floats
    outputs: Mapping[str, tuple[Floats, Floats]]

    @property
    def wanted(self) -> Floats:
        """First result of the module."""
        return next(iter(self.outputs.values()))[0]

    @property
    def got(self) -> Floats:
        """Same result from the float engine."""
        return next(iter(self.outputs.values()))[1]

    @property
    def differ(self) -> int:
        """Values that differ, spikes and counts exactly, others by more than 1e-6 of the largest."""
        return sum(_differ(wanted, got) for wanted, got in self.outputs.values())

    @property
    def size(self) -> int:
        """Values that were compared."""
        return sum(wanted.size for wanted, _ in self.outputs.values())


def _differ(wanted: Floats, got: Floats) -> int:
    room = 0.0 if (wanted == np.round(wanted)).all() else 1e-6 * (1 + np.abs(wanted).max())
    return int((np.abs(got - wanted) > room).sum())


def module_network(module: nn.Module, sample: Nest = None, time_axis: int | None = None) -> Network:
    """Return the float network of a module; arguments and errors as in `read_module`."""
    return read_module(module, sample, time_axis).network


def read_module(module: nn.Module, sample: Nest = None, time_axis: int | None = None) -> Read:
    """Read a module of a framework.

    Args:
        module: with neuron layers of one of the frameworks; it is not changed.
        sample: input as its forward takes it; of a module that does one step a call, [T, B, ...]. Several inputs are a
            tuple in the order of its forward, or a dict by the names there.
        time_axis: axis of time in the sample, where it is not what the framework uses.

    Raises:
        InputError: no sample, or one that does not fit.
        FitError: a layer or function that has no form on a chip, by its name.
    """
    return _finish(*_run(module, sample, time_axis))


def module_outline(module: nn.Module, sample: Nest = None, time_axis: int | None = None) -> Network | None:
    """Return the network with its convolutions counted, not unrolled, where that saves much, else None."""
    double, cells, ran = _run(module, sample, time_axis)
    built, outputs = _assembled(double, cells, ran)
    return outline(*_graph(double, ran, built, outputs), built.forms)


def _run(module: nn.Module, sample: Nest, time_axis: int | None) -> tuple[nn.Module, Mapping[str, Cell], Ran]:
    """Return a copy of the module in float64, its neuron layers, and how they ran on the sample."""
    if sample is None:
        raise InputError(
            f"module {type(module).__name__!r}",
            "needs a sample input to be read",
            "Give sample=x, as its forward takes it",
        )
    given = _by_input(module, sample)
    double, given = in_double(module), {name: x.to(torch.float64) for name, x in given.items()}
    cells = _cells(double)
    try:
        ran = Run(double, cells, given, time_axis).run()
    except WRONG_SHAPE as error:
        shapes = ", ".join(str(list(x.shape)) for x in given.values())
        problem = f"of shape {shapes} is not taken by the module: {str(error).splitlines()[0][:200]}"
        raise InputError("sample", problem, "Give it as the module's forward takes it") from error
    return double, cells, ran


def _by_input(module: nn.Module, sample: Nest) -> dict[str, Tensor]:
    """Return the sample of each input, in the order of the forward; an only one is called ``input``."""
    if not isinstance(sample, Mapping) and not _is_several(sample):
        return {INPUT: _tensor(sample)}
    names = [n for n in parameters(module) if n not in ("args", "kwargs")]
    if isinstance(sample, Mapping):
        unknown = [str(n) for n in sample if n not in names]
        if unknown or [n for n in names if n in sample] != names[: len(sample)]:
            wrong = f"names {', '.join(map(repr, unknown))}" if unknown else "leaves out an input before another"
            raise InputError("sample", f"{wrong}; the forward takes {', '.join(names)}", "Name its inputs")
        found = {n: _tensor(sample[n]) for n in names if n in sample}
    else:
        names += [f"input{k}" for k in range(len(names), len(sample))]
        found = {n: _tensor(x) for n, x in zip(names, sample, strict=False)}
    return found if len(found) > 1 else dict(zip([INPUT], found.values(), strict=True))


def _is_several(sample: Nest) -> bool:
    return isinstance(sample, tuple | list) and any(isinstance(s, Tensor | np.ndarray) for s in sample)


def _tensor(sample: Nest) -> Tensor:
    return torch.as_tensor(np.asarray(sample) if not isinstance(sample, Tensor) else sample).detach()


def in_double(module: nn.Module) -> nn.Module:
    """Return a copy of the module in float64 and evaluation."""
    reset_all(module)
    try:
        twin = copy.deepcopy(module)
    except (AttributeError, RuntimeError, TypeError):  # sinabs' recurrent layers cannot be copied
        twin = _twin(module)
    nn.Module.double(twin)
    nn.Module.train(twin, False)
    for inner in nn.Module.modules(twin):  # some neurons give float32 spikes whatever they are given
        inner.register_forward_pre_hook(_cast_in, with_kwargs=True)
    return twin


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
    for name, m in nn.Module.named_modules(module):
        if keeps_state(m) and not any(nn.Module.children(m)) and not does_nothing(m):
            problem = "keeps a state from step to step and is no neuron layer that is known"
            raise FitError(f"layer {name!r} ({type(m).__name__})", problem, "Take it out, or use a neuron layer")
    found = {
        name or "module": read_cell(name or "module", m) for name, m in nn.Module.named_modules(module) if is_cell(m)
    }
    if not found:
        known = "; ".join(f"{f}: {', '.join(c)}" for f, c in known_cells().items())
        raise FitError(f"module {type(module).__name__!r}", "holds no neuron layer that is known", f"Known: {known}")
    return found


def _finish(module: nn.Module, cells: Mapping[str, Cell], ran: Ran) -> Read:
    built, outputs = _assembled(module, cells, ran)
    missing = [name for name in ran.x if name not in built.input_shapes]
    if missing:
        where = "sample" if len(ran.x) == 1 else f"sample of {missing[0]!r}"
        calls = max(len(c) for c in ran.trace.arrived.values())
        problem, way_out = "does not reach a neuron layer", "Give the module's own input"
        if calls > 1 and not ran.trace.time_axes:
            problem = f"reaches the neuron layers in the first of their {calls} calls only"
            way_out = "A layer that is called twice in a step has one state for both: give each call a layer of its own"
        raise InputError(where, problem, way_out)
    widths = built.input_shapes
    graph, profile = _graph(module, ran, built, outputs)
    network = lower(graph, profile, built.forms)
    network = replace(network, meta=_with_exits(network, outputs))
    parts = {n: v.reshape(*v.shape[:2], math.prod(widths[n])) for n, v in ran.x.items()}
    x = np.concatenate([parts[p.name] for p in input_populations(network.populations)], axis=2)
    read = Read(network, x, _beside(network, parts, outputs))
    notes = [*ran.notes, *(n for c in cells.values() for n in c.notes), *(n for a in ran.answers for n in a.notes)]
    notes.append(f"float engine on the sample: {read.differ} of {read.size} outputs differ from the module's own")
    meta = dict(network.meta) | {"notes": [*network.meta["notes"], *notes], "source": profile.name}
    found = {name: input_scale(part) for name, part in parts.items()}
    meta["input"] = dict(meta["input"]) | scale_facts(found) | {"measured": set(found.values()) != {1.0}}
    done = replace(network, meta=meta)
    return replace(read, network=replace(done, samples=payloads(done, x)))


def _graph(module: nn.Module, ran: Ran, built: Assembly, outputs: Mapping[str, Answer]) -> tuple[NirGraph, Profile]:
    """Return the graph of a module and how its steps are done."""
    nodes = {**{n: ("Input", {"shape": np.array(built.input_shapes[n])}) for n in ran.x}, **built.nodes}
    graph = build_graph(nodes, built.edges, type(module).__name__)
    source = next(p for p in frameworks() if any(c.__module__.split(".")[0] == p for c in _classes(module)))
    membrane = len(outputs) == 1 and ran.answers[0].membrane
    return graph, Profile(source, Settings(1.0), output="membrane" if membrane else "counts")


def _assembled(module: nn.Module, cells: Mapping[str, Cell], ran: Ran) -> tuple[Assembly, dict[str, Answer]]:
    """Return nodes and edges, and the answer that each Output node shows."""
    modules = dict(nn.Module.named_modules(module)) | ran.trace.function_layers
    binary = all(bool(((x == 0) | (x == 1)).all()) for x in ran.x.values())
    built = Assembly(modules, dict(cells), binary, inputs=tuple(ran.x))
    for name, arrived in ran.trace.arrived.items():
        built.cell(name, arrived, ran.trace.shapes[name])
    return built, {built.output(a.expr, a.step, a.membrane, a.name or OUTPUT): a for a in ran.answers}


def _with_exits(network: Network, outputs: Mapping[str, Answer]) -> dict[str, Any]:
    """Return the meta with each output by its name in the module and how it is decoded; the first is the answer."""
    meta = dict(network.meta)
    first = next(iter(outputs))
    if "output" in meta and outputs[first].over_time == "max":
        meta["output"] = dict(meta["output"]) | {"reduce": "max"}
    exits = []
    for one in meta["exits"]:
        answer = outputs[one["name"]]
        more = {"state": "v"} if answer.membrane else {}
        more |= {"reduce": "max"} if answer.over_time == "max" else {}
        exits.append(dict(one) | more | {"name": answer.name or OUTPUT, "answer": one["name"] == first})
    return meta | {"exits": exits}


def _classes(module: nn.Module) -> list[type]:
    return [c for m in nn.Module.modules(module) if is_cell(m) for c in type(m).__mro__]


def _beside(
    network: Network, x: Mapping[str, Floats], outputs: Mapping[str, Answer]
) -> dict[str, tuple[Floats, Floats]]:
    """Return what the module and the float engine give, by output."""
    by_name = {a.name or OUTPUT: a for a in outputs.values()}
    shows = {one["name"]: one["population"] for one in network.meta["exits"]}
    pairs = {name: (shows[name], "v" if a.membrane else "out") for name, a in by_name.items()}
    layers = {name: network.population(shows[name]).layer for name in by_name}
    steps = next(iter(x.values())).shape[1]
    shown = record(network, x, steps + max(layers.values()), list(dict.fromkeys(pairs.values())))
    found = {}
    for name, answer in by_name.items():
        got = answer.reduce(shown[pairs[name]][:, layers[name] : layers[name] + steps])
        found[name] = (answer.wanted.reshape(got.shape), got)
    return found


def input_scale(x: Floats) -> float:
    """Return the value of a payload of 1: 1 for whole numbers, else a power of two that keeps 8 bits of the largest value."""
    if (x == np.round(x)).all():
        return 1.0
    largest = float(np.abs(x).max())
    return 2.0 ** (math.floor(math.log2(largest)) + 2 - PAYLOAD_BITS)


def payloads(network: Network, x: Floats) -> I32:
    """Return values [B, T, n] as integer payloads of a network's input."""
    scale = column_scales(input_entry(network.meta), network.populations)
    scaled: I32 = np.round(x / scale).astype(np.int32)
    return scaled
