"""Averaged weights: the mean of what was there after each of the last updates, of every kind of training, also when resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bimhw.learning.averaging import Averaged
from bimhw.learning.objectives.ctc import CtcSettings, StringBatches, strings_by_autograd
from bimhw.learning.objectives.language import LanguageSettings, language_config, train_language, words_config
from bimhw.learning.objectives.scoring import bim_forward
from bimhw.learning.recipe import recipe
from bimhw.learning.train import Trainer, TrainSettings
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.nets import build
from bimhw.studies.baselines.fit import FitSettings, fit_task, fit_text
from bimhw.studies.forgetting import forget_classes
from bimhw.tasks.base import Task
from bimhw.tasks.sources.text import Corpus, character_corpus
from simulator.base.errors import InputError
from tests.bimhw.learning.test_dropout import _task


def _begun(task: Task, **options: Any) -> Trainer:
    complex_state = {"kind": "complex", "norm": "batch"}
    plan = recipe(
        task, **{"rule": "bptt", "hidden": 8, "epochs": 3, "batch": 8, "lr": 0.05, **complex_state, **options}
    )
    return Trainer(build(plan.config, 0, plan.init), task, plan.settings)


def _values(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.net.state_dict().items()}


@pytest.mark.parametrize(("share", "last"), [(0.4, 4), (1.0, 9), (0.05, 1)])
def test_weights_left_are_the_mean_of_the_last_updates(
    share: float, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, seen = _begun(_task(), average=share), list[dict[str, Tensor]]()
    step = Averaged.step

    def recorded(self: Averaged, loss: Tensor) -> None:
        step(self, loss)
        seen.append(_values(trainer))

    monkeypatch.setattr(Averaged, "step", recorded)
    trainer.run(3, lambda _: None)
    assert len(seen) == 9  # three batches, three times
    for name, value in trainer.net.state_dict().items():
        mean = torch.stack([weights[name].double() for weights in seen[-last:]]).mean(0)
        torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-6)


def test_until_the_end_nothing_changes() -> None:
    plain, with_mean = _begun(_task()), _begun(_task(), average=0.5)
    for trainer in (plain, with_mean):
        for number in (1, 2, 3):
            trainer.epoch(number, lambda _: None)
    assert all(torch.equal(value, _values(with_mean)[name]) for name, value in _values(plain).items())


@pytest.mark.parametrize("number", [1, 2])
def test_a_resumed_run_has_the_mean_of_the_whole_one(number: int) -> None:
    whole, first, second = (_begun(_task(), average=0.6) for _ in range(3))
    whole.run(3, lambda _: None)
    for k in range(1, number + 1):
        first.epoch(k, lambda _: None)
    second._load(first.state())
    second.run(3, lambda _: None)
    assert all(torch.equal(value, _values(second)[name]) for name, value in _values(whole).items())


def test_pruned_synapses_stay_away() -> None:
    trainer = _begun(_task(), average=0.9, prune=0.5, prune_every=1)
    trainer.run(3, lambda _: None)
    values = _values(trainer)
    masks = {name: value for name, value in values.items() if ".mask_" in name}
    assert masks and all((values[name.replace(".mask_", ".w_")][~mask] == 0).all() for name, mask in masks.items())


def test_each_task_of_two_ends_with_its_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, finish = list[int](), Averaged.finish

    def counted(self: Averaged) -> None:
        finish(self)
        ends.append(self.count)

    monkeypatch.setattr(Averaged, "finish", counted)
    task = _task()
    judged = replace(task, test=task.train.take(np.arange(24).repeat(4)))
    forget_classes(judged, 2, ("bptt",), hidden=4, epochs=4, batch=8, average=0.5)
    assert len(ends) == 3 and min(ends) > 0  # the first half, the second after it and alone


@pytest.mark.parametrize(("rule", "share"), [("rtrl", 0.1), ("frozen", 0.1), ("bptt", 1.1), ("bptt", -0.1)])
def test_a_share_out_of_range_or_without_effect_is_refused(rule: str, share: float) -> None:
    with pytest.raises(InputError, match="average"):
        TrainSettings(rule=rule, average=share)


def _text(average: float) -> None:
    corpus = character_corpus("abcd, efgh. " * 900, "low")
    settings = LanguageSettings(rule="tbptt", window=16, batch=8, average=average)
    train_language(corpus, language_config(corpus, hidden=(6,)), settings)


def _words(average: float) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 30, 400).astype(np.int32)
    corpus = Corpus(
        "few", tuple(f"w{k}" for k in range(30)), ids, ids[:200], ids[:200], 5.0, "", words=True, official=True
    )
    config = words_config(corpus, embedding=4, shortlist=8, hidden=(6,))
    train_language(corpus, config, LanguageSettings(rule="tbptt", window=8, batch=2, average=average))


def _baseline_text(average: float) -> None:
    corpus = character_corpus("abcd, efgh. " * 900, "low")
    fit_text("gru", corpus, 4, LanguageSettings(rule="tbptt", window=16, batch=8, average=average))


def _baseline(average: float) -> None:
    fit_task("gru", _task(), FitSettings(hidden=4, epochs=2, batch=8, average=average))


def _strings(average: float) -> None:
    rng = np.random.default_rng(0)
    x = [rng.random((6, 3)).astype(np.float32) for _ in range(12)]
    labels = [rng.integers(0, 5, 6) for _ in range(12)]
    settings = CtcSettings(batch=2, loss="steps", average=average)
    net = BimNet(BimConfig(n_in=3, hidden=(6,), n_out=5), 0)
    source = StringBatches(lambda epoch: (x, labels), settings, blank=4)
    strings_by_autograd(net, bim_forward(net), source, settings, 6).run(1, lambda _: None)


@pytest.mark.parametrize("begin", [_text, _words, _baseline_text, _baseline, _strings])
def test_every_training_by_autograd_has_it(begin: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    seen, finish, step = list[dict[str, Tensor]](), Averaged.finish, Averaged.step

    def recorded(self: Averaged, loss: Tensor) -> None:
        step(self, loss)
        seen.append({name: value.clone() for name, value in self.net.state_dict().items()})

    def judged(self: Averaged) -> None:
        finish(self)
        late = seen[len(seen) - self.count :]
        assert self.count == -(-len(seen) // 2)
        for name, value in self.net.state_dict().items():
            mean = torch.stack([weights[name].double() for weights in late]).mean(0)
            torch.testing.assert_close(value.double(), mean, rtol=1e-4, atol=1e-5)
        done.append(True)

    done = list[bool]()
    monkeypatch.setattr(Averaged, "step", recorded)
    monkeypatch.setattr(Averaged, "finish", judged)
    begin(0.0)
    assert not done
    begin(0.5)
    assert done
