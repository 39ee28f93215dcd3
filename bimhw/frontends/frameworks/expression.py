"""`Expr`: how a traced tensor came about, as a graph whose leaves are the input and the neuron layers' outputs.

Axes of a value: ``B`` one step [B, ...]; ``TB`` [T, B, ...]; ``BT`` [B, T, ...]; ``merged`` both in one axis; ``?`` not yet
known (the sample before anything tells).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LEADING = {"B": 1, "merged": 1, "TB": 2, "BT": 2}


@dataclass(frozen=True, eq=False)
class Expr:
    """A traced value.

    Attributes:
        op: ``input``, ``spike``, ``state`` (of a neuron layer), ``layer``, ``add``, ``scale``, ``flatten``, ``same``,
            ``stack`` (steps to a sequence), ``over_time`` (a sum or mean of a sequence), ``const`` or ``unknown``.
        args: what it was made of.
        axes: as in the module's docstring.
        shape: of the whole tensor.
        what: the layer's name, a factor, an unknown function's name, or a constant's value.
        step: of an input, spike or state, the step it belongs to; None where it is a sequence or the same in every step.
        value: the tensor itself where results are compared.
    """

    op: str
    args: tuple[Expr, ...] = ()
    axes: str = "B"
    shape: tuple[int, ...] = ()
    what: Any = None
    step: int | None = None
    value: Any = None

    @property
    def features(self) -> tuple[int, ...]:
        """The shape without batch and time."""
        return self.shape[LEADING.get(self.axes, 1) :]


def leaves(expr: Expr) -> Iterator[Expr]:
    """Yield the inputs, spikes, states, constants and unknowns that a value was made of."""
    seen: set[int] = set()
    todo = [expr]
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if not one.args:
            yield one
        todo.extend(one.args)


def signature(expr: Expr, step: int, memo: dict[int, Any]) -> Any:
    """Return a value that two expressions share exactly where they do the same, seen from their own step."""
    if id(expr) in memo:
        return memo[id(expr)]
    lag = None if expr.step is None else step - expr.step
    what = id(expr.what) if expr.op in ("const", "scale") and hasattr(expr.what, "shape") else expr.what
    out = hash((expr.op, what, lag, tuple(signature(a, step, memo) for a in expr.args)))
    memo[id(expr)] = out
    return out
