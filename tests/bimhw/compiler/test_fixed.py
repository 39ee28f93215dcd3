"""Fixed-point formats and weight quantisation against brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from bimhw.compiler.fixed import (
    frac_bits,
    multiplier,
    small_multiplier,
    store,
    to_fixed,
    weight_fracs,
    weight_limit,
    weight_scales,
)
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.base.errors import FitError


@settings(max_examples=200, deadline=None)
@given(factor=st.one_of(st.floats(1e-6, 1e6), st.integers(-20, 20).map(lambda e: 2.0**e * (1 - 2.0**-20))))
def test_multiplier_is_near_and_fits_its_word(factor: float) -> None:
    mul, shift = (int(v) for v in multiplier(factor))
    assert 1 <= mul < 2**15
    assert mul * 2.0**-shift == pytest.approx(factor, rel=2**-14)
    for e in range(-10, 10):
        assert multiplier(2.0**e)[0] == 1
        assert multiplier(2.0**e)[1] == -e


@settings(max_examples=200, deadline=None)
@given(largest=st.floats(1e-9, 1e9), bits=st.integers(2, 24))
def test_frac_bits_hold_the_largest_and_waste_no_bit(largest: float, bits: int) -> None:
    frac = frac_bits(largest, bits, 100)
    assert largest * 2.0**frac <= 2 ** (bits - 1)
    if frac < 100:
        assert largest * 2.0 ** (frac + 1) > 2 ** (bits - 1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), bits=st.integers(1, 9))
def test_weight_scales_beat_the_scale_that_clips_nothing(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.standard_t(3, 60) * np.exp(rng.normal())
    group = np.arange(60) % 3
    fracs, units = weight_fracs(weights, group, 3, bits), weight_scales(weights, group, 3, bits)
    for g in range(3):
        own = weights[group == g]

        def error(unit: float, own: np.ndarray = own) -> float:
            return float(((store(own / unit, bits) * unit - own) ** 2).sum())

        widest = 2.0 ** -np.floor(np.log2(weight_limit(bits) / np.abs(own).max()))
        assert error(2.0 ** -float(fracs[g])) <= error(float(widest)) * (1 + 1e-9)
        assert error(float(units[g])) <= error(np.abs(own).max() / weight_limit(bits)) * (1 + 1e-9)
    assert np.abs(store(weights * 1e9, bits)).max() == weight_limit(bits)


def test_a_value_beyond_its_word_is_refused_by_name() -> None:
    assert to_fixed([1.5, -2.0], 3, 8, "x").tolist() == [12, -16]
    with pytest.raises(FitError, match=r"theta: needs \|1024\| in a word of 8 bits, whose largest value is 127"):
        to_fixed(4.0, 8, 8, "theta")


@pytest.mark.parametrize("free_scales", [False, True])
@pytest.mark.parametrize(
    ("kind", "zero"),
    [("diag", "readout.weight"), ("diag", "w_in"), ("s6", "w_delta"), ("complex", "w_c"), ("s6", "w_")],
)
def test_weights_that_are_all_zero_compile(kind: Any, zero: str, free_scales: bool) -> None:
    """Their unit is free, so that it never asks for a shift that no word holds."""
    net = BimNet(BimConfig(n_in=5, hidden=(4,), n_out=2, kind=kind))
    with torch.no_grad():
        net.readout.weight.fill_(0.3)
        net.readout.bias.copy_(torch.tensor([-0.18, 0.0027]))
        for name, p in net.named_parameters():
            if zero in name:
                p.zero_()
    assert bimhw.compile(net, "loihi2", free_scales=free_scales).report["neurons"] >= 6


def test_a_small_multiplier_gives_bits_rather_than_a_longer_shift() -> None:
    for factor in (3.0, 0.7, 2.0**-31, 0.7 * 2.0**-30, 0.7 * 2.0**-40, 0.0):
        mul, shift = small_multiplier(factor)
        assert shift <= 31
        assert abs(mul * 2.0**-shift - factor) <= max(factor * 2.0**-15, 2.0**-32)
