"""What a program is run on: sequences with a class each, or stretches of a text; how its scores are judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bimhw.tasks.base import Split, Task
from bimhw.tasks.features.stretches import Stretches, scored_stretches
from bimhw.tasks.sources.text import Corpus
from simulator.base.errors import InputError
from simulator.program.program import Program

Floats = npt.NDArray[np.float64]
_CHUNK = 512  # steps of a text that the float model runs at once


class Trial(Protocol):
    """Samples and their judgement."""

    @property
    def name(self) -> str:
        """Of the task."""

    @property
    def payloads(self) -> npt.NDArray[np.integer[Any]]:
        """Integers [n, T, M]."""

    def chip_scores(self, program: Program, recorded: npt.NDArray[Any]) -> Floats:
        """Scores from the recorded states [n, chip steps, C]."""

    def float_scores(self, model: str | Path, seed: int) -> tuple[Floats, int]:
        """Scores of the float model, and how many layers it has; `seed` of neurons that fire at random."""

    def judge(self, scores: Floats) -> dict[str, Any]:
        """Figures of scores."""


@dataclass(frozen=True, eq=False)
class SequenceTrial:
    """Sequences of a task: a class for each, by the mean score of the deciding steps."""

    name: str
    task: Task
    split: Split

    @property
    def payloads(self) -> npt.NDArray[np.integer[Any]]:
        """[n, T, M]."""
        return self.split.x

    def chip_scores(self, program: Program, recorded: npt.NDArray[Any]) -> Floats:
        """[n, C]."""
        from bimhw.compiler.decode import decode, output_probe

        probe = output_probe(program)
        return np.array([decode(program, {probe: one}) for one in recorded])

    def float_scores(self, model: str | Path, seed: int) -> tuple[Floats, int]:
        """[n, C]."""
        import torch

        from bimhw.learning.evaluate import inputs
        from bimhw.models.io import load_model
        from bimhw.models.nets import run_samples

        net = load_model(model)
        with torch.no_grad():
            run = run_samples(net, inputs(self.split, self.task, net.readout.weight), seed=seed)
        decision = torch.from_numpy(self.task.decision_steps)
        return run.logits[decision].mean(0).numpy(), len(run.spikes)

    def judge(self, scores: Floats) -> dict[str, Any]:
        """Accuracy; of a task that is judged by areas under curves, these too (None where one class alone is there)."""
        found: dict[str, Any] = {"accuracy": float((scores.argmax(axis=-1) == self.split.y).mean())}
        if self.task.metric == "auc" and scores.shape[-1] == 2:
            from bimhw.tasks.metrics import auc_pr, auc_roc

            margin, both = scores[:, 1] - scores[:, 0], np.unique(self.split.y).size == 2
            found["auc_roc"] = auc_roc(margin, self.split.y) if both else None
            found["auc_pr"] = auc_pr(margin, self.split.y) if both else None
        return found


@dataclass(frozen=True, eq=False)
class TextTrial:
    """Stretches of a text: the next symbol at every step."""

    name: str
    stretches: Stretches

    @property
    def payloads(self) -> npt.NDArray[np.integer[Any]]:
        """[S, T, V]."""
        return self.stretches.x

    def chip_scores(self, program: Program, recorded: npt.NDArray[Any]) -> Floats:
        """[S, T, V]."""
        from bimhw.compiler.decode import output_probe, scores_by_step

        probe = output_probe(program)
        return np.array([scores_by_step(program, {probe: one}) for one in recorded])

    def float_scores(self, model: str | Path, seed: int) -> tuple[Floats, int]:
        """[S, T, V]."""
        import torch

        from bimhw.models.io import load_model
        from bimhw.models.nets import as_bim

        net = as_bim(load_model(model), "a text")
        x = torch.from_numpy(np.ascontiguousarray(self.stretches.x.swapaxes(0, 1)))
        parts, state = [], None
        with torch.no_grad():
            for start in range(0, len(x), _CHUNK):
                run = net.run(x[start : start + _CHUNK].to(net.readout.weight) * net.config.input_scale, state)
                state = run.state
                parts.append(run.logits.numpy())
        return np.concatenate(parts).swapaxes(0, 1), net.config.n_layers

    def judge(self, scores: Floats) -> dict[str, Any]:
        """Bits per character, perplexity, and how often the likeliest symbol is the right one."""
        score = self.stretches.score(scores)
        return {
            "accuracy": self.stretches.hits(scores),
            "bits_per_character": score.bits_per_character,
            "perplexity": score.perplexity,
            "scored_symbols": score.tokens,
        }


def trial_of(program: Program, task: str | Task | Corpus | None, samples: int | None = None) -> Trial:
    """The test samples of a task or text, the first `samples` of them.

    Args:
        program: that they are for.
        task: task, text or a name; by default what the program was compiled for.
        samples: all by default.

    Raises:
        InputError: no task, one of another shape, or another number of samples than there are.
    """
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

    name = str(task or program.meta.get("task") or "")
    if not name:
        raise InputError("task", "is not given, and the program was not compiled for one", "Give --task NAME")
    return name, load_named(name)


def _check_shape(program: Program, where: str, shape: tuple[int, ...]) -> None:
    _, steps, channels = shape
    width = program.population(program.meta["input"]["population"]).size
    if channels != width:
        raise InputError(where, f"has {channels} input channels, the program has {width}")
    if steps != program.meta["sample_steps"]:
        raise InputError(
            where,
            f"has {steps} steps a sample, the program was compiled for {program.meta['sample_steps']}",
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


def beside_float(trial: Trial, scores: Floats, float_scores: Floats) -> dict[str, Any]:
    """Figures of the float model on the same samples, and how far the chip's scores are from its."""
    power = float(np.mean(float_scores**2))
    return {
        **{f"float_{name}": value for name, value in trial.judge(float_scores).items() if name != "scored_symbols"},
        "decisions_agree": float((float_scores.argmax(axis=-1) == scores.argmax(axis=-1)).mean()),
        "scores_rms_error": float(np.sqrt(np.mean((scores - float_scores) ** 2) / power)) if power else 0.0,
    }


__all__ = ["SequenceTrial", "TextTrial", "Trial", "beside_float", "trial_of"]
