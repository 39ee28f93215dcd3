"""Times of learning: the compiled (or any other) timing of what a learner did, its learning phases included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.base.arrays import U8
from simulator.base.errors import InputError
from simulator.chips.chip import Chip
from simulator.function.run import recorded_spikes
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.learner import Learner
from simulator.plasticity.words.counts import LearnCounts
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window
from simulator.timing.run import TimingRun, run_timing


@dataclass(frozen=True, eq=False)
class Noted:
    """Facts that the timing of a run that learnt needs.

    Attributes:
        program: that ran; synapses that pruning switched off keep their place in memory.
        spikes: of all steps.
        counts: of the operations of learning.
        active: of each step, the bits of the neurons that had an input or fired, as `numpy.packbits` packs them. Weights
            change while a run learns, so no program tells them afterwards.
        first: chip step of the run that spikes and bits begin with.
    """

    program: Program
    spikes: SpikeTrain
    counts: LearnCounts
    active: Sequence[U8]
    first: int = 0

    def time(self, chip: Chip, steps: range, **options: Any) -> TimingRun:
        """Time some steps, one after another, counted from `first`; see `time_learning`."""
        packed = np.array(self.active[steps.start : steps.stop], np.uint8).reshape(len(steps), -1)
        active = np.unpackbits(packed, axis=1, count=self.program.n_neurons).astype(bool)
        sizes = [p.size for p in self.program.populations]
        mesh = options.get("mesh")
        n_cores = chip.topology.mesh_cores if mesh is None else mesh.n_cores
        in_run = range(self.first + steps.start, self.first + steps.stop)
        touched = self.counts.touched(in_run, self.program.core, sizes, n_cores)
        spikes = window(self.spikes, steps.start, steps.stop)
        return run_timing(self.program, chip, spikes, learn_synapses=touched, active=active, **options)


def noted_by(learner: Learner) -> Noted:
    """Return what a learner noted for its timing.

    Raises:
        InputError: wide words, or a learner that was not made to be timed.
    """
    forward = learner.forward
    noted = forward.active if isinstance(forward, ChipForward) else None
    if not isinstance(forward, ChipForward) or noted is None or len(noted) != learner.steps_done:
        raise InputError(
            "learner",
            "did not note what its timing needs",
            "Make it with words='chip' and timed=True, and do all in one go",
        )
    simulation = forward.simulation
    return Noted(simulation.layout.program, recorded_spikes(simulation.record), learner.counts, noted)


def time_learning(learner: Learner, chip: Chip, steps: range | None = None, **options: Any) -> TimingRun:
    """Time chip steps of a learner that ran function first.

    Each core's learning phase takes the time of the synaptic words that it touched in the step. Synapses keep their place
    in memory while they learn, so a packet also visits those that pruning has switched off.

    Args:
        learner: made with ``timed=True``.
        chip: what it ran on.
        steps: chip steps to time, one after another; all by default.
        options: of `run_timing` (engine, threads, keep, mesh ...).

    Raises:
        InputError: wide words, a learner that was not made to be timed, or as `run_timing`.
    """
    noted = noted_by(learner)
    steps = range(learner.steps_done) if steps is None else steps
    if not 0 <= steps.start <= steps.stop <= learner.steps_done:
        raise InputError(f"steps {steps.start}..{steps.stop}", f"are not in the {learner.steps_done} that were done")
    return noted.time(chip, steps, **options)
