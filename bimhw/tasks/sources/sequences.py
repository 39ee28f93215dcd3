"""From real-valued sequences to a `Task`: scaled on the train part, aligned at their ends, sent as graded spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.checks import check_labels, check_not_empty
from bimhw.tasks.features.encoders import payloads
from simulator.base.arrays import I16, I64, AnyFloats
from simulator.base.errors import InputError

INPUT_SCALE = 1 / 16

Series = AnyFloats


@dataclass(frozen=True)
class Part:
    """Sequences [T_i, M] of one split with their classes [n], or the labels of each [n, C]."""

    series: Sequence[Series]
    labels: I64


def graded_task(
    name: str,
    train: Part,
    test: Part,
    n_classes: int,
    facts: Mapping[str, str],
    steps: int | None = None,
    loss_share: float = 0.5,
    decision_share: float = 0.25,
    validation: I64 | None = None,
    metric: str = "accuracy",
    per_step: int = 1,
) -> Task:
    """Compute each channel's z-score by the train part, clip to ±3, round to 1/16, pad in front with silence to the longest.

    Padding in front lets all sequences end at the last step, where the label counts; a payload of 0 is no spike.

    Args:
        name: of the task.
        train: training sequences.
        test: test sequences.
        n_classes: labels are 0 .. n_classes-1.
        facts: source, licence, split.
        steps: T; None: the longest sequence. Longer sequences are reduced to T blocks by their means.
        loss_share: share of the steps, at the end, that carry the label.
        decision_share: share of the steps, at the end, that decide.
        validation: see `Task`.
        metric: see `Task`.
        per_step: so many consecutive samples (or blocks) are the channels of one step, side by side.

    Raises:
        InputError: an empty split, a NaN, a label outside the classes, a length that `per_step` does not divide.
    """
    for split, part in (("train", train), ("test", test)):
        check_not_empty(len(part.series), split, name)
        check_labels(part.labels, 2 if part.labels.ndim == 2 else n_classes, f"{name}, {split} split")
    if steps is not None:
        train, test = (Part([block_means(s, steps) for s in p.series], p.labels) for p in (train, test))
    flat = np.concatenate([np.asarray(s, np.float64) for s in train.series])
    mean, deviation = flat.mean(0), flat.std(0) + 1e-9
    sent = [[side_by_side(payloads((s - mean) / deviation), per_step) for s in p.series] for p in (train, test)]
    longest = max(len(s) for part in sent for s in part)
    splits = [Split(_aligned(s, longest), part.labels) for s, part in zip(sent, (train, test), strict=True)]
    return Task(
        name=name,
        n_classes=n_classes,
        input_scale=INPUT_SCALE,
        train=splits[0],
        test=splits[1],
        loss_steps=late_steps(longest, max(1, round(longest * loss_share))),
        decision_steps=late_steps(longest, max(1, round(longest * decision_share))),
        facts=facts,
        validation=validation,
        metric=metric,
    )


def block_means(series: Series, blocks: int) -> Series:
    """Return means of nearly equal stretches: [T, M] -> [min(T, blocks), M]."""
    if len(series) <= blocks:
        return series
    edges = np.linspace(0, len(series), blocks + 1).round().astype(int)
    sums = np.add.reduceat(np.asarray(series, np.float64), edges[:-1], axis=0)
    means: Series = sums / np.diff(edges)[:, None]
    return means


def side_by_side(series: I16, per_step: int) -> I16:
    """Put consecutive samples side by side as channels of one step: [T, M] -> [T / per_step, per_step * M].

    Raises:
        InputError: `per_step` does not divide T.
    """
    if per_step < 1 or len(series) % per_step:
        raise InputError(
            "samples side by side", f"{per_step} a step, must divide the {len(series)} of a sequence", "Try 1, 2 or 4"
        )
    return series.reshape(len(series) // per_step, -1)


def _aligned(series: Sequence[I16], steps: int) -> I16:
    out = np.zeros((len(series), steps, series[0].shape[1]), np.int16)
    for row, s in zip(out, series, strict=True):
        row[steps - len(s) :] = s
    return out
