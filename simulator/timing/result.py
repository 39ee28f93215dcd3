"""Result of every timing engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from simulator.base.arrays import I64, Floats
from simulator.base.shown import Shown
from simulator.timing.contract import Mesh, StepTimes, StepWork
from simulator.timing.forked_tokens import Tokens

Engine = Literal["clocked", "simpy", "compiled", "bound"]


@dataclass(frozen=True, eq=False, repr=False)
class TimingRun(Shown):
    """Times of a run.

    Attributes:
        engine: which engine said so.
        mesh: the hardware, in ticks.
        tick_ns: length of a tick.
        step_ticks: int64 [T], ticks of each step, its barrier included; by neighbours: from the tick at which the step before was
            finished everywhere.
        messages: int64 [T].
        soma_busy_ticks: int64 [C], soma and axon-out work of each endpoint (cores, then the host).
        synapse_busy_ticks: int64 [C], service of packets.
        soma_stall_ticks: int64 [C], somas waiting for a free slot; zeros for ``bound``, which knows no queues.
        link_busy_ticks: int64 [R, P], busy ticks of each router output.
        steps: step -> (work, times) of the steps that were asked for, counted from the release of each.
        late: int64 [T], messages done after their tick had ended (tick synchronisation), else None.
        tokens: tokens between neighbours (neighbour synchronisation), else None.
    """

    engine: Engine
    mesh: Mesh
    tick_ns: float
    step_ticks: I64
    messages: I64
    soma_busy_ticks: I64
    synapse_busy_ticks: I64
    soma_stall_ticks: I64
    link_busy_ticks: I64
    steps: Mapping[int, tuple[StepWork, StepTimes]] = field(default_factory=dict)
    late: I64 | None = None
    tokens: Tokens | None = None

    def with_tokens(self, tokens: Tokens) -> TimingRun:
        """Return the same with the tokens between neighbours."""
        return replace(self, tokens=tokens)

    @property
    def sim_time_ns(self) -> float:
        """Simulated time of the whole run."""
        return float(self.step_ticks.sum()) * self.tick_ns

    @property
    def step_time_ns(self) -> Floats:
        """Simulated time of each step, float64 [T]."""
        return self.step_ticks.astype(np.float64) * self.tick_ns
