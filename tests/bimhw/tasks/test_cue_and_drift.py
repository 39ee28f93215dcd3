"""The generated tasks of delayed decisions and of a drifting stream: what their sequences hold, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bimhw.tasks import load_task
from simulator.base.errors import InputError


def test_cues_come_as_the_paper_says() -> None:
    """Rates of the groups, times of cues and request, the side that has more, the delay: from the spikes alone."""
    task = load_task("cue", train=300, test=10, group=40)
    x = task.train.x.reshape(300, 270, 4, 40).mean(axis=3)  # steps of 10 ms, share of each group that spikes
    assert task.decision_steps.sum() == 15
    active = 1 - np.exp(-0.4)
    assert abs(x[:, -15:, 2].mean() - active) < 0.01
    assert x[:, :-15, 2].max() == 0
    assert abs(x[:, :, 3].mean() - (1 - np.exp(-0.1))) < 0.005
    lit = x[:, :, :2] > 0
    delays = []
    for k in range(300):
        steps = np.flatnonzero(lit[k].any(axis=1))
        assert steps.size == 70
        cues = [int(lit[k, s].argmax()) for s in steps[::10]]
        assert np.array_equal(steps.reshape(7, 10)[:, 0] - steps[0], 15 * np.arange(7))
        assert not (lit[k, :, 0] & lit[k, :, 1]).any()
        assert task.train.y[k] == (sum(cues) > 3)
        delays.append(270 - 15 - (steps[0] + 105))
    assert min(delays) >= 50 and max(delays) <= 150 and len(set(delays)) > 40
    share = np.mean([abs(2 * lit[k, :, 1].sum() / 70 - 1) for k in range(300)])
    expected = sum(_binomial(7, n, 0.7) * abs(2 * n / 7 - 1) for n in range(8))
    assert abs(share - expected) < 0.05


def _binomial(n: int, k: int, p: float) -> float:
    from math import comb

    return comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize("gradual", [0, 200])
def test_classes_change_places_on_the_way(gradual: int) -> None:
    """Patterns found from the first part tell the class there, and the class before it at the end."""
    task = load_task("drift", train=1200, test=200, gradual=gradual, channels=64, bright=16)
    assert task.ordered
    rates = task.train.x.mean(axis=1)
    old = np.stack([rates[:400][task.train.y[:400] == c].mean(axis=0) for c in range(8)])
    found = (rates @ (old - old.mean(axis=0)).T).argmax(axis=1)
    shift = (task.train.y - found) % 8
    assert (shift[:500] == 0).mean() > 0.95
    assert (shift[700:] == 1).mean() > 0.95
    between = (shift[500:700] == 1).mean()
    assert 0.35 < between < 0.65
    tested = (task.test.x.mean(axis=1) @ (old - old.mean(axis=0)).T).argmax(axis=1)
    assert ((task.test.y - tested) % 8 == 1).mean() > 0.95


@pytest.mark.parametrize("name", ["cue", "drift"])
def test_the_same_seed_the_same_sequences(name: str) -> None:
    a, b, other = (load_task(name, train=9, test=4, seed=s) for s in (1, 1, 2))
    assert (a.train.x == b.train.x).all()
    assert (a.test.y == b.test.y).all()
    assert not (a.train.x == other.train.x).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cue", {"cues": 4}, "must be odd"),
        ("cue", {"step_ms": 7}, "must divide 50"),
        ("cue", {"longest_delay_ms": 100}, "at least delay_ms, 500"),
        ("cue", {"delays": 2}, "no option 'delays'"),
        ("drift", {"bright": 40}, "in 1..32"),
        ("drift", {"at": 1.5}, "is a share"),
        ("drift", {"classes": 1}, "at least 2"),
    ],
)
def test_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_task(name, **options)
