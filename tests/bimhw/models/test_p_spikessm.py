"""P-SpikeSSM: all steps at once = one after another, the sampler's frequencies and gradient, counter-based draws, files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.cli.commands.train import command
from bimhw.learning.evaluate import evaluate
from bimhw.learning.recipe import recipe
from bimhw.learning.train import train
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import load_arrays, load_model, save_model
from bimhw.models.registry import config_from, config_to_json
from bimhw.models.spikessm.config import PSpikeConfig, parameter_shapes
from bimhw.models.spikessm.net import Draws, PSpikeNet, convolve, sample
from bimhw.studies.results.points import run_point
from bimhw.studies.results.rows import Row
from bimhw.tasks import load_task
from simulator.base.errors import InputError
from simulator.base.random import STREAM_NEURON, random_word, uniforms
from simulator.neurons.p_spike_ssm import probability_table

CONFIGS = st.builds(
    PSpikeConfig,
    n_in=st.integers(1, 3),
    hidden=st.sampled_from([(4,), (5, 5), (3, 3, 3)]),
    n_out=st.just(2),
    n_states=st.integers(1, 3),
    clamp=st.sampled_from([0.5, 1.0, 2.0]),
    k_o=st.sampled_from([0.0, 0.9]),
)


def random_net(config: PSpikeConfig, seed: int) -> PSpikeNet:
    """Weights of no special value, in float64."""
    net = PSpikeNet(config, seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return net


@settings(max_examples=40, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31), steps=st.integers(1, 120))
def test_all_steps_at_once_is_the_recurrence(config: PSpikeConfig, seed: int, steps: int) -> None:
    net = random_net(config, seed)
    x = torch.randn(steps, 3, config.n_in, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        fast, slow = net.run(x, Draws(seed, 7)), net.step_by_step(x, Draws(seed, 7))
    for a, b in zip(fast.chances, slow.chances, strict=True):
        assert (a - b).abs().max() < 1e-12
    assert all(torch.equal(a, b) for a, b in zip(fast.spikes, slow.spikes, strict=True))
    assert (fast.logits - slow.logits).abs().max() < 1e-12


def test_both_forms_have_the_same_gradient() -> None:
    config = PSpikeConfig(n_in=2, hidden=(5, 5), n_out=3, n_states=2)
    x = torch.randn(40, 4, 2, dtype=torch.float64)
    found = []
    for form in (PSpikeNet.run, PSpikeNet.step_by_step):
        net = random_net(config, 1)
        form(net, x, Draws(3)).logits.square().sum().backward()
        found.append({n: p.grad for n, p in net.named_parameters()})
    for name, gradient in found[0].items():
        scale = found[1][name].abs().max()
        assert scale > 0, name
        assert (gradient - found[1][name]).abs().max() < 1e-10 * scale, name


def test_convolution_and_its_gradient() -> None:
    r = torch.randn(3, 4, 11, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(4, 11, dtype=torch.float64, requires_grad=True)
    wanted = np.array([[np.convolve(r[b, h].detach(), kernel[h].detach())[:11] for h in range(4)] for b in range(3)])
    np.testing.assert_allclose(convolve(r, kernel).detach().numpy(), wanted, atol=1e-13)
    assert torch.autograd.gradcheck(convolve, (r, kernel))


def test_the_state_space_is_what_its_equation_says() -> None:
    """The modes by plain complex numbers of Python, from lambda, gamma, c of the docstring."""
    net = random_net(PSpikeConfig(n_in=1, hidden=(1,), n_out=1, n_states=2), 5)
    p = {n.removeprefix("layers.0."): v.detach().numpy() for n, v in net.named_parameters()}
    r = np.random.default_rng(0).uniform(-1, 1, 30)
    with torch.no_grad():
        y = net.layer(0).logits(torch.from_numpy(r)[:, None, None])[:, 0, 0].numpy()
    step = float(np.exp(p["log_step"][0]))
    poles = [np.exp(step * complex(-np.exp(p["log_decay"][0, n]), p["frequency"][0, n])) for n in range(2)]
    modes = [0j, 0j]
    for t, u in enumerate(r):
        wanted = p["d"][0] * u + p["b_spike"][0]
        for n, pole in enumerate(poles):
            modes[n] = pole * modes[n] + np.sqrt(1 - abs(pole) ** 2) * u
            wanted += (complex(p["c_re"][0, n], p["c_im"][0, n]) * modes[n]).real
        assert abs(y[t] - wanted) < 1e-12


@pytest.mark.parametrize("y", [-4.0, -1.0, 0.0, 0.7, 3.0])
def test_spikes_come_as_often_as_their_probability_says(y: float) -> None:
    n = 40_000
    w = torch.from_numpy(uniforms(11, [0], n // 100, 5, 100)[0].ravel())
    count = float(sample(torch.full((n,), y, dtype=torch.float64), w).sum())
    p = 1 / (1 + np.exp(-y))
    assert abs(count - n * p) < 4.5 * np.sqrt(n * p * (1 - p))  # binomial, 7 in a million


def test_the_surrogate_is_the_gradient_of_the_expected_loss() -> None:
    """A loss linear in the spikes: E over all 2^n draws by enumeration; its gradient by finite differences."""
    rng = np.random.default_rng(2)
    y, weight = rng.normal(0, 1, 6), rng.normal(0, 1, 6)

    def expected(at: np.ndarray) -> float:
        p, total = 1 / (1 + np.exp(-at)), 0.0
        for pattern in range(2**6):
            s = (pattern >> np.arange(6)) & 1
            total += np.prod(np.where(s == 1, p, 1 - p)) * float(weight @ s)
        return total

    numeric = [(expected(y + h) - expected(y - h)) / 2e-5 for h in 1e-5 * np.eye(6)]
    for draw in range(3):  # whatever was drawn
        leaf = torch.from_numpy(y).requires_grad_()
        w = torch.from_numpy(uniforms(draw, [0], 1, 0, 6)[0, 0])
        (torch.from_numpy(weight) @ sample(leaf, w)).backward()
        assert leaf.grad is not None
        np.testing.assert_allclose(leaf.grad.numpy(), numeric, rtol=1e-8)


def test_uniforms_are_the_words_of_their_keys() -> None:
    drawn = uniforms(9, [100, 7], 3, 40, 5)
    assert drawn.shape == (2, 3, 5)
    for b, first in enumerate((100, 7)):
        for t in range(3):
            for i in range(5):
                assert drawn[b, t, i] == (int(random_word(9, first + t, 40 + i, STREAM_NEURON)) >> 16) / 65536


def test_draws_do_not_depend_on_the_batch() -> None:
    net = random_net(PSpikeConfig(n_in=2, hidden=(6, 6), n_out=2), 0)
    x = torch.randn(20, 5, 2, dtype=torch.float64)
    with torch.no_grad():
        whole = net.run(x).spikes[1]
        parts = [net.run(x[:, b : b + 1], Draws(0, b)).spikes[1] for b in range(5)]
        other = net.run(x, Draws(1)).spikes[1]
    assert torch.equal(whole, torch.cat(parts, 1))
    assert not torch.equal(whole, other)


def test_the_stream_stays_within_the_clamp() -> None:
    net = random_net(PSpikeConfig(n_in=2, hidden=(6,), n_out=2, clamp=0.5), 0)
    r = net.encode(10 * torch.randn(50, 2, dtype=torch.float64))
    assert r.abs().max() == 0.5
    assert net.layer(0).fuse(r, 10 * torch.ones(50, 6, dtype=torch.float64)).abs().max() == 0.5


def test_probability_table() -> None:
    table = probability_table()
    assert table[0] == round(65536 / (1 + np.exp(8 - 1 / 128)))
    assert (np.diff(table) >= 0).all()
    y = np.linspace(-7.99, 7.99, 5000)
    entry = np.floor(y * 64).astype(int) + 512
    assert np.abs(table[entry] / 65536 - 1 / (1 + np.exp(-y))).max() < 0.25 / 128 + 2**-16


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files(tmp_path: Path, suffix: str) -> None:
    net = PSpikeNet(PSpikeConfig(n_in=3, hidden=(4, 4), n_out=2, n_states=3), 2)
    path = save_model(net, tmp_path / f"m{suffix}")
    back = load_model(path)
    assert isinstance(back, PSpikeNet)
    assert back.config == net.config
    x = torch.rand(6, 2, 3)
    assert torch.equal(back(x), net(x))
    config, arrays = load_arrays(path)
    assert set(arrays) == set(parameter_shapes(config))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": (3, 4)}, "same width"),
        ({"hidden": ()}, "at least one layer"),
        ({"n_states": 0}, "1..32"),
        ({"n_states": 33}, "1..32"),
        ({"clamp": 0.0}, "positive"),
        ({"k_o": 1.0}, "in \\[0, 1\\)"),
        ({"n_in": 0}, "at least 1"),
    ],
)
def test_configs_that_are_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PSpikeConfig(**({"n_in": 1, "hidden": (2,), "n_out": 2} | change))


def test_files_of_something_else(tmp_path: Path) -> None:
    config = PSpikeConfig(n_in=1, hidden=(2,), n_out=2)
    assert config_from(config_to_json(config), "x") == config
    for text, message in (
        ('{"family": "lstm"}', "unknown family 'lstm'"),
        ('{"family": "p-spikessm", "n_in": 1}', "missing required field"),
        ('{"family": "p-spikessm", "n_in": 1, "hidden": [2], "n_out": 2, "psp": "exp"}', "unknown field"),
        ("{", "x: config"),
    ):
        with pytest.raises(InputError, match=message):
            config_from(text, "x")
    net = PSpikeNet(config)
    with torch.no_grad():
        net.layer(0).get_parameter("c_re")[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"layers\.0\.c_re.*holds nan"):
        load_arrays(save_model(net, tmp_path / "m.pt"))
    bim = BimNet(BimConfig(n_in=1, hidden=(2,), n_out=2))
    bim.config = config  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"lacks encoder\.bias"):
        load_arrays(save_model(bim, tmp_path / "b.safetensors"))


def test_training_learns_and_repeats() -> None:
    task = load_task("recall", steps=60, train=200, test=100)
    plan = recipe(task, family="p-spikessm", hidden="16", epochs=8, lr=0.03, batch=20, delta_min=0.02)
    results = [train(task, plan.config, plan.settings, plan.init) for _ in range(2)]
    assert results[0].final.accuracy > 0.9
    assert results[0].summary() | {"train_seconds": 0, "epochs": []} == results[1].summary() | {
        "train_seconds": 0,
        "epochs": [],
    }
    net = results[0].model
    assert evaluate(net, task, task.test.take(slice(0, 50))).scores.tolist() == results[0].final.scores[:50].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "rtrl"}, "trained by bptt"),
        ({"prune": 0.5}, "no masks"),
        ({"psp": "exp"}, "Options: family, n_in, hidden"),
        ({"preset": "fsdd"}, "Presets: default"),
        ({"family": "lstm"}, "Families: bim, event, leaky, meta, p-spikessm"),
    ],
)
def test_what_the_family_does_not_have(options: dict[str, Any], message: str) -> None:
    task = load_task("recall", steps=20, train=4, test=10)
    with pytest.raises(InputError, match=message):
        plan = recipe(task, **({"family": "p-spikessm", "hidden": "4"} | options))
        train(task, plan.config, plan.settings, plan.init)


def test_command(tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    sizes = [a for o in ("steps=20", "train=8", "test=10") for a in ("--task-option", o)]
    given = ["recall", "--family", "p-spikessm", "--hidden", "4,4", "--states", "3", "--epochs", "1", "--json", *sizes]
    done = CliRunner().invoke(command, [*given, "-o", str(out)])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["config"]["family"] == "p-spikessm"
    assert facts["settings"]["rule"] == "bptt"
    assert isinstance(load_model(out), PSpikeNet)
    for more, message in ((["--stream"], "for BIM networks only"), (["--rule", "seq"], "trained by bptt")):
        refused = CliRunner().invoke(command, [*given, *more])
        assert refused.exit_code != 0
        assert message in refused.output + str(refused.exception)
    text = CliRunner().invoke(command, ["lm", "--family", "p-spikessm"])
    assert text.exit_code == 2
    assert "BIM networks only" in text.output


def test_a_row_of_the_results() -> None:
    task = load_task("recall", steps=20, train=10, test=10)
    row = Row("ours", "p-spikessm", {"hidden": "4", "epochs": 1, "lr": 0.01})
    point = run_point(task, "recall", row, row.options, 0, False)
    assert point.accuracy is not None
    assert point.parameters == sum(
        np.prod(s) for s in parameter_shapes(PSpikeConfig(n_in=7, hidden=(4,), n_out=4)).values()
    )
    assert "family" not in point.options
