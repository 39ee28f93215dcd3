"""Maxima and rectifications of values that are not spikes, by graded neurons without memory.

    relu(x): a neuron with v = max(x, 0) that sends v in every step
    max(x_1 .. x_k), one neuron after another:  m_1 = x_1,  m_j = x_j + relu(m_(j-1) - x_j)

Exact in real numbers; doubles round each sum. Each relu is a population, and its layer comes a step later on the chip.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import nn

from bimhw.frontends.frameworks import layers
from bimhw.frontends.frameworks.affine import Affine, windows
from bimhw.frontends.frameworks.cell import Cell, NodeSpec
from bimhw.frontends.frameworks.expression import Expr
from bimhw.frontends.frameworks.nodes import Nodes
from simulator.base.errors import FitError

MOST_WINDOW = 16  # values of a window: each but the first is a population
_RELU = Cell(keep=np.zeros(()), gain=np.ones(()), rest=np.zeros(()), v_min=0.0)


def relu(a: Nodes, sources: list[str], name: str, shape: tuple[int, ...]) -> list[str]:
    """Add a rectification of a value of `shape` and return its node."""
    node = a.add(name, _RELU.placeholder(shape))
    a.forms[node] = _RELU.form()
    a.join(sources, node)
    return [node]


def maximum(a: Nodes, module: Any, expr: Expr, below: list[str]) -> list[str]:
    """Add a maximum pool of values that are not spikes.

    Raises:
        FitError: windows of too many values, or of a pool whose windows are not known.
    """
    name, shape = str(expr.what), expr.features
    found: list[str] | None = None
    for k, part in enumerate(_members(name, module, expr.args[0].features)):
        if isinstance(part, Affine):
            value = a.matrix(below, part, expr.args[0].features, shape)
        else:
            value = a.after(below, f"{name}.{k}", part)
        if found is None:
            found = value
            continue
        turned = a.after(value, f"{name}.{k}.less", ("Scale", {"scale": np.full(shape, -1.0)}))
        found = [*value, *relu(a, [*found, *turned], f"{name}.{k}.more", shape)]
    assert found is not None
    return found


def _members(name: str, module: Any, features: tuple[int, ...]) -> Iterator[NodeSpec | Affine]:
    """Yield the linear functions that pick the first, second, ... value of each window."""
    try:
        fields = layers.summed(name, module)[1] if isinstance(module, nn.MaxPool2d) and len(features) == 3 else None
    except FitError:
        fields = None
    if fields is not None and not np.any(fields["padding"]):
        kernel = np.broadcast_to(fields["kernel_size"], (2,))
        _check(name, module, int(kernel.prod()))
        for at in np.ndindex(*kernel):
            weight = np.zeros((features[0], 1, *kernel))
            weight[(slice(None), 0, *at)] = 1.0
            more = {"stride": np.broadcast_to(fields["stride"], (2,)).copy(), "dilation": np.ones(2, np.int64)}
            yield "Conv2d", {"weight": weight, "groups": features[0], "padding": (0, 0)} | more
        return
    part = windows(module, features)
    if part is None:
        where = f"layer {name!r} ({type(module).__name__})"
        raise FitError(where, "takes the maximum over windows of too many values", "Use MaxPool2d without padding")
    members = [np.flatnonzero(row) for row in part.matrix]
    size = max(m.size for m in members)
    _check(name, module, size)
    for k in range(size):
        matrix = np.zeros(part.matrix.shape)
        matrix[np.arange(len(members)), [m[min(k, m.size - 1)] for m in members]] = 1.0
        yield Affine(f"{part.name}.{k}", matrix, np.zeros(len(members)))


def _check(name: str, module: Any, size: int) -> None:
    if size > MOST_WINDOW:
        raise FitError(
            f"layer {name!r} ({type(module).__name__})",
            f"takes the maximum of {size} values that are not spikes, each a population of its own; {MOST_WINDOW} are the most",
            "Put it after a spiking layer, or use an average pool",
        )
