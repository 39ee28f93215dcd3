"""Linear functions between the layers, found by probing: cat, slices, matmul, padding, transposed convolutions and so on.

A function f of traced values is y = b + sum of A_k x_k, for each sample and step alone, with b = f(0, ...) and A_k the
Jacobian. Probes of several sizes confirm this to 1e-9; what they refute stays unknown, so no list of functions is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bimhw.frontends.frameworks.expression import LEADING, Args, Expr, Kwargs, Nest, common_axes
from bimhw.frontends.frameworks.trace import Trace
from simulator.base.arrays import Floats

MOST_ENTRIES = 2**24  # of a dense matrix
_SIZES = (1e-3, 1.0, 1e3)
_ERROR = 1e-9


@dataclass(frozen=True, eq=False)
class Affine:
    """One traced argument's part of a linear function.

    Attributes:
        name: of the function.
        matrix: [outputs, inputs], flattened.
        bias: [outputs]; of the first argument only, else 0.
    """

    name: str
    matrix: Floats
    bias: Floats

    def key(self) -> object:
        """Return a value that equal parts share."""
        return hash((self.name, self.matrix.shape, self.matrix.tobytes(), self.bias.tobytes()))


def affine(trace: Trace, func: Callable[..., Any], args: Args, kwargs: Kwargs, out: Nest) -> list[Expr] | None:
    """Return how each result of a linear function came about, or None where it is not linear."""
    call = _Call.of(trace, func, args, kwargs)
    outs = [out] if isinstance(out, Tensor) else list(out) if isinstance(out, tuple | list) else []
    if call is None or not outs or not all(isinstance(o, Tensor) and o.is_floating_point() for o in outs):
        return None
    found = [_part(call, k, tuple(o.shape)) for k, o in enumerate(outs)]
    return None if any(f is None for f in found) else [f for f in found if f is not None]


def affine_layer(name: str, layer: nn.Module, source: Expr, shape: tuple[int, ...]) -> Affine | None:
    """Return a layer as a matrix from the features of `source` to those of its result; None where it is not linear."""
    n = LEADING.get(source.axes, 1)
    one = Expr(source.op, (), "B", (1, *source.features))
    out = (1, *shape[n:])
    call = _Call(type(layer).__name__, (one,), "B", lambda values: [_of_one_step(layer)(values[0])])
    found = _part(call, 0, out)
    return found.what if found is not None else None


def _of_one_step(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what torch's own class does with [B, ...]: a framework's layer may ask for an axis of time."""
    for cls in type(layer).__mro__:
        if cls.__module__.startswith("torch.nn.modules.") and cls is not nn.Module:
            return lambda x: cls.forward(layer, x)  # type: ignore[attr-defined]
    return layer


def windows(layer: nn.Module, features: tuple[int, ...]) -> Affine | None:
    """Return the sum over the windows of a maximum pool: a single 1 goes to every window that holds it."""
    size = math.prod(features)
    pooled = _of_one_step(layer)
    with torch.no_grad():
        held = pooled(torch.zeros(1, *features, dtype=torch.float64))
        if size * held.numel() > MOST_ENTRIES:
            return None
        ones = pooled(torch.eye(size, dtype=torch.float64).reshape(size, *features))
    matrix = ones.reshape(size, -1).T.contiguous().numpy()
    return Affine(type(layer).__name__, matrix, np.zeros(matrix.shape[0]))


@dataclass(frozen=True, eq=False)
class _Call:
    """A call with its traced arguments set free."""

    name: str
    exprs: tuple[Expr, ...]
    axes: str
    run: Callable[[list[Tensor]], list[Tensor]]

    @property
    def lead(self) -> int:
        return LEADING[self.axes]

    @staticmethod
    def of(trace: Trace, func: Callable[..., Any], args: Args, kwargs: Kwargs) -> _Call | None:
        name = getattr(func, "__name__", "") or str(func)
        if name.endswith("_") and not name.endswith("__"):  # would write into its arguments
            return None
        traced: dict[int, Tensor] = {}
        _collect(trace, (args, kwargs), traced)
        exprs = tuple(trace.known[i] for i in traced)
        axes = common_axes(exprs)
        n = None if axes is None else LEADING.get(axes)
        if axes is None or n is None or len({e.shape[:n] for e in exprs}) != 1 or "out" in kwargs:
            return None

        def run(values: list[Tensor]) -> list[Tensor]:
            new = dict(zip(traced, values, strict=True))
            result = func(*_swapped(args, new), **_swapped(kwargs, new))
            return [result] if isinstance(result, Tensor) else list(result)

        return _Call(name, exprs, axes, run)


def _collect(trace: Trace, value: Nest, into: dict[int, Tensor]) -> None:
    if isinstance(value, Tensor):
        if trace.of(value) is not None:
            into[id(value)] = value
    elif isinstance(value, tuple | list):
        for v in value:
            _collect(trace, v, into)
    elif isinstance(value, dict):
        _collect(trace, tuple(value.values()), into)


def _swapped(value: Nest, new: dict[int, Tensor]) -> Nest:
    if isinstance(value, Tensor):
        return new.get(id(value), value)
    if isinstance(value, tuple | list):
        return type(value)(_swapped(v, new) for v in value)
    if isinstance(value, dict):
        return {k: _swapped(v, new) for k, v in value.items()}
    return value


def _part(call: _Call, k: int, shape: tuple[int, ...]) -> Expr | None:
    n, exprs = call.lead, call.exprs
    if shape[:n] != exprs[0].shape[:n]:
        return None
    outputs, inputs = math.prod(shape[n:]), [math.prod(e.features) for e in exprs]
    if outputs * sum(inputs) > MOST_ENTRIES:
        return None
    try:
        matrices, bias = _probed(call, k, outputs, inputs)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
    if matrices is None:
        return None
    parts = []
    for number, (expr, matrix) in enumerate(zip(exprs, matrices, strict=True)):
        what = Affine(call.name, matrix, bias if number == 0 else np.zeros(outputs))
        parts.append(Expr("affine", (expr,), call.axes, shape, what))
    return parts[0] if len(parts) == 1 else Expr("add", tuple(parts), call.axes, shape)


def _probed(call: _Call, k: int, outputs: int, inputs: list[int]) -> tuple[list[Floats] | None, Floats]:
    """Return the matrices and the constant, or None where a probe refutes them."""
    lead = call.exprs[0].shape[: call.lead]
    rows = math.prod(lead)
    shapes = [(*lead, *e.features) for e in call.exprs]
    zeros = [torch.zeros(s, dtype=torch.float64) for s in shapes]
    with torch.enable_grad():
        free = [z.requires_grad_() for z in zeros]
        y = call.run(free)[k].reshape(rows, outputs)[0]
        grads = [torch.zeros(outputs, n, dtype=torch.float64) for n in inputs]
        if y.requires_grad:
            for row in range(outputs):
                found = torch.autograd.grad(y[row], free, retain_graph=True, allow_unused=True)
                for grad, g in zip(grads, found, strict=True):
                    if g is not None:
                        grad[row] = g.reshape(rows, -1)[0]
    bias = y.detach()
    generator = torch.Generator().manual_seed(0)
    for size in _SIZES:
        x = [size * torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]
        got = call.run(x)[k].reshape(rows, outputs)
        parts = [v.reshape(rows, -1) @ g.T for v, g in zip(x, grads, strict=True)]
        wanted = bias + torch.stack(parts).sum(dim=0)
        if not torch.allclose(got, wanted, rtol=_ERROR, atol=_ERROR * max(size, 1.0)):
            return None, np.zeros(0)
    return [g.numpy() for g in grads], bias.numpy()
