"""What a user gives a learner or its settings from Python is checked: a wrong value is one line, and no loop reads too far."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import bimhw
from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.leaky.net import LeakyNet
from simulator.base.errors import InputError

GOOD, LABELS = torch.zeros(2, 3), torch.tensor([1, 0])


def learner(form: str) -> Any:
    if form == "leaky":
        return bimhw.make_learner(
            LeakyNet(LeakyConfig(n_in=3, hidden=(4,), n_out=2)), bimhw.LearnerSettings(rule="e-prop"), batch=2
        )
    net = bimhw.BimNet(bimhw.BimConfig(n_in=3, hidden=(4,), n_out=2))
    return bimhw.make_learner(net, bimhw.LearnerSettings(rule="rtrl", form=form), batch=2)


@pytest.mark.parametrize("form", ["dense", "seq", "tr", "blk", "leaky"])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(2, 4), None, r"has shape \(2, 4\)\. Give \[2, 3\]"),
        (torch.zeros(3, 3), None, r"has shape \(3, 3\)"),
        (torch.zeros(1, 2, 3), None, r"has shape \(1, 2, 3\)"),
        (torch.zeros(2, 3).double(), None, r"is torch\.float64 on cpu, its network torch\.float32"),
        (torch.zeros(2, 3).long(), None, r"is torch\.int64"),
        (GOOD, torch.tensor([0, 2]), r"labels of a step: index 2 is out of bounds.*0 to 1"),
        (GOOD, torch.tensor([0, -1]), "index -1 is out of bounds"),
        (GOOD, torch.tensor([0]), r"labels of a step: have shape \(1,\)"),
        (GOOD, torch.tensor([0.0, 1.0]), r"torch\.int64"),
    ],
)
def test_a_wrong_step_is_one_line(form: str, x: Tensor, y: Tensor | None, message: str) -> None:
    made = learner(form)
    with pytest.raises(InputError, match=message):
        made.observe(x, y)
    made.reset()
    assert made.observe(GOOD, LABELS).loss > 0


@pytest.mark.parametrize("batch", [0, -1, 1.5, "2"])
def test_a_learner_of_no_sequences_is_refused(batch: Any) -> None:
    net = bimhw.BimNet(bimhw.BimConfig(n_in=3, hidden=(4,), n_out=2))
    with pytest.raises(InputError, match="learner: batch"):
        bimhw.make_learner(net, bimhw.LearnerSettings(), batch=batch)


@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        ("TrainSettings", {"lr": "a"}, "training setting lr: is 'a': Expected `float`"),
        ("TrainSettings", {"epochs": 1.5}, "Expected `int`"),
        ("TrainSettings", {"optimiser": "adamw"}, "Did you mean 'adam'"),
        ("TrainSettings", {"credit": "x"}, "exact, filt-win"),
        ("TrainSettings", {"prune_mode": "z"}, "prune_mode 'z'"),
        ("BimConfig", {"psp": "x"}, "psp 'x': is not known. Psps: delta, exp, alpha"),
        ("BimConfig", {"n_in": 3.0}, "n_in: is 3.0"),
        ("Init", {"gain_in": float("nan")}, "must be finite"),
        ("Init", {"delta_min": -1.0}, "delta_min: is -1.0, must be positive"),
        ("Init", {"delta_min": 2.0, "delta_max": 1.0}, "must not be below delta_min"),
        ("Init", {"mixing": "x"}, "Mixings: normal"),
    ],
)
def test_settings_made_in_python_are_checked(make: str, wrong: dict[str, Any], message: str) -> None:
    from bimhw.models.bim.net import Init

    ends = {"n_in": 3, "hidden": (4,), "n_out": 2} if make == "BimConfig" else {}
    kind = Init if make == "Init" else getattr(bimhw, make)
    with pytest.raises(InputError, match=message):
        kind(**(ends | wrong))
