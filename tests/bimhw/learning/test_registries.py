"""A rule and a form of a contributor: one file each, known to training, to the chip and to the energy models."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bimhw
from bimhw.cli.commands.train import command
from bimhw.compiler.pipeline import compile
from bimhw.learning.rules import registry
from bimhw.learning.settings import TrainSettings
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.runs.learn import learn
from bimhw.tasks.base import Split, Task, late_steps
from energy_models import forms as energy_forms
from simulator.base.errors import InputError
from simulator.plasticity import methods

FORM = """
from bimhw.learning.rules.registry import GradientForm, gradient_form, register_form
from simulator.plasticity.kinds.diag import sweep_history
from simulator.plasticity.methods import ChipForm

def counts(m, h, costs, rate, k, look):
    return {"learn_sweep_mac": 2 * costs.sweep_macs * h}

window = gradient_form("tr")
register_form(GradientForm(
    "short", "a window of K + 1 steps", lambda net, s, batch: window.make(net, s, batch), window.updates,
    operations=counts,
    chip=ChipForm("short", lambda c, steps: c.block + 1, sweep=sweep_history, blocks=True, shared=True),
))
"""
RULE = """
from bimhw.learning.rules.registry import LearningRule, register_rule
from simulator.plasticity.methods import ChipRule

register_rule(LearningRule("half", "half of the gradient on a chip", forms=True, chip=ChipRule("half", True, lambda c: 0.5)))
"""


def load(text: str, path: Path) -> ModuleType:
    """Import a file as a contributor's."""
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def contributed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One rule and one form from temporary modules, forgotten after the test."""
    methods.chip_form("dense")  # the built-in forms are there
    registry.rules()  # and the built-in rules, which would else be forgotten with the copy
    for module, name in ((registry, "_RULES"), (registry, "_FORMS"), (methods, "_RULES"), (methods, "_FORMS")):
        monkeypatch.setattr(module, name, dict(getattr(module, name)))
    monkeypatch.setattr(energy_forms, "FORMS", dict(energy_forms.FORMS))
    load(FORM, tmp_path / "short_form.py")
    load(RULE, tmp_path / "half_rule.py")
    assert "short_form" not in sys.modules


@pytest.fixture(scope="module")
def task() -> Task:
    """Two classes of graded sequences that differ in which half of the channels is loud."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 30)
    x = rng.integers(0, 9, (30, 10, 4)) * (rng.random((30, 10, 4)) < 0.7)
    x = x + 8 * np.repeat(np.eye(2, dtype=int), 2, axis=1)[y][:, None, :]
    return Task("halves", 2, 1 / 16, Split(x[:20], y[:20]), Split(x[20:], y[20:]), late_steps(10, 5), late_steps(10, 3))


@pytest.mark.usefixtures("contributed")
def test_a_form_of_ones_own_trains_learns_and_is_priced(task: Task) -> None:
    mine, window = (bimhw.train(task, hidden=6, epochs=1, form=f, lookback=1, block=5) for f in ("short", "tr"))
    assert mine.settings.form == "short" and mine.updates == window.updates
    for name, value in mine.model.state_dict().items():
        assert torch.equal(value, window.model.state_dict()[name])
    program = compile(mine.model, "loihi2", calibration=task.train.x).program
    short = learn(program, task, epochs=1, form="short", block=5)
    tr = learn(program, task, epochs=1, form="tr", block=5, lookback=0)
    with pytest.raises(InputError, match="'lookback'"):  # its `ChipForm` has none
        learn(program, task, epochs=1, form="short", lookback=7)
    for a, b in zip(short.program.projections, tr.program.projections, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
    assert energy_forms.form_counts("short", 4, 10) == {"learn_sweep_mac": 2 * 17 * 10}


@pytest.mark.usefixtures("contributed")
def test_a_rule_of_ones_own_trains_and_learns(task: Task) -> None:
    mine, exact = (bimhw.train(task, hidden=6, epochs=1, rule=r, form="blk") for r in ("half", "rtrl"))
    assert torch.equal(mine.model.readout.weight, exact.model.readout.weight)
    program = compile(exact.model, "loihi2", calibration=task.train.x).program
    half, whole = (learn(program, task, epochs=1, rule=r, optimiser="sgd", seed=1) for r in ("half", "rtrl"))
    assert half.result.operations["learn_trace_mac"] == whole.result.operations["learn_trace_mac"]
    pairs = list(zip(half.program.projections, whole.program.projections, strict=True))
    assert any(not np.array_equal(a.weights, b.weights) for a, b in pairs)


def test_nothing_unknown_is_taken(task: Task) -> None:
    for options, word in (
        ({"rule": "half"}, "Rules: rtrl"),
        ({"form": "short"}, "Forms: dense"),
        ({"form": "lazy"}, "sgd"),
    ):
        with pytest.raises(InputError, match=word):
            bimhw.train(task, hidden=6, epochs=1, batch=1, **options)
    program = compile(
        BimNet(BimConfig(n_in=4, hidden=(4,), n_out=2, input_scale=1 / 16)), "loihi2", calibration=task.train.x
    ).program
    for options, word in (({"rule": "half"}, "Rules: rtrl"), ({"form": "lazy"}, "Forms: dense")):
        with pytest.raises(InputError, match=word):
            learn(program, task, epochs=1, **options)  # type: ignore[arg-type]


def test_the_name_of_a_form_as_a_rule_still_works() -> None:
    assert TrainSettings(rule="seq") == TrainSettings(form="seq")
    start = ["recall", "--task-option", "steps=20", "--task-option", "train=8", "--task-option", "test=10"]
    start += ["--hidden", "4", "--epochs", "1", "--json"]
    old = CliRunner().invoke(command, [*start, "--rule", "tr"], catch_exceptions=False)
    new = CliRunner().invoke(command, [*start, "--rule", "rtrl", "--form", "tr"], catch_exceptions=False)
    assert "--rule tr is now --rule rtrl --form tr" in old.stderr and not new.stderr
    one, other = (json.loads(r.stdout) for r in (old, new))
    assert one["settings"] == other["settings"] and one["test_loss_nats"] == other["test_loss_nats"]


@pytest.mark.parametrize("form", ["dense", "seq", "tr", "blk"])
def test_hybrid_goes_with_every_form(task: Task, form: str) -> None:
    """At lambda = 1 it is the gradient alone, in the same form (weights inside their bound)."""
    plain = {"hidden": 6, "epochs": 1, "form": form, "optimiser": "sgd", "lr": 0.1, "batch": 5}
    exact = bimhw.train(task, **plain)
    both = bimhw.train(task, rule="hybrid", lam=1.0, w_max=100.0, **plain)
    for name, value in exact.model.state_dict().items():
        torch.testing.assert_close(both.model.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    mixed = bimhw.train(task, rule="hybrid", lam=0.3, **plain)
    assert not torch.equal(mixed.model.state_dict()["layers.0.w_in"], exact.model.state_dict()["layers.0.w_in"])
