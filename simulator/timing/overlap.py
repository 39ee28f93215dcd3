"""Runs whose steps may overlap, and are timed as a whole: by ticks of a fixed period, and by neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from simulator.base.errors import InputError
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain
from simulator.timing.active import active_updates
from simulator.timing.clocked import run_clocked_local
from simulator.timing.compiled import run_compiled_local
from simulator.timing.contract import Mesh, StepTimes, StepWork
from simulator.timing.expand import Chunk, expand, message_counts
from simulator.timing.forked_tokens import tokens_of
from simulator.timing.neighbours import LocalEngine, LocalRun, bound_local, neighbours_of, time_neighbours
from simulator.timing.plan import Plan
from simulator.timing.result import Engine, TimingRun
from simulator.timing.tick import time_ticks


@dataclass(frozen=True, eq=False)
class Overlapping:
    """A run to be timed as a whole; the attributes are arguments of `run_timing`."""

    plan: Plan
    program: Program
    spikes: SpikeTrain
    engine: Engine
    keep: range

    def by_ticks(self, period: int, time_step: Callable[[Mesh, StepWork], StepTimes] | None) -> TimingRun:
        """Time the run where step s begins at s * period.

        Raises:
            InputError: no engine, which is what a bound is here.
        """
        if time_step is None:
            raise InputError("sync 'tick'", f"does not go with the engine {self.engine!r}", "Use sync='barrier'")
        chunk = self._chunk(0, self.spikes.steps)
        t = time_ticks(self.plan, chunk, period, time_step, self.keep)
        return TimingRun(
            engine=self.engine,
            mesh=self.plan.mesh,
            tick_ns=self.plan.costs.tick_ns,
            step_ticks=np.full(self.spikes.steps, period, np.int64),
            messages=message_counts(self.plan, self.spikes),
            soma_busy_ticks=chunk.soma,
            synapse_busy_ticks=chunk.synapse,
            soma_stall_ticks=t.stall,
            link_busy_ticks=t.link_busy,
            steps=t.steps,
            late=t.late,
        )

    def by_neighbours(self, resets: Sequence[int], threads: int) -> TimingRun:
        """Time the run where cores shake hands with their neighbours; what lies between two resets overlaps."""
        near = neighbours_of(self.plan)

        def time(bounds: tuple[int, int]) -> tuple[Chunk, LocalRun]:
            chunk = self._chunk(*bounds)
            return chunk, time_neighbours(self.plan, chunk, near, self._local_engine(), self.keep)

        parts = list(
            pairwise([*dict.fromkeys([0, *(t for t in resets if 0 < t < self.spikes.steps)]), self.spikes.steps])
        )
        with ThreadPoolExecutor(max(1, threads)) as pool:
            timed = list(pool.map(time, [p for p in parts if p[1] > p[0]]))
        m = self.plan.mesh
        zero = np.zeros(m.n_endpoints, np.int64)
        ticks = [np.diff(run.over, prepend=0) for _, run in timed]
        return TimingRun(
            engine=self.engine,
            mesh=m,
            tick_ns=self.plan.costs.tick_ns,
            step_ticks=np.concatenate(ticks) if ticks else np.zeros(0, np.int64),
            messages=message_counts(self.plan, self.spikes),
            soma_busy_ticks=sum((c.soma for c, _ in timed), zero),
            synapse_busy_ticks=sum((c.synapse for c, _ in timed), zero),
            soma_stall_ticks=sum((r.stall for _, r in timed), zero),
            link_busy_ticks=sum((r.link_busy for _, r in timed), np.zeros((m.n_routers, m.n_ports), np.int64)),
            steps={t: v for _, r in timed for t, v in r.steps.items()},
            tokens=tokens_of(self.plan, near, self.spikes),
        )

    def _local_engine(self) -> LocalEngine:
        from simulator.timing.handshake import run_simpy_local

        engines: dict[str, LocalEngine] = {
            "compiled": run_compiled_local, "clocked": run_clocked_local, "simpy": run_simpy_local, "bound": bound_local,
        }  # fmt: skip
        return engines[self.engine]

    def _chunk(self, first: int, last: int) -> Chunk:
        active = None if self.plan.uniform else active_updates(self.program, self.spikes, first, last)
        return expand(self.plan, self.spikes, first, last, active)


def period_ticks(sync: str, period_ns: float | None, plan: Plan) -> int:
    """Return the ticks of a period of tick synchronisation.

    Raises:
        InputError: another policy, or no period above 0.
    """
    if sync != "tick":
        raise InputError(f"sync {sync!r}", "is not known here", "Choose barrier, tick or neighbour")
    if period_ns is None or period_ns <= 0:
        raise InputError("period_ns", f"is {period_ns}; tick synchronisation needs a period above 0")
    return max(1, round(period_ns / plan.costs.tick_ns))
