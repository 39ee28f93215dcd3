"""Readers of the frameworks' neuron layers: one module a framework, found by the package that a class comes from.

A reader module has ``CELLS``, class name -> function from the layer to its `Cell`; ``BASES``, names of the classes that all
neuron layers of the framework descend from, so that an unknown one is named; perhaps ``HOME``, the package of nothing but
neuron layers; ``REFUSED``, class name -> (why it has no form here, the way out); and ``reset``, which returns a layer to its
start. Nothing is imported from a framework: the objects are at hand.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from torch import nn

from bimhw.frontends.frameworks.cell import Cell
from simulator.base.errors import FitError


@cache
def _reader(package: str) -> ModuleType | None:
    if package not in frameworks():
        return None
    return importlib.import_module(f"{__name__}.{package}")


@cache
def frameworks() -> tuple[str, ...]:
    """Return the packages whose layers can be read."""
    return tuple(m.name for m in pkgutil.iter_modules(__path__))


def _found(module: Any) -> tuple[ModuleType, str] | None:
    """Return the reader and the class name of a neuron layer: the first class of a framework among its ancestors."""
    for cls in type(module).__mro__:
        reader = _reader(cls.__module__.split(".")[0])
        if reader is None:
            continue
        named = cls.__name__ in reader.CELLS or any(b.__name__ in reader.BASES for b in cls.__mro__[:-1])
        if named or cls.__module__.startswith(getattr(reader, "HOME", "-")):
            return reader, cls.__name__
        return None
    return None


def is_cell(module: Any) -> bool:
    """Return whether a module is a neuron layer that can be read."""
    return _found(module) is not None


def known_cells() -> dict[str, tuple[str, ...]]:
    """Return the class names of each framework's neuron layers."""
    return {f: tuple(reader.CELLS) for f in frameworks() if (reader := _reader(f)) is not None}


def read_cell(name: str, module: Any) -> Cell:
    """Read a neuron layer.

    Raises:
        FitError: by the layer's name: an option that no neuron here has.
    """
    found = _found(module)
    assert found is not None
    reader, kind = found
    where = f"layer {name!r} ({kind})"
    if kind not in reader.CELLS:
        framework = reader.__name__.rsplit(".", 1)[1]
        why, way = getattr(reader, "REFUSED", {}).get(kind, ("", ""))
        known = f"Known of {framework}: {', '.join(reader.CELLS)}"
        problem = "is a neuron that has no form here" + (f": it {why}" if why else "")
        raise FitError(where, problem, f"{way}. {known}" if way else known)
    try:
        cell: Cell = reader.CELLS[kind](module)
        return cell
    except Unreadable as error:
        raise FitError(where, error.problem, error.way_out) from None


def reset_all(module: nn.Module) -> None:
    """Return all layers of a module to the state before their first step, with what containers keep of the last step."""
    for inner in nn.Module.modules(module):
        found = _found(inner)
        if found is not None:
            found[0].reset(inner)
        elif keeps_state(inner):
            inner.reset()  # type: ignore[operator]  # a method of SpikingJelly's MemoryModule


def keeps_state(module: object) -> bool:
    """Return whether a module that is no neuron layer keeps something from step to step, as SpikingJelly says of its own."""
    return bool(getattr(module, "_memories", None)) and not is_cell(module)


class Unreadable(Exception):
    """An option that no neuron here has."""

    def __init__(self, problem: str, way_out: str) -> None:
        super().__init__(problem)
        self.problem, self.way_out = problem, way_out
