"""Keeping old tasks: the reservoir is fair and seeded, the penalty pulls as written, grown weights are lost slowly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bimhw.cli.main import main
from bimhw.learning.continual import Consolidation, Metaplasticity, own_rows
from bimhw.learning.optim import FlatParameters
from bimhw.learning.replay import ReplayBatches, Reservoir
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.studies.forgetting import Forgetting, KeepSettings, forget_classes
from bimhw.tasks import load_task
from bimhw.tasks.base import Split, Task
from simulator.base.errors import InputError


def numbered(n: int) -> Split:
    return Split(np.arange(n).reshape(n, 1, 1), np.arange(n))


def test_the_reservoir_is_fair_and_repeatable() -> None:
    """Each of 40 samples is held with probability 1/4, offered at once or one by one; a seed gives the same ones."""
    counts = np.zeros(40)
    for seed in range(800):
        reservoir = Reservoir(10, seed)
        reservoir.offer(numbered(40))
        held = reservoir.samples()
        assert len(held) == 10 == len(set(held.y.tolist())) and (held.x[:, 0, 0] == held.y).all()
        counts[held.y] += 1
    assert abs(counts - 200).max() < 5 * np.sqrt(800 * 0.25 * 0.75)
    slow = Reservoir(10, 799)
    for i in range(40):
        slow.offer(numbered(40).take(slice(i, i + 1)))
    np.testing.assert_array_equal(slow.samples().y, held.y)
    small = Reservoir(10, 0)
    small.offer(numbered(3))
    np.testing.assert_array_equal(small.samples().y, [0, 1, 2])
    with pytest.raises(InputError, match="at least 1"):
        Reservoir(0, 0)


def test_batches_hold_as_many_old_samples() -> None:
    task = load_task("digits")
    task = replace(task, train=task.train.take(slice(0, 20)))
    old = replace(task.train, y=task.train.y + 100).take(slice(0, 4))
    batches = ReplayBatches(task, 8, 0, torch.zeros(1), old)
    whole = list(batches.batches(1))
    assert [(b.count, b.x.shape[1]) for b in whole] == [(8, 16), (8, 16), (4, 8)]
    assert all((b.y[b.count :] >= 100).all() and (b.y[: b.count] < 100).all() for b in whole)
    resumed = list(batches.batches(1, 1))
    assert all(torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in zip(whole[1:], resumed, strict=True))
    assert not torch.equal(whole[0].x[:, 8:], next(batches.batches(2)).x[:, 8:])


def test_consolidation_pulls_by_the_mean_square() -> None:
    hold, g = Consolidation(10.0), torch.tensor([1.0, 2.0])
    values = torch.tensor([1.0, 1.0])
    assert torch.equal(hold.gradient(g, values), g) and torch.equal(hold.gradient(3 * g, values), 3 * g)
    hold.settle(values)
    torch.testing.assert_close(hold.importance, torch.tensor([5.0, 20.0]))
    moved = torch.tensor([1.5, 1.0])
    torch.testing.assert_close(hold.gradient(g, moved), torch.tensor([1.0 + 10 * 5 * 0.5, 2.0]))
    assert hold.words == 6


def test_grown_weights_are_lost_slowly_and_grow_freely() -> None:
    before, after = torch.tensor([2.0, 2.0, 0.0, -0.5]), torch.tensor([3.0, 1.0, 1.0, 0.5])
    kept = Metaplasticity(0.5).landed(before, after)
    slow = 1 - torch.tanh(torch.tensor([1.0, 0.25])) ** 2
    torch.testing.assert_close(kept, torch.tensor([3.0, 2.0 - float(slow[0]), 1.0, -0.5 + float(slow[1])]))


def test_rows_of_absent_classes() -> None:
    net = BimNet(BimConfig(n_in=2, hidden=(3,), n_out=4))
    parameters = FlatParameters(net)
    parts = torch.split(own_rows(parameters, {1, 3}), [s.numel() for s in parameters.shapes])
    for name, shape, part in zip(parameters.names, parameters.shapes, parts, strict=True):
        expected = torch.ones(shape)
        if name.startswith("readout."):
            expected[[0, 2]] = 0
        assert torch.equal(part.view(shape), expected), name


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


def forgotten(digits: Task, **keep: object) -> Forgetting:
    way = KeepSettings(**keep)  # type: ignore[arg-type]
    return forget_classes(digits, rules=("bptt",), keep=way, hidden=24, epochs=4, lr=0.02, batch=16)["bptt"]


def test_replay_keeps_what_is_lost_without(digits: Task) -> None:
    nothing, replay = forgotten(digits), forgotten(digits, keep="replay", samples=100)
    assert nothing.first_after < 0.1 and replay.first_after > 0.5 and replay.second_after > 0.6
    assert replay.first_before == nothing.first_before and replay.words == 100 * digits.steps * digits.n_in


def test_a_strong_pull_holds_the_first_task(digits: Task) -> None:
    held = forgotten(digits, keep="consolidate", strength=1e5)
    assert held.first_after > 0.5 and held.words > 0


def test_faults_and_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ({"keep": "hope"}, {"samples": 0}, {"strength": -1.0}):
        with pytest.raises(InputError):
            KeepSettings(**wrong)  # type: ignore[arg-type]
    line = "forgetting digits --hidden 6 --epochs 1 --rule bptt --keep replay --samples 5 --json"
    with pytest.raises(SystemExit) as done:
        main(line.split())
    assert done.value.code == 0 and '"words": 640' in capsys.readouterr().out
