"""Quantisation advice in points of accuracy: a network compiled in other ways, each run on the same labelled samples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimhw.compiler.pipeline import compile as compile_model
from bimhw.runs.simulate import simulate
from bimhw.tasks.dataset import Dataset, as_dataset
from simulator.base.errors import FitError, InputError
from simulator.base.shown import Shown

SAMPLES = 100
MOST_BITS = 9
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
        beside = "" if self.float_accuracy is None else f", {self.float_accuracy:.1%} in float"
        first = f"accuracy on {self.samples} samples: {asked.accuracy:.1%} on the chip{beside}"
        said = [first, *(f"{w.option}: {w.accuracy:.1%}, {w.points:+.1f} points" for w in others)]
        if self.trained is not None:
            t = self.trained
            figure = f"{t.before:.1%} becomes {t.after:.1%}, {100 * (t.after - t.before):+.1f} points"
            said.append(f"bimhw finetune: {figure} ({t.epochs} epochs; {t.samples} samples that it does not see)")
        return said


def remedies(
    model: str | Path | object,
    chip: str = "loihi2",
    *,
    data: object,
    samples: int = SAMPLES,
    bits: int = 8,
    per_row: bool = False,
    free_scales: bool = False,
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
    first, in_float = _accuracy(model, chip, given, count, options | asked, isinstance(model, str | Path))
    found = []
    for option, change in _ways(bits, per_row, free_scales):
        try:
            accuracy, _ = _accuracy(model, chip, given, count, options | asked | change, False)
        except FitError:  # the chip does not store such weights, or the network no longer fits
            continue
        found.append(Remedy(option, accuracy, 100 * (accuracy - first)))
    found.sort(key=lambda way: -way.accuracy)
    return Remedies(count, in_float, (Remedy("", first, 0.0), *found), _trained(model, given, asked))


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


def _ways(bits: int, per_row: bool, free_scales: bool) -> Iterator[tuple[str, dict[str, object]]]:
    if not per_row:
        yield "--per-row", {"per_row": True}
    if not free_scales:
        yield "--free-scales", {"free_scales": True}
    if not (per_row or free_scales):
        yield "--per-row --free-scales", {"per_row": True, "free_scales": True}
    for more in (8, MOST_BITS):
        if more > bits:
            yield f"--bits {more}", {"bits": more}


def _accuracy(
    model: Any, chip: str, data: Any, count: int, options: dict[str, Any], beside: bool
) -> tuple[float, float | None]:
    """Return the accuracy on the chip, and in float where the model is a file."""
    program = compile_model(model, chip, data=data, **options).program
    with tempfile.TemporaryDirectory() as folder:
        source = model if beside else None
        run = simulate(program, data=data, samples=count, engine="none", output=Path(folder) / "run", model=source)
    return float(run.result["accuracy"]), run.result.get("float_accuracy")
