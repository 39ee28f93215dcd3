"""Learning inside the event-driven simulator: a process a core, which calls the kernels of `plasticity` on its own neurons.

When the barrier finds the chip quiet, every core does its learning phase: it looks at what its neurons did and at the words
that came to it, advances its traces, and writes its weights in place. Nothing is computed beforehand, and nothing by one
core for another; what comes out equals `Learner` (function first). The phase takes the time of the synaptic words that the
core really touched, counted from when that core was quiet. Error words and the words between layers travel as the
functional learner has them, a step later; their packets are counted, not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from simpy.events import Event

from simulator.base.arrays import I64, Array
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.events.engine import SimpyEngine
from simulator.events.steps import CoreSteps
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.layers.net import filled
from simulator.plasticity.learner import Learner, binary_points
from simulator.program.program import HOST, Program
from simulator.timing.run import TimingRun

_STAGES = 3


class LearningPhase:
    """The learning processes of an engine's cores, in step with its barrier; `ended` is called after each step."""

    def __init__(self, engine: SimpyEngine, steps: CoreSteps, ended: Callable[[], None]) -> None:
        self._engine, self.steps, self._ended = engine, steps, ended
        self._gates = self._closed_gates()
        self._waiting = 0
        self._ticks = np.zeros(engine.plan.mesh.n_endpoints, np.int64)
        for core in steps.cores:
            engine.env.process(self._core(core))

    def begin(self, done: Callable[[I64], None]) -> None:
        """Let the quiet chip's cores learn, then call `done` with the ticks of each endpoint."""
        self._done = done
        self._ticks[:] = 0
        self.steps.begin()
        first, self._gates = self._gates[0], self._closed_gates()
        self._waiting = len(self.steps.cores)
        first.succeed()

    def _closed_gates(self) -> list[Event]:
        return [Event(self._engine.env) for _ in range(_STAGES)]

    def _core(self, core: int) -> Generator[Event, Any, None]:
        while True:
            yield self._gates[0]
            self.steps.observe(core)
            self._through(0)
            yield self._gates[1]
            self.steps.visit(core)
            self._through(1)
            yield self._gates[2]
            touched = self.steps.update(core)
            if core != HOST:
                self._ticks[core] = self._engine.plan.costs.learning(touched)
            self._through(2)

    def _through(self, stage: int) -> None:
        """Note that a core has finished a stage."""
        self._waiting -= 1
        if self._waiting:
            return
        if stage + 1 < _STAGES:
            self._waiting = len(self.steps.cores)
            self._gates[stage + 1].succeed()
            return
        if self.steps.end():
            self._engine.parameters_changed()
        self._ended()
        self._done(self._ticks)


class EventLearner(Learner):
    """A `Learner` whose net and whose learning run event by event on a chip.

    Args:
        program: integer and prepared.
        config: of the learning, with binary points.
        chip: what it runs on.
        seed: of stochastic rounding.
        options: of `SimpyEngine` (mesh, router, keep).

    Raises:
        InputError: wide words, another synchronisation than a barrier, or as `SimpyEngine`.
    """

    def __init__(self, program: Program, config: LearnConfig, chip: Chip, seed: int = 0, **options: Any) -> None:
        if config.wide:
            raise InputError("learning: words", "are wide; no chip computes with those", "Learn with words='chip'")
        if options.get("sync", "barrier") != "barrier":
            raise InputError(f"sync {options['sync']!r}", "does not go with learning phases", "Use barrier")
        self._silicon, self._options = chip, options
        super().__init__(program, config, seed)
        assert isinstance(self.forward, ChipForward)
        self._phase = LearningPhase(self.engine, CoreSteps(self), self.forward.snapshot)
        self.engine.learning = self._phase

    def _chip(self, program: Program) -> ChipForward:
        formats, unit = binary_points(program)
        stored = filled(program, self.net)
        self.engine = SimpyEngine(stored, self._silicon, seed=self.seed, **self._options)
        return ChipForward(stored, self.net, formats, unit, self.seed, self.engine)

    def _drive(self, x: Array, steps: int) -> None:
        assert isinstance(self.forward, ChipForward)
        train = self.forward.start(x)
        self.forward.snapshot()
        self._phase.steps.begin_sample()
        self.engine.advance(train, steps)
        self.forward.steps_done += steps

    def timing(self) -> TimingRun:
        """Return when everything happened so far, learning included."""
        return self.engine.timing()
