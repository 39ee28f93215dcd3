"""Interface of a chip to a core of the event-driven engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import simpy
from simpy.events import Event

from simulator.base.arrays import I16, I64, Integers
from simulator.function.layout import Layout, Synapses
from simulator.function.state import State
from simulator.timing.fabric import Fabric, Packet
from simulator.timing.plan import Plan


@dataclass(frozen=True, eq=False)
class Route:
    """Synapses of one projection that each packet meets: ``order[lo[r]:hi[r]]`` for the packet of row r of the plan."""

    order: I64
    lo: I64
    hi: I64


@dataclass(eq=False)
class OpenStep:
    """Reports of the cores so far on a step that is not over everywhere.

    Attributes:
        fired: ids and payloads of those that fired.
        active: updates with an input or a spike.
        saturated: values that left their word.
    """

    fired: list[tuple[I64, I64]] = field(default_factory=list)
    active: int = 0
    saturated: int = 0


class Soma(Protocol):
    """The neuron-update process of a core."""

    working: bool
    endpoint: int


class Stage(Protocol):
    """The synapse process of a core."""

    next_update: int


class CoreHost(Protocol):
    """The engine as its cores see it."""

    layout: Layout
    state: State
    seed: int
    plan: Plan
    env: simpy.Environment
    fabric: Fabric
    keep: range
    rings: list[Integers]
    routes: list[list[tuple[Synapses, Route]]]
    population_of: I16

    @property
    def inputs(self) -> Sequence[Stage]:
        """Return the synapse stages by endpoint."""
        ...

    def release_of(self, endpoint: int) -> Event:
        """Return the event that lets a core begin its next step."""
        ...

    def start_of(self, endpoint: int) -> int:
        """Return the tick at which a core begins the step that was released last."""
        ...

    def driven(self, population: int, step: int, endpoint: int) -> tuple[I64, I64]:
        """Return the input events of a population at one endpoint: local ids ascending, payloads."""
        ...

    def updated(self, step: int, population: int, lo: int, flags: I64, n_active: int, saturated: I64 | None) -> None:
        """Record that a core updated neurons of a population, from `lo` on."""
        ...

    def fired(self, step: int, positions: I64, payload: I64) -> None:
        """Record that neurons (by position in the plan) fired."""
        ...

    def packet_sent(self, packet: Packet) -> None:
        """Record that a packet left its core."""
        ...

    def packet_done(self, packet: Packet) -> None:
        """Record that a packet was served."""
        ...

    def soma_done(self, soma: Soma) -> None:
        """Record that a core has finished its neuron updates of the step."""
        ...
