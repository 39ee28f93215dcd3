"""Simulate many steps in constant memory: the pieces of a run folded into its figures and its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from bimhw.runs.answers import DataTrial
from bimhw.runs.execute import Run, joined
from bimhw.runs.folder import Arrays, RunFolder
from bimhw.runs.judge import figures_of
from bimhw.runs.manifest import RunResult
from bimhw.runs.outputs import Decode
from bimhw.runs.pieces import PIECE_STEPS, TimeFold, sample_pieces, step_pieces
from bimhw.runs.request import How
from bimhw.runs.trials import Trial
from simulator.base.arrays import Array, Floats
from simulator.base.spool import Spool
from simulator.chips.chip import Chip
from simulator.function.fold import ActivityFold, SpikeFold, activity_arrays
from simulator.program.program import Program


@dataclass(frozen=True, eq=False)
class LongSamples:
    """Results of a long run.

    Attributes:
        figures: of the run.
        parts: file of the run folder -> its arrays.
    """

    figures: RunResult
    parts: Mapping[str, Arrays]


def run_samples_long(
    program: Program, trial: Trial, chip: Chip, how: How, folder: Path, progress: Callable[[int], None] | None
) -> LongSamples:
    """Run a trial in pieces (`bimhw.runs.pieces.in_pieces`); figures and files are those of a run in one piece.

    Args:
        program, trial, chip, how: as of `execute`.
        folder: run folder that is written afterwards; what belongs to single steps lies on its disk until then.
        progress: called with the number of samples just finished.
    """
    steps = trial.chip_steps(program)
    fold = _Fold(steps, folder.absolute().parent)
    reader = (_InSteps if steps > PIECE_STEPS else _InSamples)(program, trial, steps, fold.folder)
    for run, samples in reader.pieces(chip, how):
        fold.add(run, samples)
        if progress is not None and samples:
            progress(samples)
    scores, outputs = reader.answers()
    return fold.finished(program, trial, scores, outputs)


class _Fold:
    """Spikes, counters and times, piece after piece."""

    def __init__(self, steps: int, folder: Path) -> None:
        self.folder = folder
        self._spikes, self._activity, self._times = SpikeFold(folder), ActivityFold(folder), TimeFold(steps, folder)

    def add(self, run: Run, samples: int) -> None:
        self._spikes.add(joined(run.spikes))
        self._activity.add(run.activity, samples)
        if run.timing is not None:
            self._times.add(run.timing)

    def finished(self, program: Program, trial: Trial, scores: Floats | None, outputs: Arrays) -> LongSamples:
        activity, times = self._activity.totals(), self._times
        timed = bool(times.by_sample)
        activity = replace(activity, sim_time_ns=times.total_ns if timed else None)
        figures = figures_of(program, trial, scores, activity)
        if timed:
            figures |= times.figures(activity.samples)
            figures |= {} if times.late_packets is None else {"late_packets": times.late_packets}
        parts = {
            "spikes.npz": self._spikes.arrays(),
            "activity.npz": activity_arrays(activity, self._activity.by_step()),
            "timing.npz": times.arrays() if timed else {},
            "outputs.npz": outputs,
        }
        return LongSamples(msgspec.convert(figures, RunResult), parts)


class _InSamples:
    """Pieces of whole samples, and their answers."""

    def __init__(self, program: Program, trial: Trial, steps: int, folder: Path) -> None:
        self._program, self._trial, self._steps, self._folder = program, trial, steps, folder
        self._scores: dict[str, list[Floats]] = {}
        self._values: dict[str, Spool] = {}

    def pieces(self, chip: Chip, how: How) -> Iterator[tuple[Run, int]]:
        """Yield runs and the number of samples in each."""
        for part, run in sample_pieces(self._program, self._trial, chip, self._steps, how):
            if isinstance(part, DataTrial):
                for name, found in part.outputs(self._program, run).items():
                    if name.startswith("scores"):
                        self._scores.setdefault(name, []).append(found)
                    else:
                        self._keep(name, found)
            else:
                self._scores.setdefault("scores", []).append(np.asarray(part.chip_scores(self._program, run)))
            yield run, part.count

    def _keep(self, name: str, values: Floats) -> None:
        _, steps, *row = values.shape
        if name not in self._values:
            self._values[name] = Spool(values.dtype, tuple(row), self._folder, steps)
        self._values[name].add(values.reshape(-1, *row))

    def answers(self) -> tuple[Floats, Arrays]:
        """Return the scores of all samples, and the arrays of ``outputs.npz``."""
        scores = {name: np.concatenate(parts) for name, parts in self._scores.items()}
        arrays: dict[str, Array | Spool] = {**self._values, **scores}
        return scores["scores"], in_order(arrays) if self._values else {}


class _InSteps:
    """Pieces of samples that are themselves long."""

    def __init__(self, program: Program, trial: Trial, steps: int, folder: Path) -> None:
        self._program, self._trial, self._steps, self._folder = program, trial, steps, folder
        self._outputs = trial.output.all if isinstance(trial, DataTrial) else ()
        self._words = [Spool(np.int32, (o.population.size,), folder) for o in self._outputs]

    def pieces(self, chip: Chip, how: How) -> Iterator[tuple[Run, int]]:
        """Yield runs and the number of samples that end in each."""
        trial, program, done = self._trial, self._program, 0
        probes = trial.probes(program)
        for run in step_pieces(program, trial.trains(program), chip, self._steps, probes, how):
            for spool, output in zip(self._words, self._outputs, strict=True):
                spool.add(output.words(program, run)[0])
            before, done = done, done + run.activity.steps
            yield run, done // self._steps - before // self._steps

    def answers(self) -> tuple[Floats | None, Arrays]:
        """Return the scores of all samples, and the arrays of ``outputs.npz``."""
        trial = self._trial
        if not isinstance(trial, DataTrial):
            return None, {}
        of = {o.name: Spool(np.float64, (o.population.size,), self._folder, trial.steps) for o in self._outputs}
        width = sum(o.population.size for o in trial.output.answer)
        joined = Spool(np.float64, (width,), self._folder, trial.steps)
        rows = [self._scored(k, trial, of, joined) for k in range(trial.count)]
        scores = {o.name: np.stack([row[o.name] for row in rows]) for o in self._outputs}
        answer = np.concatenate([scores[o.name] for o in trial.output.answer], axis=1)
        if len(of) == 1:
            return answer, {"values": joined, "scores": answer}
        arrays: dict[str, Array | Spool] = {"values": joined, "scores": answer}
        arrays |= {f"values.{n}": v for n, v in of.items()} | {f"scores.{n}": s for n, s in scores.items()}
        return answer, in_order(arrays)

    def _scored(self, sample: int, trial: DataTrial, of: Mapping[str, Spool], joined: Spool) -> dict[str, Floats]:
        """Put the values of a sample away, and return its scores by output."""
        folds = {o.name: ScoreFold(o.how, trial.window) for o in self._outputs}
        for start in range(0, trial.steps, PIECE_STEPS):
            stop, values = min(trial.steps, start + PIECE_STEPS), {}
            for output, words in zip(self._outputs, self._words, strict=True):
                at = sample * self._steps + output.population.layer
                values[output.name] = output.values(self._program, words.read(at + start, at + stop))
                of[output.name].add(values[output.name])
                folds[output.name].add(values[output.name])
            joined.add(np.concatenate([values[o.name] for o in trial.output.answer], axis=1))
        return {name: fold.scores() for name, fold in folds.items()}


def in_order(arrays: Arrays) -> Arrays:
    """Return arrays in the order of ``outputs.npz``: the answer's values and scores, values by output, scores by output."""
    kinds = ("values", "scores")
    named = {n: a for kind in kinds for n, a in arrays.items() if n.startswith(f"{kind}.")}
    return {kind: arrays[kind] for kind in kinds} | named


class ScoreFold:
    """`bimhw.runs.outputs.reduce` of one sample, steps after steps.

    Args:
        how: decoding.
        window: steps at which ``membrane`` decides.
    """

    def __init__(self, how: Decode, window: tuple[int, ...]) -> None:
        self._how, self._window = how, window
        self._kept: list[Floats] = []
        self._steps = 0

    def add(self, values: Floats) -> None:
        """Append steps, [t, C]."""
        first = self._steps
        self._steps += len(values)
        if self._how == "count":
            self._kept = [np.sum([*self._kept, values.sum(axis=0)], axis=0)]
        elif self._how == "max":
            self._kept = [np.max([*self._kept, values.max(axis=0)], axis=0)]
        elif self._how == "membrane":
            self._kept += [values[t - first] for t in self._window if first <= t < self._steps]
        else:
            fired = values != 0
            at = np.where(fired.any(axis=0), first + fired.argmax(axis=0), np.inf)
            self._kept = [np.min([*self._kept, at], axis=0)]

    def scores(self) -> Floats:
        """Return the scores [C]."""
        if self._how == "first":
            return np.asarray(self._steps - np.minimum(self._kept[0], self._steps), np.float64)
        return np.asarray(np.mean(self._kept, axis=0) if self._how == "membrane" else self._kept[0])


class StoredOutputs(Mapping[str, Array]):
    """Outputs of a long run, read from its folder when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _arrays(self) -> dict[str, Array]:
        return RunFolder.open(self._folder).outputs()

    def __getitem__(self, name: str) -> Array:
        """Return an array; read from the disk at each call."""
        return self._arrays()[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._arrays())

    def __len__(self) -> int:
        """Return the number of arrays."""
        return len(self._arrays())
