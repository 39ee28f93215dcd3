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
