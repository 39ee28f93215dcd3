"""The level of on-chip learning on the digits: 8-bit weights and traces against the same learning without rounding."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.onchip_learning import ROWS, run_row

SEEDS, EPOCHS = 3, 8


@pytest.mark.long
def test_eight_bits_learn_the_digits_within_two_points_of_float():
    accuracy = {}
    for name in ("float weights, float traces", "8 bit stochastic, 8-bit traces"):
        runs = [run_row(ROWS[name][0], seed, EPOCHS)["accuracy"] for seed in range(SEEDS)]
        accuracy[name] = 100 * float(np.mean(runs))
    full, eight = accuracy.values()
    assert full > 85
    assert eight >= full - 2


@pytest.mark.long
def test_eight_bits_learn_within_two_points_with_an_update_at_every_labelled_step():
    """One seed; the units of all weights halved by bounds of 2 (readout 4)."""
    float_row, eight_row = (f"each step, units and bounds halved: {kind}" for kind in ("float", "8 bit"))
    full, eight = (100 * run_row(ROWS[row][0], 0, EPOCHS)["accuracy"] for row in (float_row, eight_row))
    assert full > 90
    assert eight >= full - 2
