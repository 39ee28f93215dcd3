"""`RateAssembly`: a traced ReLU network as neurons that carry its activations in one of `bimhw.frontends.ann.codes`.

A maximum is exact where neurons are ReLUs: max(a, b) = relu(a - b) + b.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bimhw.frontends.ann.codes import rate_cell
from bimhw.frontends.frameworks import layers
from bimhw.frontends.frameworks.assemble import Assembly
from bimhw.frontends.frameworks.cell import Cell, NodeSpec
from bimhw.frontends.frameworks.expression import Expr, leaves

Terms = dict[Any, float]  # window position or auxiliary layer -> factor


@dataclass(eq=False)
class RateAssembly(Assembly):
    """An assembly whose values are activations, not spikes.

    Attributes:
        neuron: largest activation -> neuron layer of a ReLU.
    """

    neuron: Callable[[float], Cell] = rate_cell

    def max_pool(self, expr: Expr, below: list[str]) -> list[str]:
        """Add the maximum over windows of rates that are not negative, pair by pair."""
        name = str(expr.what)
        kernel = layers.summed(name, self.modules[name])[1]
        size = tuple(int(k) for k in np.broadcast_to(kernel["kernel_size"], (2,)))
        largest = max(float(np.max(self.cells[str(e.what)].theta)) for e in leaves(expr) if e.op == "spike")  # type: ignore[arg-type]  # fires
        rows: list[Terms] = [{k: 1.0} for k in range(size[0] * size[1])]

        def source(terms: Terms, label: str) -> list[str]:
            return self._combined(terms, label, expr, below, kernel, size)

        count = 0
        while len(rows) > 1:
            a, b = rows.pop(0), rows.pop(0)
            aux, count = self.unused(f"{name}.max{count}"), count + 1
            self.cells[aux] = self.neuron(largest)
            arriving = source(_minus(a, b), f"{aux}.difference")
            self.nodes[aux] = self.cells[aux].placeholder(expr.features)
            self.join(arriving, aux)
            rows.append(b | {aux: 1.0})
        return source(rows[0], name)

    def _combined(
        self, terms: Terms, label: str, expr: Expr, below: list[str], kernel: dict[str, Any], size: tuple[int, ...]
    ) -> list[str]:
        """Return the nodes whose sum is a combination of window positions and auxiliary layers."""
        channels = expr.args[0].features[0]
        window = np.zeros(size[0] * size[1])
        out: list[str] = []
        for key, factor in terms.items():
            if isinstance(key, int):
                window[key] = factor
            else:
                out += self.sent(key) if factor == 1 else self._negated(key, label, expr)
        if window.any():
            weight = np.broadcast_to(window.reshape(1, 1, *size), (channels, 1, *size)).copy()
            fields = {"weight": weight, "groups": channels, "stride": kernel["stride"], "padding": kernel["padding"]}
            fields |= {k: tuple(int(v) for v in np.broadcast_to(fields[k], (2,))) for k in ("stride", "padding")}
            out += self.after(below, f"{label}.window", ("Conv2d", fields))
        return out

    def _negated(self, key: str, label: str, expr: Expr) -> list[str]:
        spec: NodeSpec = ("Scale", {"scale": np.full(expr.features, -1.0)})
        return self.after(self.sent(key), f"{label}.minus", spec)


def _minus(a: Terms, b: Terms) -> Terms:
    out = {k: a.get(k, 0.0) - b.get(k, 0.0) for k in a | b}
    return {k: v for k, v in out.items() if v}
