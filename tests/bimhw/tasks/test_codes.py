"""Spike codes and metrics against brute force and counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bimhw.tasks.features.encoders import delta, graded, latency, rate
from bimhw.tasks.metrics import accuracy, auc_pr, auc_roc, detections, word_errors
from simulator.base.errors import InputError

UNIT = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.floats(0, 1))


@settings(max_examples=30, deadline=None)
@given(UNIT, st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_rate_does_not_depend_on_the_batch(x: np.ndarray, steps: int, seed: int) -> None:
    whole = rate(x, steps, seed)
    apart = np.concatenate([rate(x[i : i + 1], steps, seed, first_sample=i) for i in range(len(x))])
    np.testing.assert_array_equal(whole, apart)
    assert not whole[np.broadcast_to(x[:, None] == 0, whole.shape)].any()


def test_rate_has_the_right_probability() -> None:
    spikes = rate(np.array([[0.1, 0.5, 1.0]]), 20_000, seed=1, max_rate=0.5)
    np.testing.assert_allclose(spikes.mean((0, 1)), [0.05, 0.25, 0.5], atol=4 * 0.5 / np.sqrt(20_000))


@settings(max_examples=30, deadline=None)
@given(UNIT, st.integers(1, 12))
def test_latency_is_one_spike_in_order_of_strength(x: np.ndarray, steps: int) -> None:
    spikes = latency(x, steps)
    np.testing.assert_array_equal(spikes.sum(1), x > 0)
    when = spikes.argmax(1)
    for i in range(len(x)):
        order = np.argsort(-x[i], kind="stable")
        lit = order[x[i][order] > 0]
        assert (np.diff(when[i][lit]) >= 0).all()


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, (2, 9, 3), elements=st.floats(-4, 4)), st.floats(0.1, 2))
def test_delta_equals_the_scalar_rule(x: np.ndarray, threshold: float) -> None:
    spikes = delta(x, threshold)
    for n in range(2):
        for m in range(3):
            level = x[n, 0, m]
            for t in range(1, 9):
                on, off = x[n, t, m] - level >= threshold, level - x[n, t, m] >= threshold
                assert (spikes[n, t, m], spikes[n, t, 3 + m]) == (on, off)
                level += threshold * (float(on) - float(off))
    assert not spikes[:, 0].any()


def test_delta_follows_a_slow_signal_within_a_threshold() -> None:
    x = np.sin(np.linspace(0, 6, 200))[None, :, None]
    spikes = delta(x, 0.05)
    rebuilt = x[:, :1] + 0.05 * np.cumsum(spikes[..., :1].astype(int) - spikes[..., 1:], axis=1)
    assert np.abs(rebuilt - x).max() < 0.05 + 1e-12


def test_graded_is_on_the_grid() -> None:
    x = np.linspace(-5, 5, 501)
    y = graded(x)
    assert (y * 16 == np.rint(y * 16)).all()
    assert y.min() == -3
    assert y.max() == 3
    inside = np.abs(x) <= 3
    assert np.abs(y - x)[inside].max() <= 1 / 32 + 1e-6


def test_codes_refuse() -> None:
    good = np.full((1, 2), 0.5)
    for call in (
        lambda: rate(good * np.nan, 3, 0),
        lambda: rate(good + 1, 3, 0),
        lambda: rate(good, 0, 0),
        lambda: rate(good, 3, 0, max_rate=1.5),
        lambda: latency(-good, 3),
        lambda: delta(good[None], 0.0),
        lambda: graded(good * np.inf),
    ):
        with pytest.raises(InputError):
            call()


def test_auc_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 60), rng.normal(size=60).round(1)
    pos, neg = scores[labels == 1], scores[labels == 0]
    pairs = (pos[:, None] > neg).mean() + 0.5 * (pos[:, None] == neg).mean()
    assert auc_roc(scores, labels) == pytest.approx(pairs)


def test_auc_pr_is_the_mean_precision_at_each_hit() -> None:
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0])
    assert auc_pr(scores, labels) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_macro_auc_is_the_mean_over_classes() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, (50, 3)), rng.normal(size=(50, 3))
    assert auc_roc(scores, labels) == pytest.approx(np.mean([auc_roc(scores[:, c], labels[:, c]) for c in range(3)]))


def test_word_errors_sum_over_the_set() -> None:
    errors = word_errors(["one two three", "four"], ["one three", "five four"])
    assert (errors.substitutions, errors.deletions, errors.insertions, errors.words) == (0, 1, 1, 4)
    assert errors.rate == 0.5


def test_metrics_refuse() -> None:
    for call in (
        lambda: accuracy(np.zeros((2, 3)), np.zeros(1, int)),
        lambda: accuracy(np.zeros((0, 3)), np.zeros(0, int)),
        lambda: accuracy(np.full((1, 2), np.nan), np.zeros(1, int)),
        lambda: auc_roc(np.array([0.1, 0.2]), np.array([1, 1])),
        lambda: word_errors(["a"], []),
        lambda: word_errors([""], ["a"]),
    ):
        with pytest.raises(InputError):
            call()


def test_events_are_runs_of_windows() -> None:
    """Two events, one found by its last window; an alarm that touches an event is none, two others are; 12 windows of 60 s."""
    labels = np.array([0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0])
    found = np.array([0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0])
    figures = detections(found, labels, 60.0)
    assert figures["sensitivity"] == 1 / 4 and figures["specificity"] == 5 / 8 - 1 / 8
    assert figures["event_sensitivity"] == 1 / 2
    assert figures["false_alarms_per_hour"] == pytest.approx(2 / (12 / 60))
