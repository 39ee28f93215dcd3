"""The update against spike-time difference: known cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bimhw.cli.main import main
from bimhw.studies.learning_cost.window import bernoulli_digits, fit, pairing, pairing_config, trained_window, window
from simulator.base.errors import InputError


# figures of an independent trial (whose neuron differs a little): peak lag, tau and R2 of the fit over lags 0..30
@pytest.mark.parametrize(
    ("psp", "delta", "direct", "peak", "tau", "r2"),
    [
        ("delta", 0.1, 1.0, 0, 10.2, 1.000),
        ("delta", 0.5, 1.0, 0, 5.4, 0.995),
        ("exp", 0.5, 1.0, 3, 6.2, 0.957),
        ("alpha", 0.5, 1.0, 5, 8.1, 0.789),
    ],
)
def test_pairing_has_the_known_decay(psp: str, delta: float, direct: float, peak: int, tau: float, r2: float) -> None:
    (only,) = window(pairing_config(psp), (1.0,), delta, direct)
    assert only.from_peak.first == peak
    assert only.fit.tau == pytest.approx(tau, rel=0.05)
    assert only.fit.r2 == pytest.approx(r2, abs=0.006)
    assert np.all(only.update[only.lags < 0] == 0)


def test_pairing_is_the_convolution() -> None:
    """delta PSP: the membrane's exponential convolved with q_k = (1-Abar) Abar^k + D [k = 0]."""
    abar, kap, k = np.exp(-0.3), np.exp(-0.2), np.arange(21)
    q = (1 - abar) * abar**k + 0.7 * (k == 0)
    expected = (1 - kap) * np.convolve(q, kap**k)[:21]
    np.testing.assert_allclose(pairing(pairing_config("delta"), 0.3, 0.7, 20)[20:], expected, rtol=1e-12)


def test_delta_psp_without_state_is_the_membrane() -> None:
    """D alone: E^V- after a pre spike decays with tau_m exactly."""
    e = pairing(pairing_config("delta"), delta=1e-9, longest=20)[20:]
    np.testing.assert_allclose(e, (1 - np.exp(-0.2)) * np.exp(-np.arange(21) / 5), rtol=1e-6)


def test_stdp_side_appears_below_lambda_one() -> None:
    curves = window(lambdas=(1.0, 0.5, 0.0))
    assert curves[0].update[curves[0].lags < 0].max() == 0
    assert (curves[1].update[curves[1].lags < 0] < 0).all()
    assert curves[2].fit.tau == pytest.approx(5.0)
    assert curves[2].fit.r2 == pytest.approx(1.0)


def test_fit_recovers_an_exponential() -> None:
    lags = np.arange(20)
    found = fit(lags, 3 * np.exp(-lags / 7.5), 0)
    assert found.tau == pytest.approx(7.5)
    assert found.r2 == pytest.approx(1.0)
    assert np.exp(found.log_start) == pytest.approx(3.0)


@pytest.mark.parametrize("command", ["stdp-window", "learning-cost"])
@pytest.mark.parametrize(("name", "word"), [("x.txt", "must end in"), ("none/x.png", "does not exist")])
def test_plots_that_cannot_be(
    command: str, name: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main([command, "--plot", str(tmp_path / name)])
    assert done.value.code == 2
    assert word in capsys.readouterr().err


def test_trained_network() -> None:
    from bimhw.learning.api import train

    task = bernoulli_digits()
    model = train(task, psp="delta", epochs=1, hidden=16).model
    eligibility, update = trained_window(model, task, sequences=32)
    assert eligibility.from_peak.r2 > 0.8
    assert 2 < eligibility.from_peak.tau < 40
    assert (update.update > 0).all()
    mixed = trained_window(model, task, sequences=32, lambdas=(1.0, 0.5))[2]
    omega = np.exp(-np.arange(14) / 5)
    kappa = np.sqrt(np.mean(update.update**2) / np.mean(omega**2))
    np.testing.assert_allclose(mixed.update, 0.5 * update.update + 0.5 * kappa * omega)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["stdp-window", "--psp", "delta", "--lambda", "1", "--json", "--plot", str(tmp_path / "w.png")])
    assert done.value.code == 0
    assert "one-sided" in json.loads(capsys.readouterr().out)["verdict"]
    assert (tmp_path / "w.png").stat().st_size > 5000
    with pytest.raises(InputError, match="delta"):
        window(delta=0.0)
