"""Run a module once on a sample and note how its tensors come about.

The forward runs as it is, in Python, on real tensors: loops, sizes and branches work, and nothing is guessed from its text.
Neuron layers and layers without state are taken whole (hooks); every other function of torch is noted as it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bimhw.frontends.frameworks.cell import Cell
from bimhw.frontends.frameworks.expression import Args, Expr, Kwargs, Nest
from bimhw.frontends.frameworks.functions import note
from bimhw.frontends.frameworks.layers import does_nothing, is_leaf
from bimhw.frontends.frameworks.readers import is_cell
from simulator.base.errors import FitError


@dataclass(eq=False)
class Trace:
    """What a run showed.

    Attributes:
        names: module -> dotted name.
        cells: name -> neuron layer.
        arrived: name -> what each call of a neuron layer took in, in order.
        known: tensor id -> how it came about.
        shapes: name -> shape of a neuron layer, without batch and time.
        function_layers: name -> layer in the form of a function.
        still: the sample has no axis of time; the forward makes one.
        time_axes: input -> axis that a forward walks along, once it does.
    """

    names: Mapping[nn.Module, str]
    cells: Mapping[str, Cell]
    arrived: dict[str, list[Expr]] = field(default_factory=dict)
    known: dict[int, Expr] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    function_layers: dict[str, nn.Module] = field(default_factory=dict)
    still: bool = False
    time_axes: dict[str, int] = field(default_factory=dict)
    _names: dict[object, str] = field(default_factory=dict)
    depth: int = 0
    _alive: list[Any] = field(default_factory=list)

    def of(self, value: Nest) -> Expr | None:
        """Return how a tensor came about, or None."""
        return self.known.get(id(value)) if isinstance(value, Tensor) else None

    def keep(self, value: Tensor, expr: Expr) -> None:
        """Note how a tensor came about; it is held, so that its id stays its own."""
        self.known[id(value)] = expr
        self._alive.append(value)

    def function_layer(self, function: str, key: object, layer: nn.Module) -> str:
        """Return the name of a layer in the form of a function; calls with the same arguments share one."""
        if key not in self._names:
            taken = {*self.names.values(), *self.function_layers}
            name, k = function, 2
            while name in taken:
                name, k = f"{function}.{k}", k + 1
            self._names[key], self.function_layers[name] = name, layer
            self._alive.append(layer)
        return self._names[key]

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Note what happens while `module` runs."""
        handles = []
        for inner in self._leaves(module):
            handles.append(inner.register_forward_pre_hook(self._enter, with_kwargs=True))
            handles.append(inner.register_forward_hook(self._leave, with_kwargs=True))
        try:
            with torch.no_grad(), _Noting(self):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _leaves(self, module: nn.Module) -> Iterator[nn.Module]:
        """Yield the modules that are taken whole."""
        if self.names.get(module) in self.cells or is_cell(module) or is_leaf(module):
            yield module
            return
        for child in module.children():
            yield from self._leaves(child)

    def _enter(self, module: nn.Module, args: Args, kwargs: Kwargs) -> None:
        self.depth += 1

    def _leave(self, module: nn.Module, args: Args, kwargs: Kwargs, out: Nest) -> None:
        self.depth -= 1
        if self.depth:
            return
        name = self.names[module]
        given = [*tensors(args), *tensors(kwargs)]
        if name in self.cells:
            self._called(name, given, out)
        elif given and (source := self.of(given[0])) is not None and isinstance(out, Tensor):
            same = does_nothing(module)
            expr = Expr("same" if same else "layer", (source,), source.axes, tuple(out.shape), name)
            self.keep(out, expr)

    def _called(self, name: str, given: list[Tensor], out: Nest) -> None:
        """Note a call of a neuron layer."""
        calls = self.arrived.setdefault(name, [])
        step = len(calls)
        source = self.of(given[0])
        if source is None:
            source = Expr("const", (), "B", tuple(given[0].shape), given[0])
        calls.append(source)
        cell = self.cells[name]
        whole = cell.time != "step"
        if not whole:
            self._check_states(name, given[1:], step)
        axes = cell.time if whole else "B"
        first, *others = tensors(out)
        spike = Expr("spike", (), axes, tuple(first.shape), name, None if whole else step, first)
        self.shapes[name] = spike.features
        self.keep(first, spike)
        for k, state in enumerate(others):
            if id(state) not in self.known:
                number = None if whole else step
                self.keep(state, Expr("state", (Expr("place", what=k),), "B", tuple(state.shape), name, number, state))

    def _check_states(self, name: str, states: list[Tensor], step: int) -> None:
        """Check that an incoming state is the layer's own of the step before, or its start in the first."""
        start = self.cells[name].v_init
        for state in states:
            expr = self.of(state)
            own = expr is not None and expr.op in ("state", "spike") and (expr.what, expr.step) == (name, step - 1)
            fresh = step == 0 and expr is None
            if not own and not (fresh and bool(((state == 0) | (state == torch.as_tensor(start))).all())):
                problem = f"is given a state in step {step} that is not its own of the step before"
                raise FitError(f"layer {name!r}", problem, "Hand its states on as they are, from its start on")


class _Noting(TorchFunctionMode):
    """Notes every function of torch that is called outside the layers that are taken whole."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Args = (), kwargs: Kwargs | None = None
    ) -> Nest:
        if getattr(func, "__name__", "") in ("linear", "matmul") and any(
            t.dtype == torch.float64 for t in tensors(args)
        ):
            args = tuple(a.double() if isinstance(a, Tensor) else a for a in args)  # neurons that give float32 spikes
        out = func(*args, **(kwargs or {}))
        if self.trace.depth == 0:
            note(self.trace, func, args, kwargs or {}, out)
        return out


def tensors(value: Nest) -> list[Tensor]:
    """Return the tensors of a nest of tuples, lists and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [t for v in value for t in tensors(v)]
