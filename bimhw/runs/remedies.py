"""Quantisation advice in points of accuracy: a network compiled in other ways, each run on the same labelled samples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimhw.compiler.pipeline import compile as compile_model
from bimhw.runs.simulate import simulate
from bimhw.tasks.dataset import as_dataset
from simulator.base.errors import FitError, InputError
from simulator.base.shown import Shown

SAMPLES = 100
MOST_BITS = 9


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


@dataclass(frozen=True, repr=False)
class Remedies(Shown):
    """What storing the weights otherwise brings.

    Attributes:
        samples: that every way was run on.
        float_accuracy: of the network before its weights were stored; None where its model is no file.
        ways: the one asked for first, then the others, best first.
    """

    samples: int
    float_accuracy: float | None
    ways: tuple[Remedy, ...]

    def lines(self) -> list[str]:
        """Return sentences for people."""
        asked, *others = self.ways
        beside = "" if self.float_accuracy is None else f", {self.float_accuracy:.1%} in float"
        first = f"accuracy on {self.samples} samples: {asked.accuracy:.1%} on the chip{beside}"
        return [first, *(f"{w.option}: {w.accuracy:.1%}, {w.points:+.1f} points" for w in others)]


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
    return Remedies(count, in_float, (Remedy("", first, 0.0), *found))


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
