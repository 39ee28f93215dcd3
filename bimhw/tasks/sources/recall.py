"""Cue recall: a long-range toy task, generated from its seed.

A sequence of T steps with `cues` cues. Cue j (from 0) begins at a step drawn from the tenth of the sequence that starts at
j T / (2 cues): one of `classes` cue channels, drawn anew, spikes for T/20 steps. In all the steps two distractor channels
spike at random, P = `noise`. In the last T/20 steps a go channel spikes, and the class is the sum of the cues' numbers modulo
`classes` (two cues of two classes: delayed XOR). All spikes are binary. The first cue lies some 0.9 T steps back; a model that
forgets one of them is right 1 time in `classes`.
"""

from __future__ import annotations

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.errors import check_values

_DISTRACTORS = 2


def load(
    steps: int = 300,
    classes: int = 4,
    cues: int = 1,
    noise: float = 0.05,
    train: int = 2000,
    test: int = 1000,
    seed: int = 0,
) -> Task:
    """Make the task of these sizes.

    Args:
        steps: T.
        classes: of a cue, and of the answer.
        cues: 1 to 3.
        noise: P of a spike of each distractor channel in each step.
        train: training sequences.
        test: test sequences.
        seed: of everything drawn.

    Raises:
        InputError: a size that makes no task.
    """
    rules = (
        ("steps", steps, steps >= 20, "must be at least 20"),
        ("classes", classes, classes >= 2, "must be at least 2"),
        ("cues", cues, 1 <= cues <= 3, "must be in 1..3"),
        ("noise", noise, 0 <= noise <= 1, "is a probability"),
        ("train", train, train >= 1, "must be at least 1"),
        ("test", test, test >= 1, "must be at least 1"),
    )
    check_values("task recall: ", rules)
    rng = np.random.default_rng((seed, steps, classes, cues))
    burst = steps // 20
    splits = [_split(rng, n, steps, classes, cues, noise) for n in (train, test)]
    deciding = late_steps(steps, burst)
    facts = {
        "source": f"generated, seed {seed}",
        "cues": f"{cues} of {classes}, the first at most {steps // 10} steps in",
    }
    return Task("recall", classes, 1.0, splits[0], splits[1], deciding, deciding, facts)


def _split(rng: np.random.Generator, n: int, steps: int, classes: int, cues: int, noise: float) -> Split:
    burst = steps // 20
    x = np.zeros((n, steps, classes + _DISTRACTORS + 1), np.int16)
    y = np.zeros(n, np.int64)
    for j in range(cues):
        cue = rng.integers(0, classes, n)
        first = j * steps // (2 * cues) + rng.integers(0, max(1, steps // 10), n)
        for k in range(burst):
            x[np.arange(n), first + k, cue] = 1
        y = (y + cue) % classes
    x[:, :, classes : classes + _DISTRACTORS] = rng.random((n, steps, _DISTRACTORS)) < noise
    x[:, -burst:, -1] = 1
    return Split(x, y)


register_task(TaskInfo("recall", "a cue to remember over hundreds of steps", "package", "generated", load, rank=6))
