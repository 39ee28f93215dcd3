"""STDP traces against the double sum over spike pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bimhw.learning.rules.hybrid import Hybrid, clip_inputs
from bimhw.learning.rules.stdp import ModulatedStdp, StdpSettings, StdpTraces
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.base.errors import InputError


def by_pairs(c: StdpSettings, pre: np.ndarray, post: np.ndarray) -> float:
    """Sum over the pairs that the pairing admits: the definition."""
    t_pre, t_post = np.flatnonzero(pre), np.flatnonzero(post)
    if c.pairing == "all":
        return float(c.window(t_post[:, None] - t_pre[None, :]).sum()) if len(t_pre) and len(t_post) else 0.0
    total = 0.0
    for t in t_post:
        before = t_pre[t_pre <= t]
        total += float(c.window(t - before[-1])) if len(before) else 0.0
    for t in t_pre:
        before = t_post[t_post < t]
        total += float(c.window(before[-1] - t)) if len(before) else 0.0
    return total


def by_traces(c: StdpSettings, pre: np.ndarray, post: np.ndarray) -> float:
    traces = StdpTraces(c, 1, 1, 1, torch.zeros(1, dtype=torch.float64))
    for u, s in zip(pre, post, strict=True):
        traces.step(torch.tensor([[float(u)]], dtype=torch.float64), torch.tensor([[float(s)]], dtype=torch.float64))
    return float(traces.take())


@pytest.mark.parametrize("pairing", ["all", "nearest"])
def test_traces_are_the_double_sum_on_random_pairs(pairing: str) -> None:
    worst, largest = 0.0, 0.0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        taus, amplitudes = rng.uniform(1, 30, 2), rng.uniform(0.1, 3, 2)
        c = StdpSettings(
            a_plus=amplitudes[0], a_minus=amplitudes[1], tau_plus=taus[0], tau_minus=taus[1], pairing=pairing
        )  # fmt: skip
        rates = rng.uniform(0, 0.6, 2)
        pre, post = rng.random((2, 120)) < rates[:, None]
        expected = by_pairs(c, pre, post)
        worst, largest = max(worst, abs(by_traces(c, pre, post) - expected)), max(largest, abs(expected))
    assert worst <= 1e-9
    assert largest > 10


def test_a_tie_potentiates() -> None:
    c = StdpSettings(a_plus=0.7, a_minus=0.2)
    assert by_traces(c, np.array([0, 1, 0]), np.array([0, 1, 0])) == pytest.approx(0.7)


def test_zero_drift() -> None:
    """Uncorrelated trains: equal amplitudes drift up by A+ r r per step, the corrected ones do not."""
    rng = np.random.default_rng(0)
    u, s = (torch.from_numpy((rng.random((400, 200, 1)) < 0.3).astype(np.float64)) for _ in range(2))

    def drift(c: StdpSettings) -> float:
        traces = StdpTraces(c, 200, 1, 1, torch.zeros(1, dtype=torch.float64))
        for t in range(400):
            traces.step(u[t], s[t])
        return float(traces.take()) / 400

    plain = StdpSettings()
    assert drift(plain) == pytest.approx(0.09, abs=0.01)
    assert abs(drift(plain.without_drift())) < 0.01


def test_batch_and_matrix_form() -> None:
    rng = np.random.default_rng(3)
    c = StdpSettings(tau_plus=4.0, tau_minus=9.0)
    pre, post = rng.random((50, 2, 3)) < 0.4, rng.random((50, 2, 4)) < 0.3
    traces = StdpTraces(c, 2, 3, 4, torch.zeros(1, dtype=torch.float64))
    for u, s in zip(pre, post, strict=True):
        traces.step(torch.from_numpy(u.astype(np.float64)), torch.from_numpy(s.astype(np.float64)))
    expected = np.mean(
        [[[by_pairs(c, pre[:, b, j], post[:, b, i]) for j in range(3)] for i in range(4)] for b in range(2)], 0
    )
    np.testing.assert_allclose(traces.take(), expected, atol=1e-10)
    assert traces.omega.abs().max() == 0


def test_third_factor_is_the_filtered_omega() -> None:
    rng = np.random.default_rng(4)
    pre, post = (torch.from_numpy((rng.random((40, 1, 1)) < 0.4).astype(np.float64)) for _ in range(2))
    plain = StdpTraces(StdpSettings(), 1, 1, 1, torch.zeros(1, dtype=torch.float64))
    gated = ModulatedStdp(StdpTraces(StdpSettings(), 1, 1, 1, torch.zeros(1, dtype=torch.float64)), tau_e=7.0)
    parts, total = [], 0.0
    for u, s in zip(pre, post, strict=True):
        parts.append(float(plain.step(u, s)))
        change = float(gated.step(u, s, scalar=0.5))
        total = sum(p * np.exp(-(len(parts) - 1 - k) / 7.0) for k, p in enumerate(parts))
        assert change == pytest.approx(0.5 * total, abs=1e-12)
    assert total != 0


def test_reward_weighs_each_sequence_by_its_own_surprise() -> None:
    """Hybrid with a third factor against the written sums over pairs, two layers' worth of sequences."""
    rng = np.random.default_rng(8)
    net, c = BimNet(BimConfig(n_in=3, hidden=(4,), n_out=5)).double(), StdpSettings(a_minus=0.6)
    rule = Hybrid(net, 2, 0.0, c, kappa=1.0, tau_e=7.0)
    pre, post = rng.random((30, 2, 3)) < 0.4, rng.random((30, 2, 4)) < 0.3
    right, expected, total = rng.random((30, 2)) < 0.5, 1 / 5, np.zeros((4, 3))
    for t in range(30):
        label = torch.from_numpy(right[t]) if t % 4 == 3 else None
        u, s = (torch.from_numpy(v[t].astype(np.float64)) for v in (pre, post))
        rule.observe([u], [s], label)
        if label is None:
            continue
        for b in range(2):
            omega = [
                [[by_pairs(c, pre[: k + 1, b, j], post[: k + 1, b, i]) for j in range(3)] for i in range(4)]
                for k in range(t + 1)
            ]
            steps = np.diff(np.array(omega), axis=0, prepend=0)
            z = (steps * np.exp(-(t - np.arange(t + 1)) / 7.0)[:, None, None]).sum(0)
            total += (float(right[t, b]) - expected) * z / 2
        expected = 0.99 * expected + 0.01 * right[t].mean()
    change = rule.combine({"layers.0.w_in": torch.zeros(4, 3, dtype=torch.float64)})["layers.0.w_in"]
    np.testing.assert_allclose(-change.numpy(), total, atol=1e-10)
    assert np.abs(total).max() > 0.1


def test_zero_drift_reaches_the_rule() -> None:
    from bimhw.learning.settings import TrainSettings
    from bimhw.learning.updater import Updater

    net = BimNet(BimConfig(n_in=3, hidden=(4,), n_out=2))
    hybrid = Updater(net, TrainSettings(rule="hybrid", zero_drift=True), 1).hybrid
    assert hybrid is not None
    assert hybrid.traces[0].settings == StdpSettings().without_drift()
    assert not hybrid.modulated


def test_hybrid_mixes_with_the_stated_scale() -> None:
    net = BimNet(BimConfig(n_in=3, hidden=(4,), n_out=2))
    g = {"layers.0.w_in": torch.randn(4, 3), "layers.0.d": torch.ones(4), "readout.bias": torch.ones(2)}
    u, s = torch.ones(2, 3), torch.ones(2, 4)
    omega = StdpTraces(StdpSettings(), 2, 3, 4, torch.zeros(1)).step(u, s)
    for lam, kappa in ((1.0, None), (0.5, 2.0), (0.3, None), (0.0, None)):
        rule = Hybrid(net, 2, lam, kappa=kappa)
        rule.observe([u], [s])
        out = rule.combine(g)
        scale = (
            kappa
            if kappa is not None
            else float(g["layers.0.w_in"].square().mean().sqrt() / omega.square().mean().sqrt())
        )
        torch.testing.assert_close(out["layers.0.w_in"], lam * g["layers.0.w_in"] - (1 - lam) * scale * omega)
        torch.testing.assert_close(out["layers.0.d"], lam * g["layers.0.d"])
        assert torch.equal(out["readout.bias"], g["readout.bias"])
    with pytest.raises(InputError, match="lambda"):
        Hybrid(net, 2, 1.5)


def test_bounds() -> None:
    net = BimNet(BimConfig(n_in=3, hidden=(4,), n_out=2))
    clip_inputs(net, 0.1)
    assert net.layer(0).weight("in").abs().max() <= 0.1
