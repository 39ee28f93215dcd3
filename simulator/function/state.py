"""State and record of a run, and what the parts of a simulation may ask of it."""

from __future__ import annotations

from array import array
from collections.abc import MutableSequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from simulator.base.arrays import I32, I64, AnyInts, Integers
from simulator.base.shown import Shown
from simulator.function.layout import Layout

Probe = tuple[str, str]  # population, state


@dataclass(eq=False, repr=False)
class State(Shown):
    """State of a run between steps.

    Attributes:
        step: steps done since the start; the key of the random numbers, never reset.
        words: int32 [states, n] of each population.
        rings: sums still to arrive, [slots, ports, n] of each population: slot t % slots is read at step t.
    """

    step: int
    words: list[I32]
    rings: list[Integers]


_JOINED_STEPS = 1024


def _words() -> MutableSequence[int]:
    """Return an empty sequence that holds an integer in 8 bytes (a list takes 36)."""
    return array("q")


@dataclass(eq=False)
class Record:
    """Record of every step of a run; the activity is counted from it afterwards."""

    ids: list[I32] = field(default_factory=list)
    payload: list[I32 | None] = field(default_factory=list)  # None: all 1
    counts: MutableSequence[int] = field(default_factory=_words)
    active: MutableSequence[int] = field(default_factory=_words)
    saturated: MutableSequence[int] = field(default_factory=_words)
    probes: dict[Probe, list[I32]] = field(default_factory=dict)
    resets: list[int] = field(default_factory=list)  # steps before which all state was reset
    loose: int = 0  # last entries of `ids` that hold one step each

    def remember(self, ids: I32, payload: I32 | None) -> None:
        """Add the events of one step; many steps become one array, which takes a tenth of the memory of small ones."""
        self.ids.append(ids)
        self.payload.append(payload)
        self.loose += 1
        if self.loose == _JOINED_STEPS:
            parts = Record(self.ids[-self.loose :], self.payload[-self.loose :])
            joined = np.concatenate(parts.ids), parts.all_payloads()
            del self.ids[-self.loose :], self.payload[-self.loose :]
            self.ids.append(joined[0])
            self.payload.append(joined[1])
            self.loose = 0

    def all_payloads(self) -> I32 | None:
        """Return the payloads of all events; None where every one is 1."""
        if all(p is None for p in self.payload):
            return None
        parts = [np.ones(i.size, np.int32) if p is None else p for i, p in zip(self.ids, self.payload, strict=True)]
        payload = np.concatenate(parts)
        return None if (payload == 1).all() else payload


class Running(Protocol):
    """A simulation as its fast loop and its faults see it."""

    layout: Layout
    state: State
    record: Record
    active_of_neuron: I64

    def weights(self, projection: str) -> AnyInts:
        """Return the weights of a projection, to be changed in place."""
        ...
