"""STDP, rounding, optimiser and third factor, each against an independent oracle."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.arrays import I32, Floats
from simulator.base.errors import InputError
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.layers.update import _fixed_change
from simulator.plasticity.rules.optimiser import Rms, _inverse_root, inverse_root_table
from simulator.plasticity.rules.stdp import balanced_a_minus, stdp_step
from simulator.plasticity.rules.third_factor import error, softmax, softmax_table
from simulator.plasticity.words import words
from simulator.plasticity.words.rounding import FRACTION_BITS, NEAREST, STOCHASTIC, fill_random, update_weights


def stdp_pairs(
    u: Floats, s: Floats, taus: tuple[float, float], amplitude: tuple[float, float], nearest: bool = False
) -> Floats:
    """Return Omega [M, H] of whole trains u [T, M], s [T, H] in plain numpy: the float twin of `stdp_step`."""
    plus, minus = math.exp(-1 / taus[0]), math.exp(-1 / taus[1])
    pre, post = np.zeros(u.shape[1]), np.zeros(s.shape[1])
    omega = np.zeros((u.shape[1], s.shape[1]))
    for x, y in zip(u, s, strict=True):
        pre, post = pre * plus, post * minus
        pre = np.where(x != 0, x, pre) if nearest else pre + x
        omega += amplitude[0] * np.outer(pre, y) - amplitude[1] * np.outer(x, post)
        post = np.where(y != 0, y, post) if nearest else post + y
    return omega


def update_weights_twin(weights: I32, change: npt.NDArray[np.int64], random: npt.NDArray[np.int64], limit: int) -> I32:
    """Do the same in plain numpy for given 16-bit random numbers [M, H] (2^15 everywhere: rounding to nearest)."""
    moved = weights.astype(np.int64) + ((change + random) >> FRACTION_BITS)
    return np.clip(moved, -limit, limit).astype(weights.dtype)


def inverse_root(v: Floats) -> Floats:
    """Compute 1/sqrt(v) for v > 0 by the table: v = m 4^e with m in [1, 4), result table(m) 2^-e (relative error <= 0.6 %)."""
    table = inverse_root_table()
    return np.array([_inverse_root(x, table) for x in v])


def run_stdp(u, s, taus, amplitude, nearest, table):
    pre, post = np.zeros(u.shape[1]), np.zeros(s.shape[1])
    omega, live = np.zeros((u.shape[1], s.shape[1])), np.ones((u.shape[1], s.shape[1]), np.uint8)
    decay = np.exp(-1 / np.array(taus))
    for x, y in zip(u, s, strict=True):
        stdp_step(x, y, pre, post, omega, live, decay, np.array(amplitude), nearest, table)
    return omega


def double_sum(pre, post, taus, amplitude, nearest):
    """Sum over all (nearest) pairs of spike times."""
    total = 0.0
    for t in post:
        earlier = [p for p in pre if p <= t]
        for p in earlier[-1:] if nearest else earlier:
            total += amplitude[0] * math.exp(-(t - p) / taus[0])
    for p in pre:
        earlier = [t for t in post if t < p]
        for t in earlier[-1:] if nearest else earlier:
            total -= amplitude[1] * math.exp(-(p - t) / taus[1])
    return total


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_stdp_traces_are_the_double_sum(seed, nearest):
    rng = np.random.default_rng(seed)
    u, s = ((rng.random((150, 1)) < rng.uniform(0.02, 0.6)).astype(float) for _ in range(2))
    taus, amplitude = tuple(rng.uniform(1, 20, 2)), tuple(rng.uniform(0.1, 2, 2))
    want = double_sum(np.flatnonzero(u), np.flatnonzero(s), taus, amplitude, nearest)
    got = run_stdp(u, s, taus, amplitude, nearest, words.wide())[0, 0]
    assert got == pytest.approx(want, abs=1e-9)
    assert stdp_pairs(u, s, taus, amplitude, nearest)[0, 0] == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize("bits", [7, 8, 16])
def test_stdp_words_of_few_bits_stay_near_the_float_traces(bits):
    rng = np.random.default_rng(0)
    u, s = (rng.random((300, 6)) < 0.1).astype(float), (rng.random((300, 5)) < 0.1).astype(float)
    want = stdp_pairs(u, s, (5.0, 5.0), (1.0, 1.0))
    table = words.narrow({"pre": bits - 2, "post": bits - 2, "omega": 16}, {"pre": bits, "post": bits, "omega": 32})
    got = run_stdp(u, s, (5.0, 5.0), (1.0, 1.0), False, table)
    relative = np.linalg.norm(got - want) / np.linalg.norm(want)
    assert 0 < relative < {7: 0.2, 8: 0.1, 16: 1e-3}[bits]


def test_zero_drift_amplitude():
    rng = np.random.default_rng(1)
    u, s = (rng.random((20000, 8)) < 0.2).astype(float), (rng.random((20000, 8)) < 0.2).astype(float)
    zero = stdp_pairs(u, s, (5.0, 8.0), (1.0, balanced_a_minus(1.0, 5.0, 8.0))).mean() / 20000
    equal = stdp_pairs(u, s, (5.0, 5.0), (1.0, 1.0)).mean() / 20000
    assert abs(zero) < 2e-3
    assert equal == pytest.approx(0.04, rel=0.1)  # A+ r_i r_j, from the dt = 0 term


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([np.int8, np.int16]), st.sampled_from([NEAREST, STOCHASTIC]))
def test_update_equals_its_numpy_twin_whatever_the_chunking(seed, kind, mode):
    rng = np.random.default_rng(seed)
    m, h = int(rng.integers(1, 9)), int(rng.integers(1, 40))
    limit = 127 if kind == np.int8 else 2047
    w = rng.integers(-limit, limit + 1, (m, h)).astype(kind)
    change = rng.integers(-(2**18), 2**18, (m, h))
    live = (rng.random((m, h)) < 0.8).astype(np.uint8)
    random = np.full((m, (h + 7) // 8 * 8), 1 << 15, np.int64)
    if mode == STOCHASTIC:
        for j in range(m):
            fill_random(random[j], seed, 9, j, 1 + 256 * 3)
    want = np.where(live, update_weights_twin(w, change, random[:, :h], limit), w)
    whole, cut = w.copy(), w.copy()
    update_weights(whole, change, live, limit, mode, seed, 9, 3, 0, 0)
    for j in reversed(range(m)):
        update_weights(cut[j : j + 1], change[j : j + 1], live[j : j + 1], limit, mode, seed, 9, 3, j, 0)
    assert np.array_equal(whole, want)
    assert np.array_equal(cut, want)


def test_stochastic_rounding_is_unbiased_where_nearest_is_frozen():
    change = np.full((64, 512), int(0.2 * 2**16))
    live, nearest = np.ones(change.shape, np.uint8), np.zeros(change.shape, np.int8)
    update_weights(nearest, change, live, 127, NEAREST, 0, 0, 0, 0, 0)
    assert not nearest.any()
    moved = np.zeros(change.shape, np.int8)
    written, bounded, drawn = update_weights(moved, change, live, 127, STOCHASTIC, 0, 0, 0, 0, 0)
    assert (written, bounded, drawn) == (change.size, 0, change.size)
    assert moved.mean() == pytest.approx(0.2, abs=5 * math.sqrt(0.2 * 0.8 / change.size))


def test_weights_stop_at_the_hard_bound():
    w, live = np.array([[126, -126]], np.int8), np.ones((1, 2), np.uint8)
    _, bounded, _ = update_weights(w, np.array([[5 << 16, -(5 << 16)]]), live, 127, NEAREST, 0, 0, 0, 0, 0)
    assert w.tolist() == [[127, -127]]
    assert bounded == 2


def test_inverse_root_table():
    v = np.exp(np.random.default_rng(0).uniform(-40, 40, 5000))
    assert np.abs(inverse_root(v) * np.sqrt(v) - 1).max() < 6e-3


@pytest.mark.parametrize("wide", [True, False])
def test_rms_follows_the_running_mean_square(wide):
    rng = np.random.default_rng(0)
    rms = Rms(4, 0.99, 1e-8, wide, 0.0 if wide else 2.0**-30)
    v = np.zeros(4)
    for n in range(1, 400):
        g = rng.normal(0, 1, (5, 4))
        v += 0.01 * ((g * g).mean(axis=0) - v)
        got, want = rms.scale(g, n), 1 / np.sqrt(v / (1 - 0.99**n))
        assert np.abs(got / want - 1).max() < (1e-6 if wide else 8e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=2, max_size=12), st.integers(8, 20))
def test_error_words_are_near_the_exact_error(scores, bits):
    o = np.array(scores)
    exact = softmax(o) - np.eye(o.size)[0]
    assert np.abs(error(o, 0, "host", bits) - exact).max() <= 2.0 ** (1 - bits)
    assert np.abs(error(o, 0, "core", bits) - exact).max() <= 2.0 ** (1 - bits) + 0.03
    assert np.array_equal(error(o, 0, "host", 0), exact)
    assert softmax_table(o).sum() == pytest.approx(1, abs=o.size * 2.0**-16)


@pytest.mark.parametrize("rate", [np.inf, 1e308, 2.0**300, 1.0])
def test_a_step_beyond_every_float_ends_at_the_bound_and_moves_nothing_without_a_gradient(rate):
    g = np.array([[1.0, -1.0, 0.0], [2.0**40, -(2.0**40), 0.0]])
    change, live = np.empty((2, 3), np.int64), np.ones((2, 3), np.uint8)
    _fixed_change(g, np.full(3, rate), np.full(3, 2.0**-10), change)
    weights = np.full((2, 3), 5, np.int8)
    update_weights(weights, change, live, 127, STOCHASTIC, 1, 0, 0, 0, 0)
    assert weights.tolist() == [[127, -127, 5]] * 2


@pytest.mark.parametrize(
    "field",
    [{"lr": 1e308}, {"lr": np.inf}, {"a_plus": 1e308}, {"a_minus": 1e308}, {"kappa": 1e300}, {"tau_plus": 1e300},
     {"eps": 1e9}, {"weight_range": 2.0**1000}, {"weight_range": 2.0**-1000}, {"surrogate_width": 1e300}, {"lr": np.nan}],
    ids=str,
)  # fmt: skip
def test_parameters_that_no_word_can_use_are_refused(field):
    with pytest.raises(InputError, match=f"{next(iter(field))}.*must be"):
        LearnConfig(**field).check()
