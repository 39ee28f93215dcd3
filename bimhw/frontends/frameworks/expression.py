"""`Expr`: how a traced tensor came about, as a graph whose leaves are the input and the neuron layers' outputs.

Axes of a value: ``B`` one step [B, ...]; ``TB`` [T, B, ...]; ``BT`` [B, T, ...]; ``merged`` both in one axis; ``?`` not yet
known (the sample before anything tells).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bimhw.models.tensors import as_array

Args = tuple[Any, ...]  # of a call
Kwargs = Mapping[str, Any]
Nest = Any  # tensors in tuples, lists and dicts
LEADING = {"B": 1, "merged": 1, "TB": 2, "BT": 2}


@dataclass(frozen=True, eq=False)
class Expr:
    """A traced value.

    Attributes:
        op: ``input``, ``spike``, ``state`` (of a neuron layer), ``layer``, ``add``, ``scale``, ``flatten``, ``same``,
            ``stack`` (steps to a sequence), ``over_time`` (a sum or mean of a sequence), ``affine`` (a linear function
            found by probing), ``both`` (a product of two), ``order`` (a softmax), ``const`` or ``unknown``.
        args: what it was made of.
        axes: as in the module's docstring.
        shape: of the whole tensor.
        what: the input's or layer's name, a factor, a function's name and matrix, an unknown function's name, or a
            constant's value.
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


def common_axes(exprs: Sequence[Expr]) -> str | None:
    """Return the axes that values share; one that is the same in every step (``?``) goes with values of one step."""
    axes = {e.axes for e in exprs}
    if len(axes) > 1:
        axes.discard("?")
    return axes.pop() if len(axes) == 1 and (axes == {"B"} or len({e.axes for e in exprs}) == 1) else None


def within(expr: Expr) -> Iterator[Expr]:
    """Yield an expression and all that it was made of, each once."""
    seen: set[int] = set()
    todo = [expr]
    while todo:
        one = todo.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            todo.extend(() if one.op == "state" else one.args)  # a state's argument is its place among the results


def leaves(expr: Expr) -> Iterator[Expr]:
    """Yield the inputs, spikes, states, constants and unknowns that a value was made of."""
    return (one for one in within(expr) if not one.args or one.op == "state")


def signature(expr: Expr, step: int, memo: dict[int, Any]) -> Any:
    """Return a value that two expressions share exactly where they do the same, seen from their own step."""
    if id(expr) in memo:
        return memo[id(expr)]
    lag = None if expr.step is None else step - expr.step
    what = expr.what.key() if expr.op == "affine" else expr.what
    if expr.op in ("const", "scale") and hasattr(what, "detach"):
        what = as_array(what).tobytes()
    out = hash((expr.op, what, lag, tuple(signature(a, step, memo) for a in expr.args)))
    memo[id(expr)] = out
    return out
