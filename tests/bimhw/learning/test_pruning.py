"""Pruning reaches its target, keeps the large weights, and the saved network has no pruned synapse."""

from __future__ import annotations

import numpy as np
import pytest

from bimhw.learning.pruning import MatrixPruner, PruneSettings
from bimhw.learning.recipe import recipe
from bimhw.learning.train import train
from bimhw.tasks import load_task
from simulator.base.errors import InputError
from tests.thinned import first

RHOS = [0.0, 0.05, 0.3, 0.5, 0.8, 0.95, 0.99]


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("mode", ["resampled", "gated", "regrow"])
@pytest.mark.parametrize("scale", first(1, [1.0, 0.01, 30.0]))
def test_target_is_reached(mode: str, rho: float, scale: float) -> None:
    w = scale * np.random.default_rng(1).normal(size=(50, 80))
    pruner = MatrixPruner(PruneSettings(rho=rho, mode=mode))
    shares = []
    for call in range(300):
        mask = pruner.call(w)
        if call >= 200:
            shares.append(1 - mask.mean())
    assert abs(np.mean(shares) - rho) <= 0.005
    assert abs(pruner.sparsity - rho) <= 0.005 + 3 * np.sqrt(rho * (1 - rho) / w.size)
    if 0.05 < rho < 0.99:
        assert np.abs(w[mask]).mean() > 1.5 * np.abs(w[~mask]).mean()


def weights_of(kind: str, n: int, scale: float) -> np.ndarray:
    rng = np.random.default_rng(n)
    signs = rng.choice([-1.0, 1.0], n)
    return (
        scale
        * {
            "normal": rng.normal(size=n),
            "one magnitude": signs,
            "two magnitudes": signs * np.where(rng.random(n) < 0.5, 0.1, 1.0),
            "equal to rounding": np.full(n, 0.1),
            "far from 0": 1 + 0.05 * rng.normal(size=n),
            "zeros": np.zeros(n),
        }[kind]
    )


@pytest.mark.parametrize("mode", ["resampled", "gated", "regrow"])
@pytest.mark.parametrize(
    "kind", ["normal", "one magnitude", "two magnitudes", "equal to rounding", "far from 0", "zeros"]
)
@pytest.mark.parametrize("turn", first(1, range(4)))  # each size meets each scale in one of the turns
def test_any_weights_of_any_scale(mode: str, kind: str, turn: int) -> None:
    rng = np.random.default_rng(7 + turn)
    scales = [1e-6, 0.05, 1.0, 10.0]
    for n, scale in zip((1, 12, 400, 5000), scales[turn:] + scales[:turn], strict=True):
        rho, w = float(rng.uniform(0, 0.99)), weights_of(kind, n, scale)
        pruner = MatrixPruner(PruneSettings(rho=rho, mode=mode))
        shares = [1 - pruner.call(w).mean() for _ in range(250)]
        quantum = 0.5 / n if mode == "gated" else 0.0  # a mask of n synapses cannot be nearer
        spread = np.sqrt(rho * (1 - rho) / n)
        few = 3 * spread / np.sqrt(100 if mode == "resampled" else 2.5)  # regrow turns over in 20 calls
        assert abs(np.mean(shares[-100:]) - rho) <= 0.005 + quantum + (0 if mode == "gated" else few), (
            n,
            scale,
            rho,
        )
        assert abs(pruner.sparsity - rho) <= 0.005 + quantum + (0 if mode == "gated" else 3.5 * spread), (
            n,
            scale,
            rho,
        )


@pytest.mark.parametrize("start", [-1.0, 0.0, 5.0])
def test_controller_converges_from_any_start(start: float) -> None:
    w = np.random.default_rng(2).normal(size=4000)
    pruner = MatrixPruner(PruneSettings(rho=0.8, mode="resampled"), start=start)
    shares = [1 - pruner.call(w).mean() for _ in range(400)]
    assert abs(np.mean(shares[-100:]) - 0.8) <= 0.005
    assert pruner.theta == pytest.approx(1.284, abs=0.06)


def test_target_follows_moving_weights() -> None:
    rng = np.random.default_rng(3)
    w = rng.normal(size=2000)
    pruner = MatrixPruner(PruneSettings(rho=0.6, mode="resampled"))
    shares = []
    for _ in range(400):
        w *= 1.005
        w += 0.01 * rng.normal(size=2000)
        shares.append(1 - pruner.call(w).mean())
    assert abs(np.mean(shares[-100:]) - 0.6) <= 0.01


def test_gated_never_returns_nor_overshoots() -> None:
    w = np.random.default_rng(4).normal(size=(40, 40))
    pruner = MatrixPruner(PruneSettings(rho=0.7))
    last = np.ones(w.shape, dtype=bool)
    for _ in range(200):
        mask = pruner.call(w)
        assert not (mask & ~last).any()
        assert 1 - mask.mean() <= 0.7 + 1e-12
        last = mask


def test_masks_repeat_by_seed() -> None:
    w = np.random.default_rng(5).normal(size=300)
    masks = [MatrixPruner(PruneSettings(rho=0.5, mode="resampled", seed=s)).call(w) for s in (0, 0, 1)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()


@pytest.mark.parametrize("mode", ["resampled", "gated", "regrow"])
@pytest.mark.parametrize("every", [4, 60])
def test_trained_network_is_pruned(mode: str, every: int) -> None:
    """Also after few calls: two in one epoch of 168 updates."""
    digits = load_task("digits")
    plan = recipe(digits, hidden=16, epochs=1, prune=0.6, prune_mode=mode, prune_every=every)
    model = train(digits, plan.config, plan.settings).model
    for port in ("in", "delta", "c"):
        mask = model.layer(0).get_buffer(f"mask_{port}")
        assert abs(float((~mask).float().mean()) - 0.6) <= 0.005 + 3 * np.sqrt(0.24 / mask.numel())
        assert model.layer(0).get_parameter(f"w_{port}")[~mask].abs().max() == 0


@pytest.mark.parametrize("mode", ["resampled", "gated", "regrow"])
def test_readout_is_pruned_where_wanted(mode: str) -> None:
    digits = load_task("digits")
    options = {"hidden": 16, "epochs": 1, "prune": 0.6, "prune_mode": mode, "prune_every": 2}
    zeros = []
    for wanted in (False, True):
        plan = recipe(digits, prune_readout=wanted, **options)
        weight = train(digits, plan.config, plan.settings).model.readout.weight
        zeros.append(float((weight == 0).float().mean()))
    assert zeros[0] < 0.2  # of neurons that never fired
    assert abs(zeros[1] - 0.6) <= 0.01 + 3 * np.sqrt(0.24 / weight.numel())


@pytest.mark.parametrize(("field", "value"), [("rho", 1.0), ("rho", -0.1), ("gamma0", 3.0), ("beta0", 0.0)])
def test_bad_settings(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        PruneSettings(**{"rho": 0.5, field: value})
