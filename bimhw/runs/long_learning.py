"""Learn on the chip for many steps in constant memory: events are counted, timed and let go between samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bimhw.runs.learn_run import LearntParts
from bimhw.runs.pieces import PIECE_STEPS, TimeFold
from simulator.base.arrays import U8
from simulator.chips.chip import Chip
from simulator.events.learning import EventLearner
from simulator.function import Simulation
from simulator.function.fold import activity_arrays
from simulator.plasticity import Learner
from simulator.plasticity.fold import LearnFold
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.timing import Noted
from simulator.plasticity.words.counts import LearnCounts
from simulator.program.program import Program


class LongLearning:
    """All presentations of the training samples of a long run, let go while it goes on; use between two samples.

    Args:
        simulation: that learns.
        counts: of its learning.
        active: what is noted for the timing; None: nothing is timed.
        chip: that it is timed on.
        steps: of a sample.
        folder: run folder that is to be written; None: none is.
    """

    def __init__(
        self,
        simulation: Simulation,
        counts: LearnCounts,
        active: list[U8] | None,
        chip: Chip,
        steps: int,
        folder: Path | None,
    ) -> None:
        disk = None if folder is None else folder.absolute().parent
        self._times, self._chip = TimeFold(steps, disk), chip
        self._fold = LearnFold(simulation, counts, active, disk, self._time)
        self.counted = self._fold.whole

    def _time(self, noted: Noted) -> None:
        if self._chip.timing is not None:
            self._times.add(noted.time(self._chip, range(noted.spikes.steps)))

    def let_go(self) -> None:
        """Take what was recorded, once there is enough of it."""
        self._fold.take(PIECE_STEPS)

    def after_each(self, progress: Callable[[int], None] | None) -> Callable[[int], None]:
        """Return what is called after samples: it lets their events go, then calls `progress`."""

        def after(n: int) -> None:
            self.let_go()
            if progress is not None:
                progress(n)

        return after

    def learnt(self, program: Program, samples: int) -> LearntParts:
        """Return what was done: `program` with the weights learnt, `samples` presented."""
        activity, times = self._fold.totals(samples), self._times
        timed = bool(times.by_sample)
        activity = replace(activity, sim_time_ns=times.total_ns if timed else None)
        parts = {
            "spikes.npz": self._fold.spikes.arrays(),
            "activity.npz": activity_arrays(activity, self._fold.activity.by_step()),
            "timing.npz": times.arrays() if timed else {},
        }
        return LearntParts(program, activity, samples, times.figures(samples) if timed else {}, parts)


def long_learning(
    learner: Learner, chip: Chip, steps: int, samples: int, run: str | Path | None
) -> LongLearning | None:
    """Return what the events of a long run go to; None for a short one, whose events stay with the learner.

    Args:
        learner: that has done nothing yet.
        chip: that it is timed on.
        steps, samples: of the task, and of the whole run.
        run: run folder that is to be written.
    """
    forward, each = learner.forward, learner.chip_steps(steps)
    if samples * each <= PIECE_STEPS or not isinstance(forward, ChipForward) or isinstance(learner, EventLearner):
        return None
    folder = None if run is None else Path(run)
    long = LongLearning(forward.simulation, learner.counts, forward.active, chip, each, folder)
    forward.counted = long.counted
    return long
