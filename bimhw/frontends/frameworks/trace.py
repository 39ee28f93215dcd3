"""Run a module once on a sample and note how its tensors come about.

The forward runs as it is, in Python, on real tensors: loops, sizes and branches work, and nothing is guessed from its text.
Neuron layers and layers without state are taken whole (hooks); every other function of torch is noted as it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from bimhw.frontends.frameworks.cell import Cell
from bimhw.frontends.frameworks.expression import Expr, Nest


@dataclass(eq=False)
class Trace:
    """Trace of a run.

    Attributes:
        names: module -> dotted name.
        cells: name -> neuron layer.
        arrived: name -> what each call of a neuron layer took in, in order.
        known: tensor id -> how it came about.
        shapes: name -> shape of a neuron layer, without batch and time.
        function_layers: name -> layer in the form of a function.
        still: the sample has no axis of time; the forward makes one.
        time_axes: input -> axis that a forward walks along, once it does.
        inside: modules that run, the innermost last.
    """

    names: Mapping[nn.Module, str]
    cells: Mapping[str, Cell]
    arrived: dict[str, list[Expr]] = field(default_factory=dict)
    known: dict[int, Expr] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    function_layers: dict[str, nn.Module] = field(default_factory=dict)
    still: bool = False
    time_axes: dict[str, int] = field(default_factory=dict)
    inside: list[str] = field(default_factory=list)
    _names: dict[object, str] = field(default_factory=dict)
    _alive: list[Any] = field(default_factory=list)

    def of(self, value: Nest) -> Expr | None:
        """Return how a tensor came about, or None."""
        return self.known.get(id(value)) if isinstance(value, Tensor) else None

    def keep(self, value: Tensor, expr: Expr) -> None:
        """Note how a tensor came about; it is held, so that its id stays its own."""
        self.known[id(value)] = expr
        self._alive.append(value)

    def function_layer(self, function: str, key: object, layer: nn.Module) -> str:
        """Return the name of a layer in the form of a function; calls with the same arguments share one."""
        if key not in self._names:
            taken = {*self.names.values(), *self.function_layers}
            name, k = function, 2
            while name in taken:
                name, k = f"{function}.{k}", k + 1
            self._names[key], self.function_layers[name] = name, layer
            self._alive.append(layer)
        return self._names[key]


def tensors(value: Nest) -> list[Tensor]:
    """Return the tensors of a nest of tuples, lists and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [t for v in value for t in tensors(v)]
