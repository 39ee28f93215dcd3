"""Handwritten digits (UCI optdigits as shipped with scikit-learn, 1797 images of 8 x 8, values 0..16), shown row by row.

Each row is shown for ``repeat`` steps as graded spikes, or (``whole``, named ``digits-whole``) all 64 pixels at once for
4 x ``repeat`` steps, as networks without memory want them; permutation RandomState(0), first 1297 train, last 500 test;
labels count in the last half of the steps, the decision is the mean of the last 4.
"""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.arrays import I64, U8

_TRAIN = 1297


def load(repeat: int = 2, whole: bool = False) -> Task:
    """Return the task; T = 8 x repeat steps of 8 channels, or `whole`: 4 x repeat steps of 64."""
    images, labels = _images()
    # RandomState: this permutation, and no other, is the split that published figures of this project use
    order = np.random.RandomState(0).permutation(len(labels))
    if whole:
        x = np.repeat(images.reshape(-1, 1, 64), 4 * repeat, axis=1)[order]
    else:
        x = np.repeat(images, repeat, axis=1)[order]
    y = labels[order]
    steps = x.shape[1]
    return Task(
        name="digits-whole" if whole else "digits",
        n_classes=10,
        input_scale=1 / 16,
        train=Split(x[:_TRAIN], y[:_TRAIN]),
        test=Split(x[_TRAIN:], y[_TRAIN:]),
        loss_steps=late_steps(steps, steps // 2),
        decision_steps=late_steps(steps, 4),
        facts={
            "source": "UCI Optical Recognition of Handwritten Digits (test part), as in scikit-learn",
            "licence": "CC BY 4.0",
            "split": "RandomState(0) permutation, 1297 train / 500 test",
        },
    )


def _images() -> tuple[U8, I64]:
    """Return the images [1797, 8, 8] and their labels.

    They are read from scikit-learn's file: importing scikit-learn takes a second, a third of a short command.
    """
    package = find_spec("sklearn")
    file = Path((package and package.origin) or "").parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        from sklearn.datasets import load_digits

        data = load_digits()
        return data.images.astype(np.uint8), data.target.astype(np.int64)
    with gzip.open(file, "rt", encoding="ascii") as lines:
        rows = np.loadtxt(lines, delimiter=",")
    return rows[:, :-1].reshape(-1, 8, 8).astype(np.uint8), rows[:, -1].astype(np.int64)


register_task(
    TaskInfo(
        "digits", "8 x 8 digits row by row, 10 classes", "package", "UCI, CC BY 4.0", load, preset="digits", rank=1
    )
)
