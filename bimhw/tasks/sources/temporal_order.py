"""Temporal order: in which order did X and Y come? Made from a seed.

One of six symbols in every step, one channel each: four distractors at random, but X or Y at two places of the sequence (XX,
XY, YX, YY) or at three (eight classes). The places are drawn from tenths of the sequence: [.1, .2) and [.5, .6), or [.1, .2),
[.3, .4) and [.6, .7). The class is asked for at the last step.

Source: Hochreiter & Schmidhuber 1997 (tasks 6a, 6b), with the places of Manchev & Spratling 2022 (arXiv:2211.08408).
"""

from __future__ import annotations

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.errors import check_values

_PLACES = {2: (0.1, 0.5), 3: (0.1, 0.3, 0.6)}
_DISTRACTORS = 4


def load(steps: int = 50, bits: int = 2, train: int = 2000, test: int = 500, seed: int = 0) -> Task:
    """Return the task of these sizes.

    Args:
        steps: L.
        bits: places of X or Y, 2 or 3.
        train: training sequences.
        test: test sequences.
        seed: of everything drawn.

    Raises:
        InputError: a size that makes no task.
    """
    rules = (
        ("steps", steps, steps >= 10, "must be at least 10"),
        ("bits", bits, bits in _PLACES, "must be 2 or 3"),
        ("train", train, train >= 1, "must be at least 1"),
        ("test", test, test >= 1, "must be at least 1"),
    )
    check_values("task temporal-order: ", rules)
    rng = np.random.default_rng((seed, steps, bits))
    splits = [_split(rng, n, steps, bits) for n in (train, test)]
    last = late_steps(steps, 1)
    facts = {"source": f"generated, {bits} bits, seed {seed}"}
    return Task("temporal-order", 2**bits, 1.0, splits[0], splits[1], last, last, facts)


def _split(rng: np.random.Generator, n: int, steps: int, bits: int) -> Split:
    symbol = rng.integers(0, _DISTRACTORS, (n, steps))
    y = np.zeros(n, np.int64)
    for share in _PLACES[bits]:
        first, end = int(np.ceil(share * steps)), int(np.ceil((share + 0.1) * steps))
        which = rng.integers(0, 2, n)
        symbol[np.arange(n), rng.integers(first, end, n)] = _DISTRACTORS + which
        y = 2 * y + which
    return Split((symbol[:, :, None] == np.arange(_DISTRACTORS + 2)).astype(np.int16), y)


register_task(
    TaskInfo(
        "temporal-order", "the order of two or three symbols among distractors", "package", "generated", load, rank=9
    )
)
