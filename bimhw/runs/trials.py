"""Inputs of a program's run: sequences with a class each, or stretches of a text; how its scores are judged."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bimhw.runs.execute import Run
from bimhw.runs.request import How, Request
from bimhw.tasks.base import Split, Task
from bimhw.tasks.dataset import Dataset
from bimhw.tasks.features.stretches import Stretches, scored_stretches
from bimhw.tasks.sources.text import Corpus
from mapping.copies import first_copy
from simulator.base.arrays import AnyInts, Array, Floats
from simulator.base.errors import InputError, UnjudgedWarning
from simulator.chips.chip import Chip
from simulator.program.meta import required
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

Figures = dict[str, Any]
_CHUNK = 512  # steps of a text that the float model runs at once


class Trial(Protocol):
    """Samples and their judgement."""

    @property
    def name(self) -> str:
        """Name of the task."""

    @property
    def count(self) -> int:
        """Number of samples."""

    @property
    def payloads(self) -> AnyInts | None:
        """Integers [n, T, M]; None where the inputs are spikes already."""

    def trains(self, program: Program) -> list[SpikeTrain]:
        """Return the input spikes of each sample."""

    def chip_steps(self, program: Program) -> int:
        """Return the chip steps of a sample, the chip's latency included."""

    def probes(self, program: Program) -> tuple[tuple[str, str], ...]:
        """Return the states that must be recorded to score the run."""

    def chip_scores(self, program: Program, run: Run) -> Floats | None:
        """Return the scores of a run; None where nothing is to be scored."""

    def float_scores(self, model: str | Path, program: Program, seed: int) -> tuple[Floats | None, int | None]:
        """Return scores of the float model, and how many layers it has (None: not compared); `seed` of random neurons."""

    def judge(self, scores: Floats) -> Figures:
        """Return the figures of scores."""

    def outputs(self, program: Program, run: Run) -> dict[str, Array]:
        """Return the arrays of the result: what each output sent, and the scores."""


def request_of(trial: Trial, program: Program, chip: Chip, how: How, first: int = 0) -> Request:
    """Return the request that runs a trial's samples, before which `first` others were run."""
    one = first_copy(program)
    return Request(program, trial.trains(one), chip, trial.chip_steps(one), trial.probes(one), how, first)


class _Encoded:
    """Samples that are integer payloads, for programs that say how they are fed and read."""

    payloads: AnyInts

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.payloads)

    def trains(self, program: Program) -> list[SpikeTrain]:
        """Return the input spikes of each sample."""
        from bimhw.compiler.decode import encode

        return [encode(program, x) for x in self.payloads]

    def chip_steps(self, program: Program) -> int:
        """Return the chip steps of a sample."""
        return required(program.facts.chip_steps, "chip_steps")

    def probes(self, program: Program) -> tuple[tuple[str, str], ...]:
        """Return the states that the host reads."""
        from bimhw.compiler.decode import output_probe

        return (output_probe(program),)

    def outputs(self, program: Program, run: Run) -> dict[str, Array]:
        """Return nothing: the scores are in the figures, and spikes.npz holds the rest."""
        return {}


@dataclass(frozen=True, eq=False)
class SequenceTrial(_Encoded):
    """Sequences of a task: a class for each, by the mean score of the deciding steps."""

    name: str
    task: Task
    split: Split

    @property
    def payloads(self) -> AnyInts:  # type: ignore[override]
        """[n, T, M]."""
        return self.split.x

    def take(self, part: slice) -> SequenceTrial:
        """Return some of the sequences."""
        return replace(self, split=self.split.take(part))

    def chip_scores(self, program: Program, run: Run) -> Floats:
        """Return scores [n, C]."""
        from bimhw.compiler.decode import decode, output_probe

        probe = output_probe(program)
        return np.array([decode(program, {probe: one}) for one in run.probes[probe]])

    def float_scores(self, model: str | Path, program: Program, seed: int) -> tuple[Floats, int]:
        """Return scores [n, C]."""
        import torch

        from bimhw.learning.evaluate import inputs
        from bimhw.models.io import load_net

        net = load_net(model)
        with torch.no_grad():
            run = net.run_samples(inputs(self.split, self.task, next(net.parameters())), seed=seed)
        decision = torch.from_numpy(self.task.decision_steps)
        return run.logits[decision].mean(0).numpy(), len(run.spikes)

    def judge(self, scores: Floats) -> Figures:
        """Return the accuracy; of a task judged by areas under curves, these too (None where one class alone is there)."""
        from bimhw.tasks.metrics import areas, decisions

        y, metric = self.split.y, self.task.metric
        if self.task.makeshift:
            said = f"task {self.name}: test split {self.task.makeshift}; figures of it say nothing of new data"
            warnings.warn(said, UnjudgedWarning, stacklevel=2)
        found: Figures = {"accuracy": float((decisions(scores, y) == y).mean())}
        if metric == "macro_auc" or (metric == "auc" and scores.shape[-1] == 2):
            columns = y.reshape(len(y), -1)
            both = bool(((columns.min(0) == 0) & (columns.max(0) == 1)).all())
            found |= areas(metric, scores, y) if both else {"auc_roc": None, "auc_pr": None}
        return found


@dataclass(frozen=True, eq=False)
class TextTrial(_Encoded):
    """Stretches of a text: the next symbol at every step."""

    name: str
    stretches: Stretches

    @property
    def payloads(self) -> AnyInts:  # type: ignore[override]
        """[S, T, V]."""
        return self.stretches.x

    def chip_scores(self, program: Program, run: Run) -> Floats:
        """Return scores [S, T, V]."""
        from bimhw.compiler.decode import output_probe, scores_by_step

        probe = output_probe(program)
        return np.array([scores_by_step(program, {probe: one}) for one in run.probes[probe]])

    def float_scores(self, model: str | Path, program: Program, seed: int) -> tuple[Floats, int]:
        """Return scores [S, T, V]."""
        import torch

        from bimhw.models.bim.net import as_bim
        from bimhw.models.io import load_model

        net = as_bim(load_model(model), "a text")
        x = torch.from_numpy(np.ascontiguousarray(self.stretches.x.swapaxes(0, 1)))
        parts, state = [], None
        with torch.no_grad():
            for start in range(0, len(x), _CHUNK):
                run = net.run(x[start : start + _CHUNK].to(net.readout.weight) * net.config.input_scale, state)
                state = run.state
                parts.append(run.logits.numpy())
        return np.concatenate(parts).swapaxes(0, 1), net.config.n_layers

    def judge(self, scores: Floats) -> Figures:
        """Return bits per character, perplexity, and how often the likeliest symbol is the right one."""
        score = self.stretches.score(scores)
        return {
            "accuracy": self.stretches.hits(scores),
            "bits_per_character": score.bits_per_character,
            "perplexity": score.perplexity,
            "scored_symbols": score.tokens,
        }


def trial_of(
    program: Program,
    task: str | Task | Corpus | Dataset | None,
    samples: int | None = None,
    decode: str | None = None,
) -> Trial:
    """Return the samples that a program is run on, the first `samples` of them.

    Args:
        program: that they are for.
        task: data, or a task or text (or its name), whose test part is run; by default what the program was compiled
            for, or the input spikes that it brings.
        samples: all by default.
        decode: how outputs of `task` data become an answer (`bimhw.runs.answers`).

    Raises:
        InputError: nothing to run, a task of another shape, or another number of samples than there are.
    """
    from bimhw.runs.answers import DataTrial, OwnTrial

    if isinstance(task, Dataset):
        return DataTrial.of(program, task, samples, decode)
    if decode is not None:
        raise InputError("decode", "is for data of your own", "A task is decoded as it was trained")
    if task is None and not program.facts.task and program.inputs is not None:
        if samples not in (None, 1):
            raise InputError("samples", f"is {samples}, the program brings one sample of inputs")
        return OwnTrial(program.facts.source or "own inputs", program.inputs)
    name, data = _loaded(program, task)
    if isinstance(data, Corpus):
        stretches = scored_stretches(data)
        _check_shape(program, f"text {name!r}", stretches.x.shape)
        return TextTrial(name, stretches.take(_count(samples, len(stretches), name)))
    _check_shape(program, f"task {name!r}", (len(data.test), data.steps, data.n_in))
    return SequenceTrial(name, data, data.test.take(slice(0, _count(samples, len(data.test), name))))


def _loaded(program: Program, task: str | Task | Corpus | None) -> tuple[str, Task | Corpus]:
    if task is not None and not isinstance(task, str):
        return task.name, task
    from bimhw.tasks import load_named

    name = str(task or program.facts.task or "")
    if not name:
        raise InputError(
            "task", "is not given, and the program was not compiled for one", "Give --task NAME or --data FILE"
        )
    return name, load_named(name)


def _check_shape(program: Program, where: str, shape: tuple[int, ...]) -> None:
    _, steps, channels = shape
    width = program.population(program.facts.entry.name).size
    if channels != width:
        raise InputError(where, f"has {channels} input channels, the program has {width}")
    if steps != required(program.facts.sample_steps, "sample_steps"):
        raise InputError(
            where,
            f"has {steps} steps a sample, the program was compiled for {program.facts.sample_steps}",
            "Compile it again with calibration data of this task",
        )


def _count(samples: int | None, there: int, name: str) -> int:
    if samples is None:
        return there
    if samples < 1:
        raise InputError("samples", f"is {samples}, must be at least 1")
    if samples > there:
        raise InputError("samples", f"is {samples}, the test split of {name!r} has {there}")
    return samples


def beside_float(trial: Trial, scores: Floats, float_scores: Floats) -> Figures:
    """Return figures of the float model on the same samples, and how far the chip's scores are from its."""
    power = float(np.mean(float_scores**2))
    return {
        **{f"float_{name}": value for name, value in trial.judge(float_scores).items() if name != "scored_symbols"},
        "decisions_agree": float((float_scores.argmax(axis=-1) == scores.argmax(axis=-1)).mean()),
        "scores_rms_error": float(np.sqrt(np.mean((scores - float_scores) ** 2) / power)) if power else 0.0,
    }


__all__ = ["SequenceTrial", "TextTrial", "Trial", "beside_float", "trial_of"]
