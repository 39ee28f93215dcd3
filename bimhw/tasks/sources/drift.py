"""A stream with drift: patterns of spikes whose classes change on the way, generated from its seed.

Each class has a pattern: `bright` of the channels spike with P = 0.3 in a step, the others with P = 0.1. On the way through the
training split the classes change places: a pattern of class c belongs to class c + 1 modulo `classes` from then on. The change
comes at once after the share `at` of the split, or, with `gradual` above 0, over that many sequences, each drawn from the new
order with a probability that rises evenly from 0 to 1. The test split has the new order alone. The training split is a stream:
rules on the chip learn it in its order and are judged on the sequences that come next.
"""

from __future__ import annotations

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.arrays import Bools, Floats
from simulator.base.errors import check_values

_ON, _OFF = 0.3, 0.1


def load(
    classes: int = 8,
    channels: int = 32,
    bright: int = 8,
    steps: int = 16,
    at: float = 0.5,
    gradual: int = 0,
    train: int = 1600,
    test: int = 400,
    seed: int = 0,
) -> Task:
    """Return the stream of these sizes.

    Args:
        classes: labels.
        channels: inputs.
        bright: channels of each class's pattern that spike often.
        steps: of a sequence; the answer is asked for in the second half.
        at: share of the training split before the change (before its middle, where it is gradual).
        gradual: sequences that the change takes.
        train: training sequences.
        test: test sequences, all of the new order.
        seed: of everything drawn.

    Raises:
        InputError: a size that makes no stream.
    """
    rules = (
        ("classes", classes, classes >= 2, "must be at least 2"),
        ("bright", bright, 1 <= bright <= channels, f"must be in 1..{channels}, the channels"),
        ("steps", steps, steps >= 2, "must be at least 2"),
        ("at", at, 0 <= at <= 1, "is a share, 0 to 1"),
        ("gradual", gradual, gradual >= 0, "must be at least 0"),
        ("train", train, train >= 1, "must be at least 1"),
        ("test", test, test >= 1, "must be at least 1"),
    )
    check_values("task drift: ", rules)
    rng = np.random.default_rng((seed, classes, channels, bright, steps))
    patterns = np.stack([rng.permutation(channels) < bright for _ in range(classes)])
    rates = np.where(patterns, _ON, _OFF)
    place = np.arange(train) + 0.5 - at * train
    new = rng.random(train) < np.clip(place / max(gradual, 1e-9) + 0.5, 0, 1)
    splits = [_split(rng, shifted, rates, steps) for shifted in (new, np.ones(test, bool))]
    deciding = late_steps(steps, steps - steps // 2)
    facts = {
        "source": f"generated, seed {seed}",
        "drift": f"classes change places after {at:.0%} of the stream"
        + (f", over {gradual} sequences" * (gradual > 0)),
    }
    return Task("drift", classes, 1.0, splits[0], splits[1], deciding, deciding, facts, ordered=True)


def _split(rng: np.random.Generator, shifted: Bools, rates: Floats, steps: int) -> Split:
    classes = len(rates)
    pattern = rng.integers(0, classes, shifted.size)
    x = rng.random((shifted.size, steps, rates.shape[1])) < rates[pattern][:, None]
    return Split(x.astype(np.int16), ((pattern + shifted) % classes).astype(np.int64))


register_task(
    TaskInfo("drift", "a stream of patterns whose classes change places", "package", "generated", load, rank=6)
)
