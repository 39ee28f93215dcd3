"""Hooks that note, in a `Trace`, how the tensors of a running module come about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bimhw.frontends.frameworks.expression import Args, Expr, Kwargs, Nest
from bimhw.frontends.frameworks.functions import note, reshape
from bimhw.frontends.frameworks.layers import does_nothing, is_leaf
from bimhw.frontends.frameworks.readers import is_cell
from bimhw.frontends.frameworks.trace import Trace, tensors
from simulator.base.errors import FitError

_OF_ONE_TYPE = (
    "linear", "matmul", "mm", "bmm", "addmm", "einsum", "bilinear", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d",
)  # functions that mix no types  # fmt: skip


@contextmanager
def watching(trace: Trace, module: nn.Module) -> Iterator[None]:
    """Note what happens while `module` runs."""
    hooks, handles = _Hooks(trace), []
    for inner in nn.Module.modules(module):
        if inner is not module:
            handles.append(inner.register_forward_pre_hook(hooks.begin))
            handles.append(inner.register_forward_hook(hooks.end))
    for inner in _leaves(trace, module):
        handles.append(inner.register_forward_pre_hook(hooks.enter, with_kwargs=True))
        handles.append(inner.register_forward_hook(hooks.leave, with_kwargs=True))
    try:
        with torch.no_grad(), _Noting(hooks):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _leaves(trace: Trace, module: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that are taken whole."""
    if trace.names.get(module) in trace.cells or is_cell(module) or is_leaf(module):
        yield module
        return
    for child in module.children():
        yield from _leaves(trace, child)


class _Hooks:
    """Around the layers that are taken whole; `depth` of those that run."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.depth = 0

    def enter(self, module: nn.Module, args: Args, kwargs: Kwargs) -> None:
        self.depth += 1

    def begin(self, module: nn.Module, args: Args) -> None:
        """Note which module runs, so that a function of no known form is named with it; one that is replaced has no name."""
        name, kind = self.trace.names.get(module), type(module).__name__
        self.trace.inside.append(f"layer {name!r} ({kind})" if name else f"a layer ({kind})")

    def end(self, module: nn.Module, args: Args, out: Nest) -> None:
        """Note that it is done."""
        self.trace.inside.pop()

    def leave(self, module: nn.Module, args: Args, kwargs: Kwargs, out: Nest) -> None:
        self.depth -= 1
        if self.depth:
            return
        name = self.trace.names[module]
        given = [*tensors(args), *tensors(kwargs)]
        if name in self.trace.cells:
            self._called(name, given, out)
        elif given and (source := self.trace.of(given[0])) is not None and isinstance(out, Tensor):
            same = does_nothing(module)
            joined = (
                reshape(source, tuple(out.shape)) if isinstance(module, nn.Flatten) and module.start_dim == 0 else None
            )
            expr = joined or Expr("same" if same else "layer", (source,), source.axes, tuple(out.shape), name)
            self.trace.keep(out, expr)

    def _called(self, name: str, given: list[Tensor], out: Nest) -> None:
        """Note a call of a neuron layer."""
        calls = self.trace.arrived.setdefault(name, [])
        step = len(calls)
        source = self.trace.of(given[0])
        if source is None:
            source = Expr("const", (), "B", tuple(given[0].shape), given[0])
        calls.append(source)
        cell = self.trace.cells[name]
        whole = cell.time != "step"
        if not whole:
            self._check_states(name, given[1:], step)
        axes = cell.time if whole else "B"
        first, *others = tensors(out)
        if whole and isinstance(out, list):
            self._listed(name, axes, out)
            return
        if whole and first.shape[:2] != given[0].shape[:2]:
            problem = "gives one value of all steps, which it makes inside"
            raise FitError(
                f"layer {name!r}", problem, "Let it give every step (decode=None), and reduce them in the forward"
            )
        spike = Expr("spike", (), axes, tuple(first.shape), name, None if whole else step, first)
        self.trace.shapes[name] = spike.features
        self.trace.keep(first, spike)
        for k, state in enumerate(others):
            if id(state) not in self.trace.known:
                number = None if whole else step
                self.trace.keep(
                    state, Expr("state", (Expr("place", what=k),), "B", tuple(state.shape), name, number, state)
                )

    def _listed(self, name: str, axes: str, out: list[Tensor]) -> None:
        """Note a list with a tensor a step, as SpikingJelly's neurons without spikes give it."""
        shape = (len(out), *out[0].shape)
        whole = Expr("spike", (), axes, shape, name)
        self.trace.shapes[name] = whole.features
        for k, one in enumerate(out):
            self.trace.keep(one, Expr("pick", (whole,), "B", tuple(one.shape), None, k))

    def _check_states(self, name: str, states: list[Tensor], step: int) -> None:
        """Check that an incoming state is the layer's own of the step before, or its start in the first."""
        start = self.trace.cells[name].v_init
        for state in states:
            expr = self.trace.of(state)
            own = expr is not None and expr.op in ("state", "spike") and (expr.what, expr.step) == (name, step - 1)
            fresh = step == 0 and expr is None
            if not own and not (fresh and bool(((state == 0) | (state == torch.as_tensor(start))).all())):
                problem = f"is given a state in step {step} that is not its own of the step before"
                raise FitError(f"layer {name!r}", problem, "Hand its states on as they are, from its start on")


class _Noting(TorchFunctionMode):
    """Notes every function of torch that is called outside the layers that are taken whole."""

    def __init__(self, hooks: _Hooks) -> None:
        super().__init__()
        self.hooks = hooks

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Args = (), kwargs: Kwargs | None = None
    ) -> Nest:
        given = args
        if getattr(func, "__name__", "") in _OF_ONE_TYPE and any(t.dtype == torch.float64 for t in tensors(args)):
            given = tuple(a.double() if isinstance(a, Tensor) else a for a in args)  # neurons that give float32 spikes
        out = func(*given, **(kwargs or {}))
        if self.hooks.depth == 0:
            note(self.hooks.trace, func, args, kwargs or {}, out)
        return out
