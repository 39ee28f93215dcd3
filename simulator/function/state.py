"""State and record of a run, and what the parts of a simulation may ask of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from simulator.function.layout import Layout

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Probe = tuple[str, str]  # population, state


@dataclass(eq=False)
class State:
    """All that a run carries from step to step.

    Attributes:
        step: steps done since the start; the key of the random numbers, never reset.
        words: int32 [states, n] of each population.
        rings: sums still to arrive, [slots, ports, n] of each population: slot t % slots is read at step t.
    """

    step: int
    words: list[I32]
    rings: list[npt.NDArray[np.integer]]


@dataclass(eq=False)
class Record:
    """What a run keeps of every step; the activity is counted from it afterwards."""

    ids: list[I32] = field(default_factory=list)
    payload: list[I32 | None] = field(default_factory=list)  # None: all 1
    counts: list[int] = field(default_factory=list)
    active: list[int] = field(default_factory=list)
    saturated: list[int] = field(default_factory=list)
    probes: dict[Probe, list[I32]] = field(default_factory=dict)
    resets: list[int] = field(default_factory=list)  # steps before which all state was reset

    def all_payloads(self) -> I32 | None:
        """Payloads of all events; None where every one is 1."""
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

    def weights(self, projection: str) -> npt.NDArray[np.integer]:
        """Return the weights of a projection, to be changed in place."""
        ...
