"""The choice of weight scales: the error it minimises against enumeration, and weights that lie on a grid already."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from bimhw.compiler.calibrate import Drive
from bimhw.compiler.fixed import store, weight_limit
from bimhw.compiler.options import CompileOptions
from bimhw.compiler.quantise import Synapses, port_units, quantise_port
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from simulator.program.graph import Projection, csr_to_dense, dense_to_csr


def _projection(name: str, matrix: np.ndarray, delay: int = 0) -> Projection:
    indptr, indices, weights = dense_to_csr(matrix)
    return Projection(name, "source", "target", "z", indptr, indices, weights, delay)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), bits=st.integers(2, 5), per_row=st.booleans(), free=st.booleans())
def test_no_clipped_scale_has_a_smaller_expected_error(seed: int, bits: int, per_row: bool, free: bool) -> None:
    """E (sum_j miss_j u_j)^2 over all 2^M patterns of independent spikes of unequal rates, row by row."""
    rng = np.random.default_rng(seed)
    rows, sources = 3, 6
    weights, rate = rng.standard_t(3, (rows, sources)), rng.random(sources)
    options = CompileOptions(bits=bits, per_row=per_row, free_scales=free)
    row_of = np.repeat(np.arange(rows), sources)
    drive = Synapses(weights.ravel(), 1.0, row_of, np.tile(rate, rows), np.tile(rate * (1 - rate), rows))
    (unit,), _ = port_units([drive], rows, options)
    patterns = np.array(list(itertools.product([0, 1], repeat=sources)))
    chance = np.prod(np.where(patterns == 1, rate, 1 - rate), axis=1)

    def expected(units: np.ndarray) -> np.ndarray:
        each = np.broadcast_to(units, (rows,))[:, None]
        miss = store(weights / each, bits) * each - weights
        error: np.ndarray = chance @ (patterns @ miss.T) ** 2
        return error if per_row else error.sum(keepdims=True)

    largest = np.abs(weights).max(axis=1) if per_row else np.abs(weights).max()
    widest = largest / weight_limit(bits)
    if not free:
        widest = 2.0 ** np.ceil(np.log2(widest))
    for finer in (1.0, 0.5, 0.25) if not free else (1.0, 0.8, 0.5):
        assert np.all(expected(unit) <= expected(widest * finer) * (1 + 1e-9))


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("per_row", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), bits=st.integers(2, 5))
def test_weights_on_a_grid_are_kept(per_row: bool, free: bool, seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    limit = weight_limit(bits)
    unit = 2.0 ** rng.integers(-6, 3, 4) * (rng.uniform(1, 2, 4) if free else 1.0)
    unit = unit if per_row else unit[:1]
    matrix = rng.integers(-limit, limit + 1, (4, 10)) * unit[:, None]
    drive = Drive(rng.random(5), rng.random(5))
    parts = [_projection("a", matrix[:, :5]), _projection("b", matrix[:, 5:], delay=1)]
    options = CompileOptions(bits=bits, per_row=per_row, free_scales=free, layout="sparse")
    made = quantise_port(parts, 4, {"source": 1.0}, options, {"source": drive})
    units = np.broadcast_to(made.unit, (4,))[:, None]
    for q, wanted in zip(made.projections, (matrix[:, :5], matrix[:, 5:]), strict=True):
        np.testing.assert_allclose(csr_to_dense(q, 4) * 2.0**q.exponent * units, wanted, rtol=1e-12, atol=1e-15)


def test_a_common_shift_of_the_port_counts() -> None:
    """Sources that always fire: misses that cancel cost nothing; with plain squares the finer scale would be taken."""
    weights = np.array(
        [7.0, 0.5, -0.5, 0.5, -0.5]
    )  # at unit 1 the halves round to even: 0; at unit .5 the 7 is clipped
    options = CompileOptions(bits=4, per_row=True)
    rows = np.zeros(5, np.int64)
    always = Synapses(weights, 1.0, rows, np.ones(5), np.full(5, 1e-6))
    (unit,), _ = port_units([always], 1, options)
    assert unit.tolist() == [1.0]
    rare = Synapses(weights, 1.0, rows, np.array([0.0, 1, 1, 1, 1]), np.array([1e-6, 1, 1, 1, 1]))
    (unit,), _ = port_units([rare], 1, options)
    assert unit.tolist() == [0.5]


@pytest.mark.parametrize("per_row", [False, True])
def test_an_outlier_of_one_projection_leaves_the_other_its_weights(per_row: bool) -> None:
    """One free unit for both set all weights of the other to 0: the layer never fired. Oracle: each alone, to a factor of 2."""
    rng = np.random.default_rng(0)
    plain, loop = rng.normal(0, 0.3, (4, 30)), rng.normal(0, 0.05, (4, 30))
    loop[:, 3] = 45.0
    options = CompileOptions(bits=4, per_row=per_row, free_scales=True, layout="sparse")
    rare = np.full(30, 1e-3)
    rare[3] = 1e-6  # the outlier's source hardly fires
    drives = {"source": Drive(np.zeros(30), np.ones(30)), "loop": Drive(np.zeros(30), rare)}
    first, second = _projection("a", plain), replace(_projection("b", loop, delay=1), source="loop")
    made = quantise_port([first, second], 4, {"source": 1.0, "loop": 1.0}, options, drives)
    alone = quantise_port([first], 4, {"source": 1.0}, options, drives)
    assert made.rms_error["a"] < 2 * alone.rms_error["a"] < 0.4
    units = np.broadcast_to(made.unit, (4,))[:, None]
    for q, wanted in zip(made.projections, (plain, loop), strict=True):
        got = csr_to_dense(q, 4) * 2.0**q.exponent * units
        assert np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)) == pytest.approx(made.rms_error[q.name])


def test_weights_that_are_all_zero_ask_for_no_unit() -> None:
    """An untrained readout made shifts that no word of a 4-bit chip holds."""
    net = BimNet(BimConfig(n_in=6, hidden=(5,), n_out=3))
    assert not net.readout.weight.any()
    for bits in (1, 4, 8):
        assert bimhw.compile(net, "generic", bits=bits).program.population("readout")
