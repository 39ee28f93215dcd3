"""A long run in pieces: each is run, counted, timed and read, then forgotten, so that memory does not grow with the steps.

A piece is some whole samples, or some steps of one long sample. What belongs to single steps (spikes, counts, times, outputs)
goes to unnamed files on the disk of the run folder. The folder holds the bytes that a run in one piece would write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bimhw.runs.answers import DataTrial, OwnTrial
from bimhw.runs.execute import Run, arrays_of, execute, time_run
from bimhw.runs.figures import time_figures
from bimhw.runs.request import How, Probe
from bimhw.runs.trials import SequenceTrial, Trial, request_of
from mapping.copies import copies_of
from simulator.base.arrays import I64
from simulator.base.spool import Spool
from simulator.chips.chip import Chip
from simulator.function import Simulation
from simulator.function.counting import Counter
from simulator.function.run import recorded_probes, recorded_spikes, tally_of
from simulator.function.state import Record
from simulator.program.faults import Faults
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain, window

if TYPE_CHECKING:
    from simulator.timing.result import TimingRun

PIECE_STEPS = 20_000
"""Steps of a piece; a run of no more steps is run in one."""


def in_pieces(program: Program, trial: Trial, steps: int, how: How, chip: Chip) -> bool:
    """Return whether a run is long, and such that its pieces can be run and judged one after another."""
    timed = how.engine in ("compiled", "clocked", "simpy", "bound", "none") and how.timing_sample is None
    plain = how.faults == Faults() and how.checkpoint is None and how.dask is None and not how.keep
    fixed = copies_of(program) == 1 and not any(p.plastic for p in program.projections)
    if trial.count * steps <= PIECE_STEPS or not (timed and plain and fixed) or how.sync == "free":
        return False
    if isinstance(trial, DataTrial) and (
        trial.samples.out is not None or trial.samples.targets or trial.samples.recorded
    ):
        return False
    if steps > PIECE_STEPS:  # samples are cut; cycles must be independent of the steps before
        return isinstance(trial, OwnTrial | DataTrial) and (how.sync == "barrier" or chip.timing is None)
    return isinstance(trial, DataTrial | SequenceTrial)


def sample_pieces(program: Program, trial: Trial, chip: Chip, steps: int, how: How) -> Iterator[tuple[Trial, Run]]:
    """Yield some samples and what they did, until all are done."""
    assert isinstance(trial, DataTrial | SequenceTrial)
    many = max(1, PIECE_STEPS // steps)
    for first in range(0, trial.count, many):
        part = trial.take(slice(first, first + many))
        yield part, execute(request_of(part, program, chip, how, first))


def step_pieces(
    program: Program, trains: Sequence[SpikeTrain], chip: Chip, steps: int, probes: Sequence[Probe], how: How
) -> Iterator[Run]:
    """Yield what some steps of a sample did, until all steps of all samples are done."""
    graded = any(t.payload is not None for t in trains)
    simulation = Simulation(program, seed=how.seed, probes=probes, strict=how.strict, graded_inputs=graded)
    counter = Counter(program, chip.topology)
    for k, train in enumerate(trains):
        if k:
            simulation.reset()
        for start in range(0, steps, PIECE_STEPS):
            stop, before = min(steps, start + PIECE_STEPS), simulation.state.step
            simulation.advance(window(train, min(start, train.steps), min(stop, train.steps)), stop - start)
            spikes, tally = recorded_spikes(simulation.record), tally_of(simulation)
            tally = replace(tally, resets=tuple(step - before for step in tally.resets))
            values = {p: v[None] for p, v in recorded_probes(program, simulation.record).items()}
            timing, _ = time_run(program, chip, spikes, how)
            yield Run((spikes,), values, counter.activity(spikes, tally), timing)
            forget(simulation)


def forget(simulation: Simulation) -> None:
    """Empty the record of a simulation between two pieces; its state stays."""
    simulation.record = Record(probes={p: [] for p in simulation.record.probes})
    simulation.active_of_neuron[:] = 0
    simulation.saturated_of_neuron[:] = 0


class TimeFold:
    """Times of a run, piece after piece.

    Args:
        steps: of a sample.
        folder: on whose disk the times of single steps lie.

    Attributes:
        by_sample: ticks of each sample so far.
        largest: ticks of the longest step.
        tick_ns: length of a tick.
        late_packets: so far; None where none can be.
    """

    def __init__(self, steps: int, folder: Path | None) -> None:
        self._steps, self._folder = steps, folder
        self._step_ticks = Spool(np.int64, folder=folder)
        self._late: Spool | None = None
        self._busy: list[I64] = []
        self.by_sample: list[int] = []
        self.largest, self.tick_ns = 0, 0.0
        self.late_packets: int | None = None

    def add(self, timing: TimingRun) -> None:
        """Append a piece."""
        arrays = arrays_of(timing)
        self._by_sample(arrays["step_ticks"])
        self._step_ticks.add(arrays["step_ticks"])
        busy = [arrays["core_busy"], arrays["link_busy"]]
        self._busy = [a + b for a, b in zip(self._busy, busy, strict=True)] if self._busy else busy
        if "late" in arrays:
            self._late = self._late or Spool(arrays["late"].dtype, folder=self._folder)
            self._late.add(arrays["late"])
            self.late_packets = (self.late_packets or 0) + int(arrays["late"].sum())
        self.largest, self.tick_ns = max(self.largest, int(arrays["step_ticks"].max())), timing.tick_ns

    def _by_sample(self, ticks: I64) -> None:
        done, first = self._step_ticks.rows, 0
        while first < ticks.size:
            sample, inside = divmod(done + first, self._steps)
            last = min(ticks.size, first + self._steps - inside)
            self.by_sample += [0] * (sample + 1 - len(self.by_sample))
            self.by_sample[sample] += int(ticks[first:last].sum())
            first = last

    def figures(self, samples: int) -> dict[str, float]:
        """Return `bimhw.runs.figures.timing_figures` of the whole run."""
        by_sample = np.array(self.by_sample, np.int64)
        return time_figures(by_sample, self._step_ticks.rows, self.largest, self.tick_ns, samples)

    @property
    def total_ns(self) -> float:
        """Time of the whole run so far."""
        return float(sum(self.by_sample)) * self.tick_ns

    def arrays(self) -> dict[str, I64 | Spool]:
        """Return what ``timing.npz`` of a run folder holds."""
        arrays: dict[str, I64 | Spool] = {
            "step_ticks": self._step_ticks, "core_busy": self._busy[0], "link_busy": self._busy[1],
        }  # fmt: skip
        return arrays if self._late is None else arrays | {"late": self._late}
