"""Constants that reach a neuron layer: in every step, or from the second step on."""

from __future__ import annotations

import numpy as np

from bimhw.frontends.frameworks.affine import MOST_ENTRIES
from bimhw.frontends.frameworks.cell import Cell, NodeSpec, array
from bimhw.frontends.frameworks.expression import Expr
from bimhw.frontends.frameworks.nodes import Nodes
from simulator.base.arrays import Floats
from simulator.base.errors import FitError


def constant(a: Nodes, value: Floats, expr: Expr) -> list[str]:
    """Return a node that gives a constant, of which `expr` is a sum."""
    lead, size = expr.shape[: len(expr.shape) - len(expr.features)], int(np.prod(expr.features))
    rows = np.broadcast_to(value, expr.shape).reshape(int(np.prod(lead)), size)
    if (rows != rows[:1]).any():
        raise unexpected()
    return a.reshaped(_held(a, "constant", rows[0]), (size,), expr.features)


def unexpected() -> FitError:
    """Return the error of a constant that cannot be fed in."""
    way_out = "Put it into the bias of a layer, or give the module its input"
    return FitError("a constant tensor", "is fed in where the input or spikes are expected", way_out)


def _held(a: Nodes, name: str, values: Floats) -> list[str]:
    """Return a node that gives values [n] in every step: a bias on weights of 0 from the input."""
    source, shape = next(iter(a.input_shapes.items()), ("", ()))
    inputs = int(np.prod(shape))
    if not a.input_shapes or inputs * values.size > MOST_ENTRIES:
        raise unexpected()
    spec: NodeSpec = ("Affine", {"weight": np.zeros((values.size, inputs)), "bias": values.copy()})
    return a.after(a.reshaped([source], shape, (inputs,)), name, spec)


def later(a: Nodes, name: str, weights: NodeSpec, target: str, shape: tuple[int, ...]) -> NodeSpec:
    """Feed the bias of a layer's recurrent weights in from the second step on, and return the weights without it.

    It comes over a synapse from a neuron that fires in every step.
    """
    kind, fields = weights
    bias = array(fields.get("bias", 0.0))
    if not np.any(bias):
        return weights
    each = bias if kind == "Affine" else bias.reshape(-1, *(1 for _ in shape[1:]))
    full = np.broadcast_to(each, shape).reshape(-1, 1)
    one = Cell(keep=np.ones(()), gain=np.ones(()), rest=np.zeros(()), theta=np.full((), 0.5))
    node = a.add(f"{name}.ever", one.placeholder((1,)))
    a.forms[node] = one.form()
    a.join(_held(a, f"{name}.one", np.ones(1)), node)
    spread: NodeSpec = ("Affine", {"weight": full, "bias": np.zeros(full.size)})
    late = a.after(a.delayed([node], 1, (1,)), f"{name}.bias", spread)
    a.join(a.reshaped(late, (full.size,), shape), target)
    return kind, fields | {"bias": np.zeros_like(bias)}
