"""`RateAssembly`: a traced ReLU network as neurons that carry its activations in one of `bimhw.frontends.ann.codes`.

A maximum is exact where neurons are ReLUs: max(a, b) = relu(a - b) + b.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bimhw.frontends.ann.codes import rate_cell
from bimhw.frontends.ann.pieces import WAY, is_activation
from bimhw.frontends.ann.relus import ANY_POOL
from bimhw.frontends.frameworks import layers
from bimhw.frontends.frameworks.affine import MOST_ENTRIES, windows
from bimhw.frontends.frameworks.assemble import Assembly
from bimhw.frontends.frameworks.cell import Cell, NodeSpec
from bimhw.frontends.frameworks.expression import Expr, within
from simulator.base.arrays import Floats
from simulator.base.errors import FitError

Weighed = Callable[[Floats, str], list[str]]  # (factor of each place of a window, name) -> nodes that give their sum
Terms = dict[Any, float]  # window position or auxiliary layer -> factor


@dataclass(eq=False)
class RateAssembly(Assembly):
    """An assembly whose values are activations, not spikes.

    Attributes:
        neuron: largest activation -> neuron layer of a ReLU.
        spans: maximum pool -> largest difference between the values of a window.
    """

    neuron: Callable[[float], Cell] = rate_cell
    spans: Mapping[str, float] = field(default_factory=dict)

    def max_pool(self, expr: Expr, below: list[str]) -> list[str]:
        """Add the maximum over windows, pair by pair."""
        name, source = str(expr.what), _plain(expr.args[0])
        places, weighed = self._window(expr, below)
        if source.op == "spike":
            largest = float(np.max(self.cells[str(source.what)].theta))  # type: ignore[arg-type]  # fires
        else:
            largest = self.spans.get(name, self.spans.get(ANY_POOL, 1.0))
        rows: list[Terms] = [{k: 1.0} for k in range(places)]

        def combined(terms: Terms, label: str) -> list[str]:
            """Return the nodes whose sum is a combination of window positions and auxiliary layers."""
            factors, out = np.zeros(places), list[str]()
            for key, factor in terms.items():
                if isinstance(key, int):
                    factors[key] = factor
                else:
                    out += self.sent(key) if factor == 1 else self._negated(key, label, expr)
            return out + (weighed(factors, f"{label}.window") if factors.any() else [])

        count = 0
        while len(rows) > 1:
            a, b = rows.pop(0), rows.pop(0)
            aux, count = self.unused(f"{name}.max{count}"), count + 1
            self.cells[aux] = self.neuron(largest)
            arriving = combined(_minus(a, b), f"{aux}.difference")
            self.nodes[aux] = self.cells[aux].placeholder(expr.features)
            self.join(arriving, aux)
            rows.append(b | {aux: 1.0})
        return combined(rows[0], name)

    def unknown(self, expr: Expr) -> FitError:
        """Return the error of an activation that is no sum of ReLUs, by its layer."""
        what = str([e for e in within(expr) if e.op == "unknown"][-1].what[0]).replace("_", "")  # as the base names it
        found = (n for n, m in self.modules.items() if type(m).__name__.lower() == what and is_activation(m))
        name = next(found, None)
        if name is None:
            return super().unknown(expr)
        where = f"layer {name!r} ({type(self.modules[name]).__name__})"
        if "softmax" in what:
            return FitError(
                where, "has no spiking form", "Leave it out at the end: the largest output stays the largest"
            )
        return FitError(where, "is no sum of straight pieces, which ReLU neurons carry", WAY)

    def _window(self, expr: Expr, below: list[str]) -> tuple[int, Weighed]:
        """Return the places of a maximum pool's window, and what adds the sum of them by their factors.

        A pool is a convolution, or a matrix where its windows differ or are padded beside values that may be negative.
        """
        name, source = str(expr.what), expr.args[0]
        kernel = _kernel(name, self.modules[name], _plain(source).op == "spike")
        if kernel is None:
            return self._by_matrix(expr, below)
        size = tuple(int(k) for k in np.broadcast_to(kernel["kernel_size"], (2,)))
        channels = source.features[0]
        fields = {k: tuple(int(v) for v in np.broadcast_to(kernel[k], (2,))) for k in ("stride", "padding")}

        def weighed(factors: Floats, label: str) -> list[str]:
            weight = np.broadcast_to(factors.reshape(1, 1, *size), (channels, 1, *size)).copy()
            return self.after(below, label, ("Conv2d", {"weight": weight, "groups": channels, **fields}))

        return size[0] * size[1], weighed

    def _by_matrix(self, expr: Expr, below: list[str]) -> tuple[int, Weighed]:
        name, source = str(expr.what), expr.args[0]
        sums = windows(self.modules[name], source.features)
        if sums is None:
            where = f"layer {name!r} ({type(self.modules[name]).__name__})"
            problem = (
                f"needs a matrix of more than {MOST_ENTRIES:,} entries: its windows differ, or meet negative values"
            )
            raise FitError(where, problem, "Put a MaxPool2d with its defaults behind the ReLU")
        members = [np.flatnonzero(row) for row in sums.matrix]
        places = max(m.size for m in members)
        at = np.array([np.concatenate([m, np.repeat(m[-1:], places - m.size)]) for m in members])

        def weighed(factors: Floats, label: str) -> list[str]:
            matrix = np.zeros_like(sums.matrix)
            for k, factor in enumerate(factors):
                matrix[np.arange(len(at)), at[:, k]] += factor
            return self.matrix(below, replace(sums, name=label, matrix=matrix), source.features, expr.features)

        return places, weighed

    def _negated(self, key: str, label: str, expr: Expr) -> list[str]:
        spec: NodeSpec = ("Scale", {"scale": np.full(expr.features, -1.0)})
        return self.after(self.sent(key), f"{label}.minus", spec)


def _plain(expr: Expr) -> Expr:
    """Return what a value that was only handed on was."""
    while expr.op == "same":
        expr = expr.args[0]
    return expr


def _kernel(name: str, pool: Any, spikes: bool) -> dict[str, Any] | None:
    """Return the window of a maximum pool as a convolution's, or None where it has none."""
    try:
        kernel = layers.summed(name, pool)[1]
    except FitError:
        return None
    return kernel if spikes or not np.any(kernel["padding"]) else None


def _minus(a: Terms, b: Terms) -> Terms:
    out = {k: a.get(k, 0.0) - b.get(k, 0.0) for k in a | b}
    return {k: v for k, v in out.items() if v}
