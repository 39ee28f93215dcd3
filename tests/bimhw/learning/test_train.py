"""Training: it learns, it repeats by its seed, it refuses what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import bimhw
from bimhw.cli.main import main
from bimhw.learning.recipe import recipe
from bimhw.learning.train import TrainSettings, train
from bimhw.models.io import load_model
from bimhw.tasks import load_task
from bimhw.tasks.base import Split, Task, late_steps
from simulator.base.errors import InputError
from tests.thinned import first


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def few(digits: Task) -> Task:
    """Return some of the digits."""
    train, test = digits.train.take(slice(0, 96)), digits.test.take(slice(0, 64))
    return Task("few", 10, 1 / 16, train, test, digits.loss_steps, digits.decision_steps)


def test_digits_is_the_stated_set_up(digits: Task) -> None:
    assert (len(digits.train), len(digits.test), digits.steps, digits.n_in) == (1297, 500, 16, 8)
    assert digits.train.x.max() == 16
    assert digits.input_scale == 1 / 16
    np.testing.assert_array_equal(digits.train.x[:, 0], digits.train.x[:, 1])
    assert digits.loss_steps.sum() == 8
    assert digits.decision_steps.sum() == 4


@pytest.mark.parametrize(
    ("rule", "epochs", "least"),
    first(
        4, [("rtrl", 3, 0.55), ("bptt", 4, 0.4), ("frozen", 2, 0.3), ("seq", 4, 0.4), ("blk", 4, 0.4), ("tr", 4, 0.4)]
    ),
)
def test_rules_learn(digits: Task, rule: str, epochs: int, least: float) -> None:
    plan = recipe(digits, rule=rule, epochs=epochs, hidden=32, lr=0.012 if rule in ("rtrl", "frozen") else 0.03)
    assert train(digits, plan.config, plan.settings).final.accuracy >= least


@pytest.mark.parametrize("optimiser", ["sgd", "rms", "adam"])
def test_same_seed_same_weights(few: Task, optimiser: str) -> None:
    plan = recipe(few, hidden="12,8", epochs=1, optimiser=optimiser, dense_readout=True, seed=5)
    first, second = (train(few, plan.config, plan.settings).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[k], second[k]) for k in first)
    other = train(few, plan.config, TrainSettings(optimiser=optimiser, epochs=1, seed=6)).model.state_dict()
    assert not torch.equal(first["layers.0.w_in"], other["layers.0.w_in"])


def test_bptt_and_rtrl_take_the_same_step_on_one_labelled_step(digits: Task) -> None:
    """With one label per sequence an online update is the BPTT update."""
    last = late_steps(16, 1)
    part = digits.train.take(slice(0, 64))
    task = Task("one", 10, 1 / 16, part, part, last, last)
    nets = []
    for rule in ("bptt", "rtrl", "seq"):
        plan = recipe(task, rule=rule, epochs=2, hidden=16, optimiser="sgd", lr=0.5)
        nets.append(train(task, plan.config, plan.settings).model.state_dict())
    for name in nets[0]:
        torch.testing.assert_close(nets[0][name], nets[1][name], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(nets[0][name], nets[2][name], rtol=1e-4, atol=1e-6)
    assert (nets[0]["layers.0.w_in"] - nets[0]["layers.0.w_in"].mean()).abs().max() > 0


@pytest.mark.parametrize("rule", first(2, ["rtrl", "bptt", "seq", "blk"]))
def test_rate_regulariser_lowers_the_rate(few: Task, rule: str) -> None:
    rates = []
    for strength in (0.0, 2.0):
        plan = recipe(few, rule=rule, hidden=16, epochs=5, lr=0.02, batch=16, rate_strength=strength, rate_target=0.05)
        rates.append(train(few, plan.config, plan.settings).final.rates[0])
    assert rates[1] < 0.8 * rates[0]


@pytest.mark.parametrize("rule", ["hybrid", "stdp"])
def test_hybrid_rules_stay_in_their_bounds(few: Task, rule: str) -> None:
    plan = recipe(few, rule=rule, hidden=16, epochs=1, w_max=0.7)
    model = train(few, plan.config, plan.settings).model
    assert 0.69 < model.layer(0).weight("in").abs().max() <= 0.7


def test_frozen_keeps_the_hidden_layer(digits: Task) -> None:
    plan = recipe(digits, rule="frozen", epochs=1, hidden=8)
    from bimhw.models.bim.net import BimNet

    before, after = BimNet(plan.config, 0), train(digits, plan.config, plan.settings).model
    assert torch.equal(before.layer(0).weight("in"), after.layer(0).weight("in"))
    assert after.readout.weight.abs().max() > 0


def test_divergence_is_an_error(digits: Task) -> None:
    plan = recipe(digits, hidden=8, epochs=2, optimiser="sgd", lr=1e38)
    with pytest.raises(InputError, match="diverged"):
        train(digits, plan.config, plan.settings)


def test_bad_settings_are_named(digits: Task) -> None:
    for options, word in (
        ({"rule": "rtrrl"}, "rtrl"),
        ({"epochs": 0}, "epochs"),
        ({"hidden": "0"}, "hidden"),
        ({"hidden": "a"}, "hidden"),
        ({"hidden": 4.5}, "hidden: is 4.5. Give integers"),
        ({"hidden": [4, 1.5]}, "hidden"),
        ({"delays": "0,x"}, "delays"),
        ({"thetaa": 1}, "thetaa"),
        ({"preset": "demoo"}, "demo"),
    ):
        with pytest.raises(InputError, match=word):
            recipe(digits, **options)  # type: ignore[arg-type]
    plan = recipe(digits, hidden="8,8", credit="direct", epochs=1)
    with pytest.raises(InputError, match="dense"):
        train(digits, plan.config, plan.settings)


def test_bad_tasks_are_named(digits: Task) -> None:
    x, y = digits.train.x[:4], digits.train.y[:4]
    good, steps = Split(x, y), digits.loss_steps
    for bad in (Split(x[:0], y[:0]), Split(x.astype(float), y), Split(x, y + 20), Split(x[:, :3], y)):
        with pytest.raises(InputError, match="test split"):
            Task("t", 10, 1.0, good, bad, steps, steps)


def test_command_and_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["train", "digits", "--hidden", "8", "--epochs", "1", "-o", str(tmp_path / "m.pt"), "--json"])
    assert done.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    again = bimhw.train("digits", hidden=(8,), epochs=1)
    assert printed["test_accuracy"] == again.final.accuracy
    back = load_model(tmp_path / "m.pt").state_dict()
    assert all(torch.equal(back[k], v) for k, v in again.model.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["train", "nope"], "digits"),
        (["train", "digits", "-o", "/nonexistent-folder/m.pt"], "folder"),
        (["train", "digits", "-o", "m.onnx"], "suffix"),
        (["train", "digits", "--rule", "x"], "bptt"),
        (["train", "digits", "--lr", "nan"], "lr"),
    ],
)
def test_command_errors(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert word in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize(("preset", "level"), [("digits", 0.9), ("level", 0.85)])
def test_level_of_digits(digits: Task, preset: str, level: float) -> None:
    """H=64, 8 epochs online, batch 64: mean of 5 seeds."""
    plans = [recipe(digits, preset=preset, seed=s) for s in range(5)]
    assert np.mean([train(digits, p.config, p.settings).final.accuracy for p in plans]) >= level


@pytest.mark.long
def test_level_of_the_demo(digits: Task) -> None:
    plans = [recipe(digits, preset="demo", seed=s) for s in range(3)]
    assert min(train(digits, p.config, p.settings, p.init).final.accuracy for p in plans) >= 0.93


def test_adam_is_torchs_adam() -> None:
    from bimhw.learning.optim import FlatParameters, Optimiser
    from bimhw.models.bim.config import BimConfig
    from bimhw.models.bim.net import BimNet

    net = BimNet(BimConfig(n_in=3, hidden=(4,), n_out=2))
    flat = FlatParameters(net)
    twin = torch.nn.Parameter(flat.values.clone())
    mine, theirs = Optimiser("adam", flat), torch.optim.Adam([twin], lr=0.01, betas=(0.9, 0.99), eps=1e-8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        g = torch.randn(twin.shape, generator=generator)
        mine.step(g, 0.01)
        twin.grad = g
        theirs.step()
    torch.testing.assert_close(flat.values, twin.detach(), rtol=1e-4, atol=1e-6)


def test_a_rate_of_the_hidden_layers_is_that_of_a_group_of_torchs_adam() -> None:
    from bimhw.learning.optim import FlatParameters, Optimiser
    from bimhw.models.bim.config import BimConfig
    from bimhw.models.bim.net import BimNet

    net = BimNet(BimConfig(n_in=3, hidden=(4, 2), n_out=2)).double()
    twins = {n: torch.nn.Parameter(p.detach().clone()) for n, p in net.named_parameters() if p.requires_grad}
    flat = FlatParameters(net, hidden=0.1)
    rates = [{"params": [w], "lr": 0.02 if n.startswith("readout") else 0.002} for n, w in twins.items()]
    mine, theirs = Optimiser("adam", flat), torch.optim.Adam(rates, betas=(0.9, 0.99), eps=1e-8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        for w in twins.values():
            w.grad = torch.randn(w.shape, generator=generator, dtype=w.dtype)
        mine.step(flat.gather({n: w.grad for n, w in twins.items() if w.grad is not None}), 0.02)
        theirs.step()
    for name, w in twins.items():
        torch.testing.assert_close(net.get_parameter(name).detach(), w.detach(), rtol=1e-10, atol=1e-12)


def test_one_thread_unless_more_are_asked_for(few: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training sets the number, stores it, and puts back what was there."""
    import bimhw.learning.train as module

    seen: list[int] = []
    real = module.evaluate
    monkeypatch.setattr(module, "evaluate", lambda *a: (seen.append(torch.get_num_threads()), real(*a))[1])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one = bimhw.train(few, hidden=6, epochs=1)
        two = bimhw.train(few, hidden=6, epochs=1, threads=2)
        assert seen == [1, 2] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert (one.summary()["threads"], two.summary()["threads"]) == (1, 2)
    with pytest.raises(InputError, match="at least 1"):
        bimhw.train(few, threads=0)
