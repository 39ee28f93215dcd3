"""Loihi's learning engine against its published rules in plain Python integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.base.random import STREAM_TRACE, random_word
from simulator.plasticity.rules.loihi import VARIABLES, LoihiRule, Product, Trace, pairwise_stdp, trace_step


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 127), st.sampled_from([0.0, 1.0, 5.0, 60.0]))
def test_trace_follows_the_published_rule(seed, impulse, tau):
    trace, rng = Trace(impulse, tau), np.random.default_rng(seed)
    x, want = np.zeros(5, np.int32), [0] * 5
    d = Fraction(round(65536 * math.exp(-1 / tau)), 65536) if tau else Fraction(1)
    m = Fraction(round(impulse * 256), 256)
    for step in range(30):
        fired = rng.random(5) < 0.3
        trace_step(x, fired, trace.decay_word, trace.impulse_word, seed, step, 7, 1)
        for i in range(5):
            r = int(random_word(seed, step, 7 + i, STREAM_TRACE + 512))
            value = math.floor(want[i] * d + Fraction(r & 0xFFFF, 65536))
            if fired[i]:
                value += math.floor(m + Fraction((r >> 16) & 0xFF, 256))
            want[i] = min(value, 127)
        assert x.tolist() == want


def test_trace_decays_by_its_time_constant_on_average():
    trace, x = Trace(100, 10), np.zeros(20000, np.int32)
    trace_step(x, np.ones(20000, bool), trace.decay_word, trace.impulse_word, 0, 0, 0, 0)
    for step in range(1, 16):
        trace_step(x, np.zeros(20000, bool), trace.decay_word, trace.impulse_word, 0, step, 0, 0)
    assert x.mean() == pytest.approx(100 * math.exp(-1.5), rel=0.01)


factor = st.tuples(st.sampled_from(VARIABLES), st.integers(-4, 4))
product = st.builds(
    Product,
    st.integers(-8, 7),
    st.integers(-9, 1),
    st.lists(factor, max_size=3).map(tuple),
    st.sampled_from(["x0", "y0", "u0", "u1"]),
)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(product, min_size=1, max_size=3),
    st.sampled_from(["mixed", "excitatory", "inhibitory"]),
)
def test_rule_follows_the_published_sum_of_products(seed, products, sign):
    rng = np.random.default_rng(seed)
    low, high = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-256, 0)}[sign]
    indptr, indices = np.array([0, 2, 2, 5]), np.array([0, 3, 1, 2, 3], np.int32)
    w = rng.integers(low, high + 1, 5).astype(np.int32)
    pre, post = rng.integers(0, 128, (3, 3)).astype(np.int32), rng.integers(0, 128, (4, 4)).astype(np.int32)
    pre[0], post[0] = rng.integers(0, 2, 3), rng.integers(0, 2, 4)
    epoch, before = int(rng.integers(0, 8)), w.copy()
    visited = LoihiRule(tuple(products), sign, seed).apply(indptr, indices, w, pre, post, epoch, 2)
    assert visited == 5
    at = 0
    for j in range(3):
        for i in indices[indptr[j] : indptr[j + 1]]:
            values = dict(zip(VARIABLES, [*pre[:, j], *post[:, i], before[at], 1], strict=True))
            assert w[at] == _plain(products, values, int(before[at]), low, high, epoch, seed, j, int(i))
            at += 1


def _plain(products, values, w, low, high, epoch, seed, j, i):
    dz = Fraction(0)
    for p in products:
        opened = epoch % 2 ** int(p.gate[1:]) == 0 if p.gate[0] == "u" else values[p.gate]
        if opened:
            term = Fraction(p.mantissa) * Fraction(2) ** p.exponent
            for name, c in p.factors:
                term *= int(values[name]) + c
            dz += term
    if dz == 0:
        return w
    a = max(-32768, min(32767, (w << 7) + math.floor(dz * 128)))
    a = max(low << 7, min(high << 7, a))
    r = int(random_word(seed, epoch, (j << 32) | i, STREAM_TRACE + 256 + 1024)) & 127
    return max(low, min(high, (a + r) >> 7))


@pytest.mark.parametrize("mantissa", [7, -8])
@pytest.mark.parametrize("factors", range(1, 7))
@pytest.mark.parametrize(("dtype", "bits"), [(np.int8, 8), (np.int8, 4), (np.int16, 9), (np.int16, 16), (np.int64, 9)])
def test_a_rule_of_any_size_ends_at_the_bound(mantissa, factors, dtype, bits):
    """A step beyond 64 bits became the least integer: potentiation ended at the lowest weight."""
    step = Product(mantissa, 24, (("x1", 127),) * factors, "y0")
    exact = mantissa * 2**24 * 254**factors
    w, ends = np.array([3], dtype), (np.array([0, 1]), np.zeros(1, np.int32))
    pre, post = np.full((3, 1), 127, np.int32), np.full((4, 1), 127, np.int32)
    LoihiRule((step,)).apply(*ends, w, pre, post, 0, 0, bits)
    low, high = max(-256, -(2 ** (bits - 1))), min(254, 2 ** (bits - 1) - 1)
    assert w[0] == max(low, min(high, 3 + exact))
    LoihiRule((step, Product(-mantissa - 1, 24, step.factors, "y0"))).apply(*ends, w, pre, post, 1, 0, bits)
    assert w[0] == low  # -1 in all


def test_products_that_no_float_holds_are_refused():
    with pytest.raises(InputError, match=r"is up to .*e\+1[0-9]; 2\^53 is the most"):
        Product(7, 0, (("x1", 127),) * 7, "y0")


def test_pairing_gives_the_stdp_window():
    """One pair per trial, averaged over many synapses: exponential lobes with the traces' time constants."""
    n, trace = 4000, Trace(64, 8)
    rule, window = LoihiRule(pairwise_stdp(4, 4, -6), seed=1), {}
    for lag in (-16, -8, -2, 2, 8, 16):
        x, y, w = np.zeros(1, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int32)
        for step in range(20):
            pre, post = np.array([step == max(0, -lag)]), np.full(n, step == max(0, lag))
            trace_step(x, np.zeros(1, bool), trace.decay_word, trace.impulse_word, 1, step, 0, 0)
            trace_step(y, np.zeros(n, bool), trace.decay_word, trace.impulse_word, 1, step, 1, 0)
            xs, ys = np.zeros((3, 1), np.int32), np.zeros((4, n), np.int32)
            xs[0], xs[1], ys[0], ys[1] = pre, x, post, y
            rule.apply(np.array([0, n]), np.arange(n, dtype=np.int32), w, xs, ys, step)
            x[pre], y[post] = 64, 64
        window[lag] = w.mean()
    assert window[8] == pytest.approx(4 * math.exp(-1), rel=0.15)  # A+ 2^-6 64 e^(-8/8)
    assert window[-8] == pytest.approx(-4 * math.exp(-1), rel=0.15)
    assert window[2] > window[8] > window[16] > 0 > window[-16] > window[-8] > window[-2]


def test_bad_rules_are_named():
    for bad in ({"mantissa": 9}, {"gate": "z0"}, {"factors": (("q", 0),)}):
        with pytest.raises(InputError, match="learning rule product"):
            Product(**{"mantissa": 1, "exponent": 0, "factors": (), "gate": "x0"} | bad)
