"""The literature's systems against closed forms, brute force and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init
from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.leaky.net import LeakyInit, LeakyNet
from bimhw.models.orthogonal import orthogonal_weights
from bimhw.studies.literature.diffusion import angle_by_speed, diffuse
from bimhw.studies.literature.equilibrium import Equilibrium, EquilibriumConfig, gdu
from bimhw.studies.literature.lempel_ziv import (
    NearestComplexity,
    lz76,
    lz_complexity,
)
from bimhw.tasks import load_task
from bimhw.tasks.sources.spike_sources import bernoulli, markov, poisson
from simulator.base.errors import InputError

SIZES = [50, 100, 300, pytest.param(1000, marks=pytest.mark.long)]


def orthogonal_penalty(w: torch.Tensor) -> torch.Tensor:
    """Return ||W W^T - I||_F (scheme 2) of a matrix [rows, columns]; times lambda it is added to a loss.

    The gradient is 2 (W W^T - I) W / ||W W^T - I||_F; at an orthogonal W it is taken as 0.
    """
    wide = w if w.shape[0] <= w.shape[1] else w.T
    norm: torch.Tensor = torch.linalg.matrix_norm(wide @ wide.T - torch.eye(len(wide), dtype=w.dtype, device=w.device))
    return norm


def bernoulli_entropy(p: float) -> float:
    """Return the entropy rate of a Bernoulli source in bits a symbol."""
    return float(-sum(q * np.log2(q) for q in (p, 1 - p) if q > 0))


@pytest.mark.parametrize("n", SIZES)
def test_orthogonal_within_a_hundred_iterations(n: int) -> None:
    got = orthogonal_weights(n, n)
    assert got.errors[-1] < 1e-6 and got.iterations <= 100
    np.testing.assert_allclose(got.weights @ got.weights.T, np.eye(n), atol=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(7, 20), (20, 7)])
def test_orthogonal_of_other_shapes(rows: int, columns: int) -> None:
    singular = np.linalg.svd(orthogonal_weights(rows, columns).weights, compute_uv=False)
    np.testing.assert_allclose(singular, 1, atol=1e-6)


def test_orthogonal_penalty_has_the_stated_gradient() -> None:
    w = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    orthogonal_penalty(w).backward()  # type: ignore[no-untyped-call]
    off = w.detach() @ w.detach().T - torch.eye(5)
    torch.testing.assert_close(w.grad, 2 * off @ w.detach() / torch.linalg.matrix_norm(off))


@pytest.mark.parametrize("n", SIZES)
def test_the_penalty_alone_leads_to_orthogonal_weights(n: int) -> None:
    """Scheme 2 from N(0, 1 / 4 n) with steps of E / ||gradient||^2 (Polyak's, as the least E is 0)."""
    generator = torch.Generator().manual_seed(n)
    w = (torch.randn(n, n, dtype=torch.float64, generator=generator) / (2 * n**0.5)).requires_grad_()
    for _ in range(100):
        error = orthogonal_penalty(w)
        if error.item() < 1e-6:
            break
        (gradient,) = torch.autograd.grad(error, w)
        with torch.no_grad():
            w -= error / gradient.square().sum() * gradient
    assert orthogonal_penalty(w).item() < 1e-6


def test_orthogonal_refuses_a_step_that_diverges() -> None:
    with pytest.raises(InputError, match="alpha"):
        orthogonal_weights(4, 4, alpha=0.3)


def test_waves_of_a_constant_input_are_backpropagation() -> None:
    assert angle_by_speed([np.inf]).max() < 1e-5


def test_waves_turn_with_the_speed_of_the_input() -> None:
    naive = angle_by_speed([16, 80, 800, 8000])
    assert (np.diff(naive.max(1)) < 0).all() and naive[0].max() > 20 > 1 > naive[-1].max()
    assert naive[:, -1].max() < 1e-5  # the output layer waits for nobody


@pytest.mark.parametrize("seed", range(5))
def test_paired_waves_are_exact_at_any_speed(seed: int) -> None:
    assert angle_by_speed([3, 16, 80], pairing="paired", seed=seed).max() < 1e-5
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(4, 3)), rng.normal(size=(2, 4))]
    got = diffuse(weights, rng.normal(size=(9, 3)), rng.normal(size=(9, 2)))
    for wave, exact in zip(got.waves, got.backprop, strict=True):
        np.testing.assert_allclose(wave, exact, rtol=1e-12, atol=1e-14)


def brute_lz76(text: str) -> int:
    phrases, start = 0, 0
    while start < len(text):
        end = start + 1
        while end <= len(text) and any(text[i : i + end - start] == text[start:end] for i in range(start)):
            end += 1
        phrases, start = phrases + 1, end
    return phrases


def test_lz76_of_known_strings() -> None:
    assert lz76("0001101001000101") == 6
    assert lz76("0" * 100) == 2 and lz76("01" * 50) == 3


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="01", min_size=1, max_size=60))
def test_lz76_is_the_definition(text: str) -> None:
    assert lz76(text) == brute_lz76(text)
    assert lz76([int(c) for c in text]) == lz76(text)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_complexity_tends_to_the_entropy_rate(p: float) -> None:
    train = bernoulli(p, (1 << 15,), seed=1)
    assert lz_complexity(train) == pytest.approx(bernoulli_entropy(p), rel=0.05)


def test_sources_have_their_rates() -> None:
    assert markov(0.1, 0.3, (200, 500), 0).mean() == pytest.approx(0.25, abs=0.01)
    assert poisson(50, 1.0, (200, 500), 0).mean() == pytest.approx(-np.expm1(-0.05), abs=0.003)
    with pytest.raises(InputError, match="probability"):
        bernoulli(1.2, (3,), 0)


def test_complexity_tells_sources_apart() -> None:
    trains = np.concatenate([bernoulli(0.5, (40, 400), 0), markov(0.05, 0.05, (40, 400), 1)])
    labels = np.repeat([0, 1], 40)
    readout = NearestComplexity.fit(trains[::2], labels[::2])
    assert (readout.predict(trains[1::2]) == labels[1::2]).mean() == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_ep_updates_are_bptt_gradients(seed: int) -> None:
    got = gdu(seed=seed, steps=400, beta=1e-5)
    np.testing.assert_allclose(got.cosine, 1, atol=1e-4)
    np.testing.assert_allclose(got.ratio, 1, atol=1e-4)


def test_c_ep_with_small_rates_is_ep() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((4, 6)), rng.random((4, 2))
    change = {}
    for rule in ("ep", "c-ep"):
        net = Equilibrium(EquilibriumConfig(sizes=(2, 5, 6), rates=(1e-9, 1e-9), rule=rule))  # type: ignore[arg-type]
        before = [w.copy() for w in net.forward]
        net.learn(x, y)
        change[rule] = np.concatenate([(w - b).ravel() for w, b in zip(net.forward, before, strict=True)]) / 1e-9
    np.testing.assert_allclose(change["c-ep"], change["ep"], rtol=1e-6, atol=1e-6)


def test_c_vf_starts_at_its_angle() -> None:
    net = Equilibrium(EquilibriumConfig(sizes=(50, 300, 6), rates=(0.1, 0.1), rule="c-vf", angle_deg=45))
    f, b = net.forward[0].T, net.backward[0]
    assert (f * b).sum() / (np.linalg.norm(f) * np.linalg.norm(b)) == pytest.approx(np.cos(np.pi / 4), abs=0.02)
    with pytest.raises(InputError, match="c-vf"):
        EquilibriumConfig(sizes=(2, 3, 4), rates=(0.1, 0.1), angle_deg=10)


def test_continual_equilibrium_learns_the_digits_and_its_operations_are_counted() -> None:
    from benchmarks.equilibrium import accuracy, config_of, digits

    train, test = digits()
    net, targets = Equilibrium(config_of("c-ep", (0.04, 0.02))), np.eye(10)
    signs = np.random.default_rng(1)
    assert accuracy(net, test) < 30
    for start in [*range(0, 1400, 20)] * 3:
        part = slice(start, start + 20)
        net.learn(train.x[part], targets[train.y[part]], 1.0 if signs.random() < 0.5 else -1.0)
    assert accuracy(net, test) > 60
    synapses, loops = 10 * 128 + 128 * 64, 10 * 128
    counts = net.operations()
    assert counts["learn_sweep_mac"] == 55 * (synapses + loops)
    assert counts["learn_weight_updates"] == 15 * synapses and counts["learn_weight_mac"] == 30 * synapses


@pytest.mark.parametrize("bits", [2, 3])
def test_temporal_order_is_that_of_its_symbols(bits: int) -> None:
    task = load_task("temporal-order", steps=50, bits=bits, train=300, test=40, seed=3)
    assert (task.train.x.sum(2) == 1).all() and task.n_classes == 2**bits
    places = {2: [(5, 10), (25, 30)], 3: [(5, 10), (15, 20), (30, 35)]}[bits]
    for x, y in zip(task.train.x, task.train.y, strict=True):
        at = np.flatnonzero(x[:, 4] + x[:, 5])
        assert [a <= t < b for t, (a, b) in zip(at, places, strict=True)] == [True] * bits
        assert int("".join(str(x[t, 5]) for t in at), 2) == y
    assert set(task.train.y) == set(range(2**bits))
    with pytest.raises(InputError, match="2 or 3"):
        load_task("temporal-order", bits=4)


@pytest.mark.parametrize("how", ["orthogonal", "local"])
def test_recurrent_weights_begin_orthogonal(how: str) -> None:
    config = LeakyConfig(n_in=3, hidden=(20, 8), n_out=2, recurrent=True)
    net = LeakyNet(config, 1, LeakyInit(recurrence=how, gain_rec=0.7))  # type: ignore[arg-type]
    plain = LeakyNet(config, 1, LeakyInit(gain_rec=0.7))
    for k, n in enumerate(config.hidden):
        w = net.layers[k].get_parameter("recurrent").detach().numpy()
        np.testing.assert_allclose(w @ w.T, 0.49 * np.eye(n), atol=1e-5)
    first = [m.layers[0].get_parameter("weight") for m in (net, plain)]
    assert torch.equal(*first)


@pytest.mark.parametrize("how", ["orthogonal", "local"])
def test_mixing_between_bim_layers_begins_orthogonal(how: str) -> None:
    init = Init(mixing=how, gain_in=2.0)  # type: ignore[arg-type]
    net = BimNet(BimConfig(n_in=3, hidden=(12, 12), n_out=2), 1, init)
    weights = net.layer(1).get_parameter("w_in").detach()
    assert torch.allclose(weights @ weights.T, 4 * torch.eye(12), atol=1e-5)
    plain = BimNet(BimConfig(n_in=3, hidden=(12, 12), n_out=2), 1, Init(gain_in=2.0))
    assert torch.equal(net.layer(0).get_parameter("w_in"), plain.layer(0).get_parameter("w_in"))
