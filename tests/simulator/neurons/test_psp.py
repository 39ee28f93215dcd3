"""PSP propagators against the matrix exponential, near-equal time constants included."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from simulator.base.errors import InputError
from simulator.neurons.psp import psp_constants

TAUS = [(5.0, 2.0), (3.0, 1.0), (4.0, 4.0), (5.0, 5.0 + 2e-6), (5.0, 5.0 - 1e-4), (5.0, 5.01), (2.0, 9.0), (20.0, 0.5)]


def _propagator(psp: str, tau_m: float, tau_s: float, h: float) -> np.ndarray:
    """exp(h A) of y = (r', I, V): r' = r/tau_s is the kernel's first state (d/dt I = r' - I/tau_s)."""
    a = np.array([[-1 / tau_s, 0, 0], [1, -1 / tau_s, 0], [0, 1 / tau_m, -1 / tau_m]])
    return expm(h * a)


@pytest.mark.parametrize("h", [1.0, 0.25])
@pytest.mark.parametrize(("tau_m", "tau_s"), TAUS)
def test_constants_are_the_matrix_exponential(tau_m: float, tau_s: float, h: float) -> None:
    k = psp_constants("alpha", tau_m, tau_s, h=h)
    p = _propagator("alpha", tau_m, tau_s, h)
    # rr is the current I per tau_s: r' = rr / tau_s
    expected = [p[2, 2], p[0, 0], p[2, 1], p[2, 0] / tau_s, p[1, 0] / tau_s]
    np.testing.assert_allclose([k.kap, k.rho, k.p_vi, k.p_vr, k.b], expected, rtol=1e-13, atol=1e-15)
    assert psp_constants("exp", tau_m, tau_s, h=h).p_vi == k.p_vi


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
@pytest.mark.parametrize(("tau_m", "tau_s"), TAUS)
def test_recurrence_follows_expm_on_random_input(psp: str, tau_m: float, tau_s: float) -> None:
    k = psp_constants(psp, tau_m, tau_s)
    q = np.random.default_rng(1).normal(size=200)
    p = _propagator(psp, tau_m, tau_s, 1.0)
    y, v, i, r, err = np.zeros(3), 0.0, 0.0, 0.0, 0.0
    for x in q:
        kick = k.c * x
        y += {"alpha": [kick / tau_s, 0, 0], "exp": [0, kick, 0], "delta": [0, 0, 0]}[psp]
        y = p @ y
        if psp == "alpha":
            r += kick
            v, i, r = k.kap * v + k.p_vi * i + k.p_vr * r, k.b * r + k.rho * i, k.rho * r
        elif psp == "exp":
            i += kick
            v, i = k.kap * v + k.p_vi * i, k.rho * i
        else:
            v = k.kap * v + k.p_vi * kick
            y[2] += (1 - p[2, 2]) * x  # a current held over the step
        err = max(err, abs(v - y[2]))
    assert err <= 1e-12 * max(1.0, abs(k.c))


@pytest.mark.parametrize("psp", ["delta", "exp", "alpha"])
def test_dc_norm_gives_unit_gain_and_peak_norm_unit_peak(psp: str) -> None:
    k = psp_constants(psp, 5.0, 2.0)
    v = i = r = 0.0
    for _ in range(500):
        if psp == "alpha":
            r += k.c
            v, i, r = k.kap * v + k.p_vi * i + k.p_vr * r, k.b * r + k.rho * i, k.rho * r
        elif psp == "exp":
            i += k.c
            v, i = k.kap * v + k.p_vi * i, k.rho * i
        else:
            v = k.kap * v + k.p_vi * k.c
    assert v == pytest.approx(1.0, abs=1e-12)
    assert k.dc_gain == pytest.approx(1.0, abs=1e-12)
    peak = psp_constants(psp, 5.0, 2.0, norm="peak")
    assert peak.c == pytest.approx({"alpha": np.e, "exp": 1.0, "delta": 1 / peak.p_vi}[psp])


def test_near_equal_time_constants_are_continuous() -> None:
    a, b = (psp_constants("alpha", 5.0, 5.0 + e) for e in (0.0, 1e-9))
    assert a.p_vr == pytest.approx(b.p_vr, rel=1e-8)
    assert a.p_vr == pytest.approx(1 / 50 * np.exp(-0.2), rel=1e-14)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_time_constants_are_named(bad: float) -> None:
    with pytest.raises(InputError, match="tau_s"):
        psp_constants("alpha", 3.0, bad)
