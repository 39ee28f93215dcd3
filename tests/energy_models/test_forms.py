"""Costs of the learning forms against the derived table, and against the counts of the dense form."""

from __future__ import annotations

import numpy as np
import pytest

from energy_models.forms import FORMS, form_counts, form_energy_pj, live_times
from energy_models.learning import learning_counts
from simulator.base.errors import InputError
from simulator.chips.load import load_chip

OPS = ("mac", "events")


def ops(counts: dict[str, int]) -> int:
    return sum(n for name, n in counts.items() if name.endswith(OPS))


@pytest.mark.parametrize(
    ("form", "psp", "rate", "block", "total", "words"),
    [
        ("dense", "alpha", 0.1, 64, 557e3, 279e3),
        ("seq", "alpha", 0.1, 64, 7.1e3, 4.9e3),
        ("seq", "alpha", 0.01, 64, 2.67e3, 0.49e3),
        ("tr", "alpha", 0.1, 64, 14.2e3, 9.8e3),
        ("blk", "alpha", 0.1, 64, 60e3, 32e3),
        ("blk", "alpha", 0.01, 64, 35e3, 7.1e3),
        ("blk", "alpha", 0.1, 16, 101.7e3, 45e3),
        ("lazy", "alpha", 0.1, 64, 251e3, 27.9e3),
        ("lazy", "alpha", 0.01, 64, 455e3, 2.8e3),
        ("dense", "delta", 0.1, 64, 311e3, 180e3),
        ("seq", "delta", 0.1, 64, 6.45e3, 4.9e3),
        ("tr", "delta", 0.1, 64, 12.9e3, 9.8e3),
        ("blk", "delta", 0.1, 64, 30.5e3, 21e3),
        ("lazy", "delta", 0.1, 64, 105e3, 18e3),
    ],
)
def test_derived_table(form: str, psp: str, rate: float, block: int, total: float, words: float) -> None:
    """M = H = 128; the table is rounded to two or three digits."""
    counts = form_counts(form, 128, 128, psp, rate, block, 64)  # type: ignore[arg-type]
    assert ops(counts) == pytest.approx(total, rel=0.02)
    assert counts["learn_trace_rmw"] == pytest.approx(words, rel=0.02)


def test_dense_form_is_the_counted_learning_step() -> None:
    dense, step = form_counts("dense", 20, 30), learning_counts(20, 30)
    assert dense["learn_trace_mac"] == step["learn_trace_mac"] and dense["learn_weight_mac"] == step["learn_weight_mac"]
    assert dense["learn_trace_rmw"] == step["learn_trace_rmw"] + step["learn_weight_updates"]


@pytest.mark.parametrize("rate", [0.03, 0.1, 0.3])
def test_live_times_against_simulation(rate: float) -> None:
    rng = np.random.default_rng(0)
    events = rng.random((1500, 128)) < rate
    last, seen = np.zeros(128, int), []
    for t, row in enumerate(events):
        last[row] = t
        if t > 500:
            seen.append(np.unique(last).size)
    assert live_times(rate, 128) == pytest.approx(np.mean(seen), rel=0.03)
    assert live_times(0.0, 128) == 0


def test_price_of_an_event_is_a_parameter() -> None:
    chip = load_chip("loihi2")
    counts = form_counts("seq", 128, 128)
    cheap, dear = form_energy_pj(chip, counts, 23.6), form_energy_pj(chip, counts, 120)
    assert dear[1] - cheap[1] == pytest.approx(counts["learn_events"] * (120 - 23.6))
    for form in FORMS:
        low, nominal, high = form_energy_pj(chip, form_counts(form, 16, 16))
        assert 0 < low <= nominal <= high


def test_refusals() -> None:
    with pytest.raises(InputError, match="is not known"):
        form_counts("inv", 4, 4)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rate"):
        form_counts("seq", 4, 4, rate=2)
