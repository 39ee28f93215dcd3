"""The event-driven simulator whose cores shake hands with their neighbours instead of waiting for a barrier.

Cores are in different steps at one time: what they say is kept by step, and a step is closed when its last core is finished.
`simulator.timing.neighbours` states the protocol; spikes and states are those of a barrier.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from simpy.events import Event

from simulator.base.arrays import I32, I64
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.events.engine import SimpyEngine
from simulator.events.host import Soma
from simulator.function.run import recorded_spikes
from simulator.function.state import Probe
from simulator.program.program import Program
from simulator.timing.fabric import Packet
from simulator.timing.forked_tokens import tokens_of
from simulator.timing.handshake import Handshake
from simulator.timing.neighbours import neighbours_of
from simulator.timing.result import TimingRun


class NeighbourEngine(SimpyEngine):
    """A program on a chip, simulated event by event, its cores synchronised by neighbours.

    Args:
        program: what to run.
        chip: what it runs on.
        options: as in `SimpyEngine`, without learning.

    Raises:
        InputError: as `SimpyEngine`; learning phases, which need a quiet chip.
    """

    def __init__(self, program: Program, chip: Chip, **options: Any) -> None:
        super().__init__(program, chip, **options)
        if self.learn_ticks is not None:
            raise InputError("sync 'neighbour'", "does not go with learning phases", "Use barrier")
        self._near = neighbours_of(self.plan)
        mesh = self.plan.mesh
        self._shake = Handshake(self.env, self._near, mesh.handshake_ticks, self._core_begins, self._core_finished)
        self._releases = [Event(self.env) for _ in self.somas]
        self._counts: list[dict[int, int]] = [{} for _ in self.somas]  # packets of the present step by target
        self._left: dict[int, int] = {}  # step -> cores that are not finished with it
        self._seen: dict[int, dict[Probe, I32]] = {}  # step -> states of the neurons that are through with it

    def release_of(self, endpoint: int) -> Event:
        """Return the event that lets a core begin its next step; its value is the step."""
        return self._releases[endpoint]

    def start_of(self, endpoint: int) -> int:
        """Return the tick at which a core begins the step that was released last: now."""
        return int(self.env.now)

    def updated(self, step: int, population: int, lo: int, flags: I64, n_active: int, saturated: I64 | None) -> None:
        """Note that a core updated some neurons of a population, from `lo` on: their states are those of this step only now."""
        super().updated(step, population, lo, flags, n_active, saturated)
        for probe, k, row in self._probed:
            if k == population:
                words = self.state.words[k][row]
                seen = self._seen.setdefault(step, {}).setdefault(probe, np.zeros_like(words))
                seen[lo : lo + flags.size] = words[lo : lo + flags.size]

    def packet_sent(self, packet: Packet) -> None:
        """Note that a packet left its core."""
        super().packet_sent(packet)
        counts = self._counts[packet.source]
        counts[packet.target] = counts.get(packet.target, 0) + 1

    def packet_done(self, packet: Packet) -> None:
        """Note that a packet was served."""
        self._done += 1
        self._shake.served(packet.target)

    def soma_done(self, soma: Soma) -> None:
        """Note that a core's soma has finished its step."""
        counts, self._counts[soma.endpoint] = self._counts[soma.endpoint], {}
        self._shake.soma_done(soma.endpoint, counts)

    def timing(self) -> TimingRun:
        """Return when everything happened so far."""
        return super().timing().with_tokens(tokens_of(self.plan, self._near, recorded_spikes(self.record)))

    def _begin(self) -> None:
        """Let all cores begin the first step of a call of `advance`, on a quiet chip."""
        if self.step_hooks or self.learning is not None:
            raise InputError(
                "sync 'neighbour'", "has no quiet chip between steps for hooks and learning", "Use barrier"
            )
        self._origins.append(int(self.env.now))
        self.messages += [0] * (self._until - self.state.step)
        self.fabric.restart_turns()
        self._shake.start(self.state.step, self._until)

    def _core_begins(self, endpoint: int, step: int) -> None:
        released, self._releases[endpoint] = self._releases[endpoint], Event(self.env)
        released.succeed(step)

    def _core_finished(self, endpoint: int, step: int) -> None:
        self._left[step] = self._left.get(step, len(self.somas)) - 1
        if self._left[step]:
            return
        del self._left[step]
        now = int(self.env.now)
        self.step_ticks.append(now - self._origins[-1])
        self._close_record()
        self.state.step += 1
        self._next_release = now
        if self.state.step < self._until:
            self._origins.append(now)

    def _remember(self, n: int, active: int, saturated: int) -> None:
        probed, self._probed = self._probed, []
        super()._remember(n, active, saturated)
        self._probed = probed
        seen = self._seen.pop(self.state.step, {})
        for probe, k, row in probed:
            self.record.probes[probe].append(seen.get(probe, self.state.words[k][row].copy()))
