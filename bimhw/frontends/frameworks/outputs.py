"""Outputs of a module: which of its results are answers, spikes or a membrane, in every step or over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from torch import Tensor

from bimhw.frontends.frameworks.cell import Cell, array
from bimhw.frontends.frameworks.expression import LEADING, Expr, Nest, leaves, signature, within
from bimhw.frontends.frameworks.trace import Trace, tensors
from simulator.base.arrays import Floats
from simulator.base.errors import FitError

OverTime = Literal["", "sum", "max", "last"]
_SAYS: dict[OverTime, str] = {
    "sum": "the module sums or averages its output over the steps; the network gives it in every step",
    "max": "the module gives the largest output of all steps; the network gives it in every step",
    "last": "the module gives the output of the last step; the network gives it in every step",
}
Row = tuple[int, str, Expr]  # place of a result among the tensors, its name, how it came about


@dataclass(frozen=True, eq=False)
class Answer:
    """The result that is read.

    Attributes:
        expr: how its value of one step comes about.
        step: that step.
        membrane: it is a membrane, not spikes.
        wanted: the module's own values [B, T, ...], or [B, ...] over time.
        over_time: how it is made of the steps: a ``sum`` times `factor`, the ``max``, or the ``last``; "" for all of them.
        place: of the tensor among those that the module returns.
        notes: what was chosen.
        name: key or number of the result.
    """

    expr: Expr
    step: int
    membrane: bool
    wanted: Floats
    over_time: OverTime = ""
    factor: float = 1.0
    place: int = 0
    notes: tuple[str, ...] = ()
    name: str = ""

    def reduce(self, values: Floats) -> Floats:
        """Return what the module gives, [B, ...] or [B, T, ...], of the outputs of every step [B, T, ...]."""
        if not self.over_time:
            return values
        if self.over_time == "sum":
            return np.asarray(values.sum(axis=1) * self.factor)
        return np.asarray(values.max(axis=1) if self.over_time == "max" else values[:, -1])


def find_answers(trace: Trace, out: Nest, cells: Mapping[str, Cell], steps: int | None) -> tuple[Answer, ...]:
    """Find the answers among what a module returned: the first result, and others that no neuron layer takes in.

    Of several results of one layer (spikes, their sum, a membrane) the first is read.

    Args:
        trace: of the run.
        out: what the module returned; a list over the steps for one that does one step a call.
        cells: the neuron layers.
        steps: of a run step by step or in a loop; None for layers that take all steps at once.

    Raises:
        FitError: nothing that the module returns comes from its neurons in every step.
    """
    rows = _candidates(trace, out, steps)
    found = [replace(a, name=name) for place, name, expr in rows if (a := _answer(trace, (place, expr), cells, steps))]
    if not found:
        way_out = (
            "Return the spikes of the last layer: all steps stacked, their sum or mean over time, or one step a call"
        )
        raise FitError("output of the module", "does not come from its neurons step by step", way_out)
    inside = {str(e.what) for calls in trace.arrived.values() for e in leaves(calls[-1]) if e.op in ("spike", "state")}
    kept: dict[object, Answer] = {}
    left: list[str] = []
    for answer in found:
        key, layer = _key(answer)
        if key in kept:
            continue
        unknown = any(e.op == "unknown" for e in within(answer.expr))
        if not kept or (answer.name and layer not in inside and not unknown):
            kept[key] = answer
        elif answer.name:
            left.append(layer or answer.name)
    first, *others = kept.values()
    if others:
        names = ", ".join(_name(a) for a in kept.values())
        first = replace(first, notes=(*first.notes, f"the module gives {len(kept)} outputs: {names}"))
    if left:
        note = f"the module also gives results inside the network, which are not read: {', '.join(dict.fromkeys(left))}"
        first = replace(first, notes=(*first.notes, note))
    return tuple(replace(a, name=_name(a)) if others else replace(a, name="") for a in (first, *others))


def _key(answer: Answer) -> tuple[object, str]:
    """Return what two results of one layer share, and the layer where the result is its spikes or membrane as they are."""
    expr = answer.expr
    while expr.op in ("same", "flatten"):
        expr = expr.args[0]
    if expr.op in ("spike", "state"):
        return ("layer", expr.what), str(expr.what)
    return signature(expr, answer.step, {}), ""


def _name(answer: Answer) -> str:
    return f"output{answer.name}" if answer.name.isdigit() else answer.name


def _candidates(trace: Trace, out: Nest, steps: int | None) -> list[Row]:
    """Return every result; lists with a tensor a step count as stacked. A result inside another has no name."""
    if steps is not None and isinstance(out, list) and len(out) == steps:  # one entry a step
        columns = [tensors(o) for o in out]
        names = _names(out[0])
        rows = []
        for place in range(min(len(c) for c in columns)):
            parts = [trace.of(c[place]) for c in columns]
            if all(p is not None for p in parts):
                values = np.stack([array(c[place]) for c in columns])
                whole = Expr("stack", tuple(p for p in parts if p), "TB", values.shape, value=values)
                rows.append((place, names[place], whole))
        return rows
    if steps is None and isinstance(out, list) and (listed := _whole(trace, out)) is not None:
        return [(0, "0", listed)]
    if isinstance(out, tuple | list | Mapping):
        keyed = out.items() if isinstance(out, Mapping) else enumerate(out)
        found = []
        for key, one in keyed:
            direct = _is_result(one, steps)
            found += [(place, str(key) if direct else "", e) for place, _, e in _candidates(trace, one, steps)]
        return found
    expr = trace.of(out)
    return [(0, "0", expr if expr.value is not None else _with_value(expr, out))] if expr is not None else []


def _whole(trace: Trace, out: list[Nest]) -> Expr | None:
    """Return the sequence whose steps a list holds, or None."""
    parts = [trace.of(one) for one in out]
    first = parts[0] if parts else None
    if first is None or first.op != "pick" or first.args[0].shape[0] != len(out) or first.args[0].axes != "TB":
        return None
    same = all(p is not None and p.args == first.args and p.step == k for k, p in enumerate(parts))
    return _with_value(first.args[0], np.stack([array(one) for one in out])) if same else None


def _is_result(value: Nest, steps: int | None) -> bool:
    """Return whether a value is one result: a tensor, or a list with a tensor a step."""
    many = isinstance(value, list) and len(value) == steps and all(isinstance(v, Tensor) for v in value)
    return isinstance(value, Tensor) or many


def _names(out: Nest) -> list[str]:
    """Return the names of the tensors of one step's result; "" for those inside another, such as states."""
    if isinstance(out, Tensor):
        return ["0"]
    keyed = out.items() if isinstance(out, Mapping) else enumerate(out)
    return [str(k) if isinstance(v, Tensor) else "" for k, v in keyed for _ in tensors(v)]


def _with_value(expr: Expr, value: Nest) -> Expr:
    return Expr(expr.op, expr.args, expr.axes, expr.shape, expr.what, expr.step, value)


def _answer(trace: Trace, row: tuple[int, Expr], cells: Mapping[str, Cell], steps: int | None) -> Answer | None:
    place, expr = row
    if expr.op == "order":
        found = _answer(trace, (place, expr.args[0]), cells, steps)
        note = "the softmax of the answer is left out: its scores are in the same order"
        return None if found is None else replace(found, notes=(*found.notes, note))
    wanted, factor = array(expr.value), 1.0
    if wanted.ndim < LEADING.get(expr.axes, 1):
        return None
    over_time: OverTime = ""
    while expr.op == "scale" and np.ndim(array(expr.what)) == 0 and _reduces(expr.args[0]):
        factor, expr = factor * float(array(expr.what)), expr.args[0]
    if expr.op == "over_time":
        inner, over_time = expr.args[0], "max" if expr.what == "max" else "sum"
        factor, expr = 1.0 if over_time == "max" else factor / (_length(inner) if expr.what == "mean" else 1), inner
    elif expr.op == "pick" and steps is None and expr.step == _length(expr.args[0]) - 1:
        over_time, expr = "last", expr.args[0]
    elif steps is not None and (chain := _chain(expr, steps)) is not None:
        over_time, expr = "sum", Expr("stack", chain, "TB", (steps, *expr.shape))
    elif steps is not None and _last_step(expr) == steps - 1:
        over_time, expr = "last", Expr("stack", (expr,) * steps, "TB", (steps, *expr.shape))
    if not any(e.op in ("spike", "state") for e in leaves(expr)):
        return None
    if expr.op == "stack":
        if steps is not None and len(expr.args) != steps:
            return None
        if not over_time:
            wanted = wanted.swapaxes(0, 1) if expr.axes == "TB" else wanted
        return _made(expr.args[-1], len(expr.args) - 1, cells, wanted, over_time, factor, place)
    if steps is not None:
        return None
    if not over_time and expr.axes in ("TB", "BT"):
        wanted = wanted.swapaxes(0, 1) if expr.axes == "TB" else wanted
    elif not over_time and expr.axes == "merged":
        wanted = _parted(expr, wanted)
    return _made(expr, 0, cells, wanted, over_time, factor, place)


def _length(expr: Expr) -> int:
    """Return the steps of a sequence."""
    return expr.shape[0 if expr.axes == "TB" else 1]


def _last_step(expr: Expr) -> int | None:
    """Return the step of a spike or membrane of one step."""
    while expr.op == "same":
        expr = expr.args[0]
    return expr.step if expr.op in ("spike", "state") and expr.axes == "B" else None


def _reduces(expr: Expr) -> bool:
    return expr.op in ("over_time", "add", "scale") and any(e.op in ("spike", "state") for e in leaves(expr))


def _parted(expr: Expr, wanted: Floats) -> Floats:
    from bimhw.frontends.frameworks.functions import merged_from

    origin = merged_from(expr)
    sizes = origin[1] if origin is not None else (1, wanted.shape[0])
    parted = wanted.reshape(*sizes, *wanted.shape[1:])
    return parted.swapaxes(0, 1) if origin is not None and origin[0] == "TB" else parted


def _made(
    expr: Expr, step: int, cells: Mapping[str, Cell], wanted: Floats, over_time: OverTime, factor: float, place: int
) -> Answer | None:
    while expr.op == "same":
        expr = expr.args[0]
    membrane = expr.op == "state"
    if membrane and cells[str(expr.what)].membrane != expr.args[0].what:
        return None
    notes = [f"the output is the membrane of {expr.what!r}"] if membrane else []
    notes += [_SAYS[over_time]] if over_time else []
    return Answer(expr, step, membrane, wanted, over_time, factor, place, tuple(notes))


def _chain(expr: Expr, steps: int) -> tuple[Expr, ...] | None:
    """Return the steps of a sum that a forward adds up step by step, or None."""
    parts: list[Expr] = []
    while expr.op == "add" and len(expr.args) == 2:
        first, second = expr.args
        if second.op in ("add", "const"):
            first, second = second, first
        parts.append(second)
        expr = first
    if expr.op != "const":
        parts.append(expr)
    parts.reverse()
    numbers = [max((e.step for e in leaves(p) if e.step is not None), default=None) for p in parts]
    return tuple(parts) if steps > 1 and numbers == list(range(steps)) else None
