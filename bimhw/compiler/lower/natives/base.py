"""Registry of converters: chip neuron -> how it says what a population of the front ends' neurons says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.program.graph import Population


@dataclass(frozen=True)
class Native:
    """A converter to one neuron model of a chip.

    Attributes:
        target: name of the chip's model.
        families: families of models that it takes.
        reason: (population, whether it sends to others) -> what the target cannot say of it, "" if all can be said.
        convert: float population -> float population of the target. Equal spikes in the float engine, to the bit where
            the docstring of the converter does not state an error.
        same_silicon: further models of a chip that are modes of the same neuron: what this cannot say, they cannot.
    """

    target: str
    families: tuple[str, ...]
    reason: Callable[[Population, bool], str]
    convert: Callable[[Population], Population]
    same_silicon: frozenset[str] = frozenset()


_NATIVES: dict[str, Native] = {}


def register(native: Native) -> Native:
    """Make a converter known; a second one to the same model replaces the first."""
    _NATIVES[native.target] = native
    return native


def unregister(target: str) -> None:
    """Forget a converter, as a test that registered one does."""
    _NATIVES.pop(target, None)


def natives_of(models: tuple[str, ...]) -> tuple[Native, ...]:
    """Return the converters to these models of a chip, in its order."""
    import bimhw.compiler.lower.natives  # noqa: F401 - registers the built-in converters

    found: list[Native] = []
    for name in models:
        if name in _NATIVES and not any(name in native.same_silicon for native in found):
            found.append(_NATIVES[name])
    return tuple(found)
