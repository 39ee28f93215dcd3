"""Rows of a grid: in which band of the input channels are the spikes? Made from a seed, for `bimhw.models.networks.gain`.

In every step a channel of the class's band spikes with probability `high`, another with `low`.
"""

from __future__ import annotations

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.errors import check_values


def load(
    rows: int = 8, classes: int = 2, steps: int = 60, high: float = 0.1, low: float = 0.01,
    train: int = 100, test: int = 100, seed: int = 0,
) -> Task:  # fmt: skip
    """Return the task of these sizes.

    Args:
        rows: input channels, a multiple of `classes`.
        classes: bands.
        steps: T.
        high: P of a spike in the band.
        low: P of a spike elsewhere.
        train: training samples.
        test: test samples.
        seed: of everything drawn.

    Raises:
        InputError: a size that makes no task.
    """
    rules = (
        ("classes", classes, classes >= 2, "must be at least 2"),
        ("rows", rows, rows >= classes and rows % classes == 0, f"must be a multiple of {classes}"),
        ("steps", steps, steps >= 1, "must be at least 1"),
        ("high", high, 0 <= high <= 1, "is a probability"),
        ("low", low, 0 <= low <= 1, "is a probability"),
        ("train", train, train >= classes, f"must be at least {classes}"),
        ("test", test, test >= classes, f"must be at least {classes}"),
    )
    check_values("task rows: ", rules)
    rng = np.random.default_rng((seed, rows, classes, steps))

    def split(n: int) -> Split:
        y = np.arange(n, dtype=np.int64) % classes
        chance = np.where(np.arange(rows) // (rows // classes) == y[:, None], high, low)
        return Split((rng.random((n, steps, rows)) < chance[:, None]).astype(np.int16), y)

    late, last = late_steps(steps, max(1, steps // 3)), late_steps(steps, 1)
    return Task("rows", classes, 1.0, split(train), split(test), late, last, {"source": f"generated, seed {seed}"})


register_task(TaskInfo("rows", "a band of spiking rows of a grid", "package", "generated", load, rank=8))
