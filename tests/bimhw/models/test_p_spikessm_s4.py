"""P-SpikeSSM by its authors' definition: kernel = dense HiPPO-LegS, gradient = autograd of the definition, files, training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bimhw.learning.recipe import recipe
from bimhw.learning.train import train
from bimhw.models.io import load_model, save_model
from bimhw.models.spikessm.legs import discretise, legs, legs_dense
from bimhw.models.spikessm.net import Draws
from bimhw.models.spikessm.s4_config import S4SpikeConfig
from bimhw.models.spikessm.s4_net import S4SpikeNet, sample_clamped
from bimhw.tasks import load_task
from simulator.base.errors import InputError

CONFIGS = st.builds(
    S4SpikeConfig,
    n_in=st.just(3),
    hidden=st.sampled_from([(4,), (3, 3)]),
    n_out=st.just(3),
    n_states=st.sampled_from([2, 6]),
    fuse=st.booleans(),
    steps=st.just(30),
    input_scale=st.sampled_from([1.0, 1 / 16]),
)


def random_net(config: S4SpikeConfig, seed: int) -> S4SpikeNet:
    """Return a network with weights and statistics of no special value, in float64."""
    net = S4SpikeNet(config, seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
        for i in range(config.n_layers):
            net.layer(i).get_buffer("norm_mean").normal_(0, 0.3, generator=generator)
            net.layer(i).get_buffer("norm_var").uniform_(0.5, 2, generator=generator)
    return net


@pytest.mark.parametrize(("n", "steps"), [(2, 1), (4, 50), (16, 784), (64, 300)])
def test_kernel_is_that_of_the_dense_matrix(n: int, steps: int) -> None:
    a, b = legs_dense(n)
    start, rng = legs(n), np.random.default_rng(n)
    np.testing.assert_allclose(start.poles.real, -0.5)
    net = S4SpikeNet(S4SpikeConfig(n_in=1, hidden=(4,), n_out=1, n_states=n), 1).double()
    layer, dense = net.layer(0), rng.normal(size=(4, n))
    weight = dense @ start.basis
    exact = {"log_decay": np.full(n // 2, np.log(0.5)), "frequency": start.poles.imag, "d": np.zeros(4)}
    exact |= {f"{k}_re": v.real for k, v in (("p", start.p), ("in", start.b), ("c", weight))}
    exact |= {f"{k}_im": v.imag for k, v in (("p", start.p), ("in", start.b), ("c", weight))}
    with torch.no_grad():
        for name, value in exact.items():
            layer.get_parameter(name).copy_(torch.from_numpy(value.copy()))
        found = layer.kernel(steps).numpy()
        delta = layer.get_parameter("log_step").exp().numpy()
    for h, step in enumerate(delta):
        left, right = np.eye(n) - step / 2 * a, np.eye(n) + step / 2 * a
        abar, state = np.linalg.solve(left, right), np.linalg.solve(left, step * b)
        for t in range(steps):
            assert abs(found[h, t] - dense[h] @ state) < 1e-10
            state = abar @ state
    once, state = discretise(start.poles, start.p, start.b, delta), np.zeros((4, n // 2), complex)
    for t in range(min(steps, 40)):
        v = (once.q * state).real.sum(1, keepdims=True)
        state = once.e * state - once.p * v + once.b * (t == 0)
        assert np.abs(2 * (weight * state).real.sum(1) - found[:, t]).max() < 1e-10


def straight_through(u: Tensor, w: Tensor) -> Tensor:
    """Return the sampler as its definition says it: the drawn spike with the gradient of its probability."""
    p = u.clamp(0, 1)
    return p + ((w < p).to(u) - p).detach()


def defined(net: S4SpikeNet, x: Tensor, draws: Draws) -> Tensor:
    """Return logits by the definition: training mode, the kernel by powers of the dense matrix, sums instead of FFTs."""
    stream, c = net.encoder(x), net.config
    for i in range(c.n_layers):
        p = dict(net.layer(i).named_parameters())
        u = p["a_in"] * stream + p["b_in"]
        mean, var = u.mean((0, 1)), u.var((0, 1), unbiased=False)
        u = p["norm_gain"] * (u - mean) / torch.sqrt(var + 1e-5) + p["norm_bias"]
        z = straight_through(u, net.uniform(i, 0, draws, u))
        pairs = [torch.complex(-p["log_decay"].exp(), p["frequency"])]
        pairs += [torch.complex(p[f"{n}_re"], p[f"{n}_im"]) for n in ("p", "in", "c")]
        poles, low, gain, weight = (torch.cat([v, v.conj()], -1) for v in pairs)
        a, one = torch.diag(poles) - torch.outer(low, low.conj()), torch.eye(c.n_states, dtype=poles.dtype)
        channels = []
        lag = torch.arange(len(x))[:, None] - torch.arange(len(x))
        for h in range(c.width):
            half = p["log_step"][h].exp() / 2
            state = torch.linalg.solve(one - half * a, 2 * half * gain)
            taps = []
            for _ in range(len(x)):
                taps.append((weight[h] @ state).real)
                state = torch.linalg.solve(one - half * a, (one + half * a) @ state)
            channels.append((torch.stack(taps)[lag.clamp(min=0)] * (lag >= 0)) @ z[..., h])
        y = torch.stack(channels, -1) + p["d"] * z
        chance = p["a_out"] * functional.gelu(y) + p["b_out"]
        s = straight_through(chance, net.uniform(i, 1, draws, chance))
        m = functional.gelu(s @ p["w_mix"].T + p["b_mix"])
        stream = stream + m if c.fuse else m
    return torch.cumsum(net.readout(stream), 0) / c.steps


def check_definition(config: S4SpikeConfig, seed: int) -> None:
    """Compare logits and gradients with those of the definition."""
    x = torch.randn(7, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = []
    for form in (defined, S4SpikeNet.run):
        net = random_net(config, seed)
        out = form(net, x, Draws(seed % 1000, 2))
        logits = out if isinstance(out, Tensor) else out.logits
        logits.square().sum().backward()
        found.append((logits.detach(), {n: p.grad for n, p in net.named_parameters()}))
    assert (found[0][0] - found[1][0]).abs().max() < 1e-10
    for name, wanted in found[0][1].items():
        got = found[1][1][name]
        assert got is not None
        assert wanted is not None
        assert (got - wanted).abs().max() < 1e-10 * (1 + wanted.abs().max()), name


@settings(max_examples=5, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31))
def test_values_and_gradients_are_those_of_the_definition(config: S4SpikeConfig, seed: int) -> None:
    check_definition(config, seed)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31))
def test_values_and_gradients_are_those_of_the_definition_often(config: S4SpikeConfig, seed: int) -> None:
    check_definition(config, seed)


def test_gradient_of_the_sampler_is_one_from_zero_to_one() -> None:
    u = torch.tensor([-0.1, 0.0, 0.3, 1.0, 1.1], dtype=torch.float64, requires_grad=True)
    z = sample_clamped(u, torch.full_like(u, 0.5))
    z.sum().backward()
    assert z.tolist() == [0, 0, 0, 1, 1]
    assert u.grad is not None
    assert u.grad.tolist() == [0, 1, 1, 1, 0]


def test_dropout_and_statistics_belong_to_training_alone() -> None:
    config = S4SpikeConfig(n_in=2, hidden=(6,), n_out=2, n_states=4, dropout=0.5, steps=20)
    net, x = random_net(config, 0), torch.randn(20, 4, 2, dtype=torch.float64)
    before = net.layer(0).get_buffer("norm_mean").clone()
    with torch.no_grad():
        still = [net.run(x).logits for _ in range(2)]
    assert torch.equal(*still)
    assert torch.equal(before, net.layer(0).get_buffer("norm_mean"))
    learning = [net.run(x, Draws(0, k)).logits for k in (0, 0, 4)]
    assert torch.equal(learning[0], learning[1])
    assert not torch.equal(learning[0], learning[2])
    assert not torch.equal(before, net.layer(0).get_buffer("norm_mean"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_states": 3}, "even"),
        ({"n_states": 66}, r"2\.\.64"),
        ({"hidden": (3, 4)}, "same width"),
        ({"dropout": 1.0}, r"in \[0, 1\)"),
        ({"steps": 0}, "at least 1"),
    ],
)
def test_configs_that_are_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        S4SpikeConfig(**({"n_in": 1, "hidden": (2,), "n_out": 2} | change))


def test_training_learns_and_its_file_comes_back(tmp_path: Path) -> None:
    task = load_task("recall", steps=20, train=100, test=100)
    plan = recipe(task, family="p-spikessm-s4", hidden="16", n_states=8, epochs=8, lr=0.05, batch=10, delta_min=0.02)
    result = train(task, plan.config, plan.settings, plan.init)
    assert plan.config.steps == 20
    assert result.final.accuracy > 0.8
    assert len(result.final.rates) == 1
    back = load_model(save_model(result.model, tmp_path / "m.safetensors"))
    x = torch.rand(6, 2, task.n_in)
    with torch.no_grad():
        assert torch.equal(back(x), result.model(x))
