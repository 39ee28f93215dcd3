"""Options that a rule or form does not read are refused; an option that is refused would change no weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import bimhw
from bimhw.learning.heeded import TABLE, check_heeded
from bimhw.learning.recipe import recipe
from bimhw.learning.rules.registry import GradientForm, LearningRule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.train import train
from bimhw.tasks import load_task
from simulator.base.errors import InputError

TAKEN = {
    ("rtrl", "dense"): "form credit k_credit lr_hidden",
    ("rtrl", "seq"): "form credit lr_hidden",
    ("rtrl", "tr"): "form credit block lookback lr_hidden",
    ("rtrl", "blk"): "form credit block lr_hidden",
    ("hybrid", "dense"): "form credit k_credit lam kappa w_max pairing zero_drift third_factor lr_hidden",
    ("stdp", "dense"): "credit k_credit kappa w_max pairing zero_drift third_factor lr_hidden",
    ("bptt", "dense"): "lr_hidden",
    ("frozen", "dense"): "",
    ("e-prop", "dense"): "lr_hidden",
    ("eventprop", "dense"): "lr_hidden",
}
OTHER = {
    "block": 3, "lookback": 1, "credit": "dfa", "k_credit": 0.3, "lam": 0.2, "kappa": 0.7, "w_max": 0.05,
    "pairing": "nearest", "zero_drift": True, "third_factor": "reward", "tau_e": 3.0, "rate_target": 0.9,
    "lr_course": "linear", "lr_hidden": 0.3,
}  # fmt: skip


def _takes(name: str, settings: TrainSettings) -> bool:
    try:
        check_heeded({name: 1}, settings)
    except InputError as error:
        assert name in str(error) and "belongs to" in str(error)
        return False
    return True


@pytest.mark.parametrize(("rule", "form"), TAKEN)
def test_a_rule_takes_what_it_reads(rule: str, form: str) -> None:
    settings = TrainSettings(rule=rule, form=form)
    names = [name for heed in TABLE for name in heed.names]
    assert {n for n in names if _takes(n, settings)} == set(TAKEN[rule, form].split())


@pytest.mark.parametrize(
    ("name", "beside"),
    [("tau_e", {"rule": "stdp", "third_factor": "reward"}), ("prune_every", {"prune": 0.5}), ("lr_course", {"lr_end": 0.5}),
     ("rate_target", {"rate_strength": 0.1})],
)  # fmt: skip
def test_an_option_of_another_option(name: str, beside: dict[str, object]) -> None:
    assert not _takes(name, TrainSettings())
    assert _takes(name, TrainSettings(**beside))  # type: ignore[arg-type]


def test_an_option_is_taken_where_one_of_several_trainings_reads_it() -> None:
    tr, bptt = TrainSettings(form="tr"), TrainSettings(rule="bptt")
    check_heeded({"lookback": 4, "block": None}, bptt, tr)
    with pytest.raises(InputError, match="'lookback': belongs to form tr"):
        check_heeded({"lookback": 4}, bptt)


def test_rules_and_forms_of_your_own_may_read_all() -> None:
    form = GradientForm("mine", "", lambda net, settings, batch: pytest.fail())
    assert form.settings == LearningRule("mine", "").settings == ("credit", "k_credit", "block", "lookback")


def test_the_function_refuses_it_before_training() -> None:
    with pytest.raises(InputError, match="'lookback'"):
        bimhw.train("digits", lookback=4)
    with pytest.raises(InputError, match="'form'"):
        bimhw.train("digits", rule="bptt", form="seq")


@pytest.mark.long
@pytest.mark.parametrize(("rule", "form"), [k for k in TAKEN if k[0] not in ("e-prop", "eventprop")])
def test_what_is_refused_changes_nothing_and_what_is_taken_does(rule: str, form: str) -> None:
    task = load_task("digits")
    task = replace(task, train=task.train.take(np.arange(24)), test=task.test.take(np.arange(10)))

    def weights(**more: object) -> torch.Tensor:
        named = {"block": 2} | more if form in ("tr", "blk") else more
        plan = recipe(task, None, 0, hidden="6,5", epochs=1, batch=6, lr=0.05, rule=rule, form=form, **named)
        model = train(task, plan.config, plan.settings, plan.init).model
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    plain = weights()
    for name, value in OTHER.items():
        try:
            settings = recipe(task, None, 0, rule=rule, form=form, **{name: value}).settings
            changed = not torch.equal(plain, weights(**{name: value}))
        except InputError:
            continue
        assert changed == _takes(name, settings), name
