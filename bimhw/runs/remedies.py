"""Quantisation advice in points of accuracy: a network compiled in other ways, each run on the same labelled samples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimhw.compiler.pipeline import compile as compile_model
from bimhw.runs.outputs import Outputs
from bimhw.runs.simulate import simulate
from bimhw.tasks.dataset import Dataset, as_dataset
from bimhw.tasks.labels import as_labels
from simulator.base.errors import FitError, InputError
from simulator.base.shown import Shown
from simulator.program.program import Program

SAMPLES = 100
MOST_BITS = 9
MOST_STATE_BITS = 24
LOSS = 0.01  # of accuracy, from which a compilation looks for what would help
ENOUGH = 50  # samples, from which no loss is worth saying
_WORK = 2e9  # synapses x steps that a compilation spends on its accuracy
EPOCHS = 5  # of the fine-tuning that is tried: a part of `bimhw finetune`'s


@dataclass(frozen=True)
class Remedy:
    """One way to store the weights.

    Attributes:
        option: of `bimhw compile`; "" for the way that was asked for.
        accuracy: on the chip.
        points: accuracy beyond the way that was asked for, in points of 1 %.
    """

    option: str
    accuracy: float
    points: float


@dataclass(frozen=True)
class Trained:
    """Gain of fine-tuning, judged on the data's own test split, which it does not see.

    Attributes:
        before, after: accuracy with rounded weights and float states.
        samples: of the test split.
        epochs: passes over the other samples.
    """

    before: float
    after: float
    samples: int
    epochs: int


@dataclass(frozen=True, repr=False)
class Remedies(Shown):
    """Gains of storing the weights in other ways.

    Attributes:
        samples: that every way was run on.
        float_accuracy: of the network before its weights were stored; None where its model is no file.
        ways: the one asked for first, then the others, best first.
        trained: by fine-tuning with the weights stored as asked for; None for networks and data that it does not take.
    """

    samples: int
    float_accuracy: float | None
    ways: tuple[Remedy, ...]
    trained: Trained | None = None

    def lines(self) -> list[str]:
        """Return sentences for people."""
        asked, *others = self.ways
        first = Measured(self.samples, asked.accuracy, self.float_accuracy).text()
        said = [first, *(f"{w.option}: {w.accuracy:.1%}, {w.points:+.1f} points" for w in others)]
        if self.trained is not None:
            t = self.trained
            figure = f"{t.before:.1%} becomes {t.after:.1%}, {100 * (t.after - t.before):+.1f} points"
            said.append(f"bimhw finetune: {figure} ({t.epochs} epochs; {t.samples} samples that it does not see)")
        return said


@dataclass(frozen=True)
class Measured:
    """Accuracy of a program on some samples; `in_float`: of its network before, None where its model is no file."""

    samples: int
    accuracy: float
    in_float: float | None

    @property
    def loses(self) -> bool:
        """Return whether the chip loses more than `LOSS` and more than one sample."""
        return self.in_float is not None and self.in_float - self.accuracy > max(LOSS, 1.5 / self.samples)

    @property
    def keeps(self) -> bool:
        """Return whether the chip is as good as float, on samples enough to say so."""
        return self.in_float is not None and self.accuracy >= self.in_float and self.samples >= ENOUGH

    def text(self) -> str:
        """Return a sentence."""
        beside = "" if self.in_float is None else f", {self.in_float:.1%} in float"
        return f"accuracy on {self.samples} samples: {self.accuracy:.1%} on the chip{beside}"


def affordable(program: Program, data: Dataset) -> int:
    """Return on how many of the samples a compilation can tell the accuracy; 0 where they would say little."""
    work = sum(q.n_synapses for q in program.projections) * (program.facts.sample_steps or 1)
    outputs = sum(one.population.size for one in Outputs.of(program, None).answer)
    labelled = 0 if data.y is None or as_labels(data.y, f"{data.name}: y", outputs) is None else int(data.y.size)
    count = min(SAMPLES, labelled, int(_WORK / max(1, work)))
    return count if count >= min(10, labelled) else 0


def measure(program: Program, data: Dataset, samples: int, model: str | Path | None) -> Measured:
    """Run the first samples on the chip, and in float where the model is a file."""
    with tempfile.TemporaryDirectory() as folder:
        run = simulate(program, data=data, samples=samples, engine="none", output=Path(folder) / "run", model=model)
    return Measured(samples, float(run.result["accuracy"]), run.result.get("float_accuracy"))


def remedies(
    model: str | Path | object,
    chip: str = "loihi2",
    *,
    data: object,
    samples: int = SAMPLES,
    bits: int = 8,
    per_row: bool = False,
    free_scales: bool = False,
    state_bits: int = 16,
    first: Measured | None = None,
    **options: Any,
) -> Remedies:
    """Run a network with its weights stored in other ways, on labelled samples, and compare the accuracies.

    Args:
        model: what `bimhw.compile` takes.
        chip: a chip's name or file.
        data: labelled samples, what `Dataset.open` reads.
        samples: the first so many are run.
        bits: of a weight.
        per_row: a scale for each row.
        free_scales: scales that are no powers of two.
        state_bits: of a state word.
        first: the way that is asked for, where it was measured already.
        options: of `bimhw.compile`.

    Raises:
        InputError: data without labels of classes.
        FitError: the network does not fit as it was asked for.
    """
    given = as_dataset(data)
    if given.y is None or given.y.ndim != 1 or given.y.dtype.kind not in "iu":
        raise InputError(given.name, "has no labels of classes y [B]", "Give y to measure accuracy")
    count = min(samples, int(given.y.size))
    asked = {"bits": bits, "per_row": per_row, "free_scales": free_scales}
    wide = options | {"state_bits": state_bits}
    if first is None:
        first = _measured(model, chip, given, count, wide | asked, model if isinstance(model, str | Path) else None)
    found = []
    for option, change in _ways(bits, per_row, free_scales, state_bits):
        try:
            accuracy = _measured(model, chip, given, first.samples, wide | asked | change, None).accuracy
        except FitError:  # the chip does not store such weights, or the network no longer fits
            continue
        found.append(Remedy(option, accuracy, 100 * (accuracy - first.accuracy)))
    found.sort(key=lambda way: -way.accuracy)
    ways = (Remedy("", first.accuracy, 0.0), *found)
    return Remedies(first.samples, first.in_float, ways, _trained(model, given, asked))


def _trained(model: object, data: Dataset, asked: dict[str, Any]) -> Trained | None:
    """Return what a short fine-tuning brings, or None for a network or data that it does not take."""
    if isinstance(model, str | Path) and Path(model).suffix not in (".pt", ".safetensors"):
        return None
    from bimhw.learning.finetune import finetune

    try:
        done = finetune(model, data, epochs=EPOCHS, **asked)  # type: ignore[arg-type]  # others are refused by finetune
        return Trained(done.rounded_accuracy, done.accuracy, len(data.task().test), EPOCHS)
    except (InputError, FitError):
        return None


def _ways(bits: int, per_row: bool, free_scales: bool, state_bits: int) -> Iterator[tuple[str, dict[str, object]]]:
    if not per_row:
        yield "--per-row", {"per_row": True}
    if not free_scales:
        yield "--free-scales", {"free_scales": True}
    if not (per_row or free_scales):
        yield "--per-row --free-scales", {"per_row": True, "free_scales": True}
    for more in (8, MOST_BITS):
        if more > bits:
            yield f"--bits {more}", {"bits": more}
    if state_bits < MOST_STATE_BITS:
        yield f"--state-bits {MOST_STATE_BITS}", {"state_bits": MOST_STATE_BITS}


def _measured(
    model: Any, chip: str, data: Dataset, count: int, options: dict[str, Any], beside: str | Path | None
) -> Measured:
    return measure(compile_model(model, chip, data=data, **options).program, data, count, beside)
