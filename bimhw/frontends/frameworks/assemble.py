"""A trace -> NIR graph: each neuron layer with what arrives at it in one step, seen from that step.

A value of an earlier step goes through a Delay of as many steps. That every step does the same is checked; the first steps
may have constants (zeros) where later ones have what was sent before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bimhw.frontends.frameworks import constants, layers, maxima
from bimhw.frontends.frameworks.affine import affine_layer, windows
from bimhw.frontends.frameworks.cell import Cell, array
from bimhw.frontends.frameworks.expression import Expr, leaves, signature, within
from bimhw.frontends.frameworks.nodes import Nodes
from simulator.base.errors import FitError, InputError

OUTPUT = "output"


@dataclass(eq=False)
class Assembly(Nodes):
    """Nodes and edges as they are found in a trace.

    Attributes:
        modules: name -> layer.
        cells: name -> neuron layer.
        binary_input: the sample holds only 0 and 1.
    """

    modules: Mapping[str, Any]
    cells: dict[str, Cell]
    binary_input: bool
    _alive: list[Expr] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, cell in self.cells.items():
            self.names[name] = self.unused(name)
            self.forms[self.names[name]] = cell.form()

    def cell(self, name: str, arrived: list[Expr], shape: tuple[int, ...]) -> None:
        """Add a neuron layer of `shape` with what arrives at it."""
        cell = self.cells[name]
        self.check_steady(f"layer {name!r}", arrived)
        inner = self.names[name]
        self.nodes[inner] = cell.placeholder(shape)
        if cell.current is not None:
            inner = self._current(inner, cell, cell.current, shape)
        target = inner
        if cell.before is not None:
            target = self.add(f"{name}.in", cell.before)
            self.edges.append((target, inner))
        self.join(self.sources(arrived[-1], len(arrived) - 1), target)
        if cell.recurrent is not None:
            weights = constants.later(self, name, cell.recurrent, inner, shape) if cell.late_bias else cell.recurrent
            back = self.add(f"{name}.recurrent", weights)
            self.join(self.delayed(self.sent(name), 1, shape), back)
            self.edges.append((back, inner))

    def _current(self, name: str, cell: Cell, current: Cell, shape: tuple[int, ...]) -> str:
        """Add the layer that holds the current of another and return its node."""
        node = self.add(f"{name}.current", current.placeholder((*shape[:-1], shape[-1] * cell.synapses)))
        self.forms[node] = current.form()
        sent = self.delayed([node], cell.current_lag, shape)
        if cell.synapses > 1:
            weight = np.repeat(np.eye(shape[-1]), cell.synapses, axis=1)
            sent = self.after(sent, f"{name}.sum", ("Linear", {"weight": weight}))
        self.join(sent, name)
        return node

    def output(self, expr: Expr, step: int, membrane: bool, name: str = OUTPUT) -> str:
        """Add an Output and return its name."""
        sources = [self.names[str(expr.what)]] if membrane else self.sources(expr, step)
        name = self.add(name, ("Output", {}))
        self.join(sources, name)
        return name

    def sources(self, expr: Expr, step: int) -> list[str]:
        """Return the nodes whose sum is a value, adding what is not there yet."""
        key = (id(expr), step)
        if key not in self._made:
            self._alive.append(expr)
            self._made[key] = _MAKERS[expr.op](self, expr, step)
        return self._made[key]

    def max_pool(self, expr: Expr, below: list[str]) -> list[str]:
        """Add the maximum over windows: of spikes whether any is there, of other values as `maxima` has it."""
        name = str(expr.what)
        if not _binary(self, expr.args[0]):
            return maxima.maximum(self, self.modules[name], expr, below)
        total = self._window_sums(expr, below)
        return self.after(total, name, ("Threshold", {"threshold": np.full(expr.features, 0.5)}))

    def unknown(self, expr: Expr) -> FitError:
        """Return the error of a function that has no form."""
        first = [e for e in within(expr) if e.op == "unknown"][-1]  # what was done with its result has no form either
        function, *inside = first.what
        where = " in ".join((f"function torch.{function}", *inside))
        why, way_out = layers.refused(str(function))
        return FitError(where, f"has no form on a chip{why}", way_out)

    def _window_sums(self, expr: Expr, below: list[str]) -> list[str]:
        """Add the sums over the windows of a maximum pool."""
        name, source = str(expr.what), expr.args[0]
        try:
            return self.after(below, f"{name}.sum", layers.summed(name, self.modules[name]))
        except FitError:
            part = windows(self.modules[name], source.features)
            if part is None:
                raise
            return self.matrix(below, part, source.features, expr.features)

    def check_steady(self, where: str, arrived: list[Expr]) -> None:
        """Raise `FitError` unless the same comes about in every step, seen from that step."""
        last = len(arrived) - 1
        lags = [last - e.step for e in leaves(arrived[-1]) if e.step is not None and e.op != "const"]
        wanted = signature(arrived[-1], last, {})
        for step in range(max([1, *lags]), last):
            if signature(arrived[step], step, {}) != wanted:
                raise FitError(
                    where,
                    f"takes in something else in step {step} than in step {last}",
                    "A chip does the same in every step",
                )

    def sent(self, name: str) -> list[str]:
        """Return the node that gives a layer's spikes, with their factor."""
        scale, key = self.cells[name].scale, ("scaled", name)
        node = self.names.get(name, name)
        if scale is None:
            return [node]
        if key not in self._made:
            self._made[key] = self.after([node], f"{node}.factor", ("Scale", {"scale": scale}))
        return self._made[key]


def _input(a: Assembly, expr: Expr, step: int) -> list[str]:
    name = str(expr.what)
    before = a.input_shapes.setdefault(name, expr.features)
    if before != expr.features:
        raise InputError(name, f"is used in two shapes, {before} and {expr.features}", "Give it one shape")
    return a.delayed([name], 0 if expr.step is None else step - expr.step, expr.features)


def _spike(a: Assembly, expr: Expr, step: int) -> list[str]:
    name = str(expr.what)
    return a.delayed(a.sent(name), 0 if expr.step is None else step - expr.step, expr.features)


def _state(a: Assembly, expr: Expr, step: int) -> list[str]:
    raise FitError(f"layer {expr.what!r}", "hands its membrane or current on to another layer", "Hand on its spikes")


def _layer(a: Assembly, expr: Expr, step: int) -> list[str]:
    name, source = str(expr.what), expr.args[0]
    module = a.modules[name]
    if layers.is_norm(module):
        return _norm(a, expr, step)
    below = a.sources(source, step)
    if layers.is_max_pool(module):
        return a.max_pool(expr, below)
    if type(module).__name__ == "Flatten":
        return _flatten(a, expr, step)
    pooled = type(module).__name__ == "AdaptiveAvgPool2d"
    try:
        spec = layers.adaptive(name, module, source.features) if pooled else layers.plain_layer(name, module)
        return a.after(below, name, spec)
    except FitError:
        part = affine_layer(name, module, source, expr.shape)
        if part is None:
            raise
        return a.matrix(below, part, source.features, expr.features)


def _norm(a: Assembly, expr: Expr, step: int) -> list[str]:
    """Fold a normalisation into the layer before it, or add it as a node of its own."""
    name, source = str(expr.what), expr.args[0]
    scale, shift = layers.norm_factors(name, a.modules[name])
    before = a.modules.get(str(source.what)) if source.op == "layer" else None
    if before is not None and hasattr(before, "weight") and not layers.is_norm(before):
        spec = layers.folded(layers.plain_layer(str(source.what), before), scale, shift)
        return a.after(a.sources(source.args[0], step), f"{source.what}.{name.rsplit('.', 1)[-1]}", spec)
    return a.after(a.sources(source, step), name, layers.norm_alone(name, scale, shift, source.features))


def _flatten(a: Assembly, expr: Expr, step: int) -> list[str]:
    source = expr.args[0]
    if source.op == "input" and len(expr.features) >= len(source.features) and expr.features != source.features:
        return _input(
            a, Expr("input", (), expr.axes, expr.shape, source.what, source.step), step
        )  # another view of the input
    if expr.features == source.features:
        return a.sources(source, step)
    return a.reshaped(a.sources(source, step), source.features, expr.features)


def _same(a: Assembly, expr: Expr, step: int) -> list[str]:
    return a.sources(expr.args[0], step)


def _pick(a: Assembly, expr: Expr, step: int) -> list[str]:
    """Take one step of a sequence, as a step of what it was made of."""
    if step != expr.what and expr.step is not None and step != expr.step:
        raise FitError("a sequence", "is taken apart and used at other steps", "Use each step in its own step")
    return a.sources(expr.args[0], 0)


def _stack(a: Assembly, expr: Expr, step: int) -> list[str]:
    """Take one step of a sequence that was made step by step."""
    last = len(expr.args) - 1
    a.check_steady("a sequence", list(expr.args))
    return a.sources(expr.args[-1], last)


def _add(a: Assembly, expr: Expr, step: int) -> list[str]:
    out: list[str] = []
    for part in expr.args:
        if part.op != "const":
            out += a.sources(part, step)
        elif np.any(array(part.what)):
            out += constants.constant(a, array(part.what), expr)
    return out


def _scale(a: Assembly, expr: Expr, step: int) -> list[str]:
    factor = array(expr.what)
    lead = factor.shape[: max(0, factor.ndim - len(expr.features))]
    if np.prod(lead) != 1:
        problem = "is not the same in every step and sample"
        raise FitError(f"a factor of shape {factor.shape}", problem, "A chip does the same in every step")
    if lead:
        factor = factor.reshape(factor.shape[factor.ndim - len(expr.features) :])
    full = np.broadcast_to(factor, expr.features).copy()
    return a.after(a.sources(expr.args[0], step), "scale", ("Scale", {"scale": full}))


def _as_unknown(expr: Expr) -> Expr:
    return Expr("unknown", expr.args, expr.axes, expr.shape, expr.what)


def _order(a: Assembly, expr: Expr, step: int) -> list[str]:
    raise a.unknown(_as_unknown(expr))


def _relu(a: Assembly, expr: Expr, step: int) -> list[str]:
    """Rectify a value that is no spike."""
    return maxima.relu(a, a.sources(expr.args[0], step), str(expr.what), expr.features)


def _both(a: Assembly, expr: Expr, step: int) -> list[str]:
    """Read a product of two spikes: whether both are there."""
    if not _binary(a, expr):
        raise a.unknown(_as_unknown(expr))
    total = [node for part in expr.args for node in a.sources(part, step)]
    return a.after(total, "both", ("Threshold", {"threshold": np.full(expr.features, 1.5)}))


def _affine(a: Assembly, expr: Expr, step: int) -> list[str]:
    """Write a linear function as its matrix, between a flattening and a reshape."""
    part, source = expr.what, expr.args[0]
    return a.matrix(a.sources(source, step), part, source.features, expr.features)


def _const(a: Assembly, expr: Expr, step: int) -> list[str]:
    raise constants.unexpected()


def _unknown(a: Assembly, expr: Expr, step: int) -> list[str]:
    raise a.unknown(expr)


def _binary(a: Assembly, expr: Expr) -> bool:
    """Return whether a value is only 0 and 1."""
    if expr.op == "spike":
        return a.cells[str(expr.what)].binary
    if expr.op == "input":
        return a.binary_input
    if expr.op in ("same", "flatten", "merge", "part", "pick"):
        return _binary(a, expr.args[0])
    if expr.op == "both":
        return all(_binary(a, part) for part in expr.args)
    if expr.op == "add":  # 1 - z, as SEW blocks with IAND have it
        const, *turned = sorted(expr.args, key=lambda part: part.op != "const")
        one = const.op == "const" and bool(np.all(array(const.what) == 1))
        return one and all(t.op == "scale" and np.all(array(t.what) == -1) and _binary(a, t.args[0]) for t in turned)
    if expr.op != "layer":
        return False
    module = a.modules[str(expr.what)]
    return (layers.is_max_pool(module) or type(module).__name__ == "Flatten") and _binary(a, expr.args[0])


_MAKERS = {
    "input": _input,
    "spike": _spike,
    "state": _state,
    "layer": _layer,
    "flatten": _flatten,
    **dict.fromkeys(("same", "merge", "part"), _same),
    "pick": _pick,
    "add": _add,
    "scale": _scale,
    "both": _both,
    "relu": _relu,
    "order": _order,
    "affine": _affine,
    "const": _const,
    "stack": _stack,
    **dict.fromkeys(("unknown", "over_time"), _unknown),
}
