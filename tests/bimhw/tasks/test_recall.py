"""The toy task of long range: what its sequences hold, that they repeat, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bimhw.tasks import load_task
from simulator.base.errors import InputError


@pytest.mark.parametrize("cues", [1, 2, 3])
def test_the_class_is_the_sum_of_the_cues(cues: int) -> None:
    task = load_task("recall", steps=200, classes=3, cues=cues, train=50, test=20, noise=0.1)
    x, y = task.train.x, task.train.y
    assert set(np.unique(x)) == {0, 1}
    for k in range(50):
        found = []
        for j in range(cues):
            begin = j * 200 // (2 * cues)
            window = x[k, begin : begin + 100 // cues, :3]
            (channel,) = np.flatnonzero(window.sum(0) == 10)  # T / 20 spikes of one channel
            at = np.flatnonzero(window[:, channel])
            assert at[-1] - at[0] == 9
            assert at[0] < 20
            found.append(channel)
        assert sum(found) % 3 == y[k]
    assert (x[:, :190, -1] == 0).all()
    assert (x[:, 190:, -1] == 1).all()
    assert task.decision_steps.sum() == 10
    assert abs(x[:, :, 3:5].mean() - 0.1) < 0.01


def test_the_same_seed_the_same_sequences() -> None:
    a, b, other = (load_task("recall", steps=60, train=9, test=4, seed=s) for s in (1, 1, 2))
    assert (a.train.x == b.train.x).all()
    assert (a.test.y == b.test.y).all()
    assert not (a.train.x == other.train.x).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 19}, "at least 20"),
        ({"classes": 1}, "at least 2"),
        ({"cues": 5}, "1..3"),
        ({"noise": 1.5}, "probability"),
        ({"train": 0}, "at least 1"),
        ({"cue": 2}, "no option 'cue'"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_task("recall", **options)
