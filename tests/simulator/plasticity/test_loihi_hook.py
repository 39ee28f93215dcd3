"""Loihi's learning in a running simulation, against spike times paired by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.function.simulation import Simulation
from simulator.neurons.base import get
from simulator.plasticity.rules.loihi import LoihiRule, Product, Trace, pairwise_stdp
from simulator.plasticity.rules.loihi_hook import LoihiLearning
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

M, H, T = 5, 3, 60


def program(delay: int, kind=np.int16) -> Program:
    rng = np.random.default_rng(1)
    on = rng.random((M, H)) < 0.7  # the others are pruned
    indptr = np.concatenate([[0], np.cumsum(on.sum(axis=1))]).astype(np.int64)
    weights = rng.integers(20, 60, on.sum()).astype(kind)
    i32 = lambda v: np.asarray(v, np.int32)  # noqa: E731 - a one-line helper of this test
    params = {"bias": i32(0), "vth": i32(100), "v_reset": i32(0), "soft": i32(0)}
    populations = (Population("a", "input", M, role="input"), Population("b", "if", H, params))
    synapses = Projection(
        "a-b",
        "a",
        "b",
        get("if").ports[0],
        indptr,
        np.nonzero(on)[1].astype(np.int32),
        weights,
        delay,
        weight_bits=9,
        plastic="stdp",
    )
    core = np.array([HOST] * M + [0] * H, np.int32)
    return Program("", "", populations, (synapses,), core)


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("epoch", [1, 4])
def test_weights_follow_the_spikes_that_arrive(delay, epoch):
    """Traces without decay and whole-number updates leave nothing to chance: every weight is known in advance."""
    p = program(delay)
    rng = np.random.default_rng(delay)
    x = (rng.random((T, M)) < 0.25).astype(np.int32)
    sim = Simulation(p, seed=5)
    hook = LoihiLearning(sim, "a-b", LoihiRule(pairwise_stdp(1, 2, 0), seed=5), (Trace(1, 0),), (Trace(2, 0),), epoch)
    sim.step_hooks.append(hook)
    spikes = []
    sim.step_hooks.append(lambda s: spikes.append(np.isin(np.arange(M, M + H), s.events[0])))
    sim.advance(SpikeTrain.from_dense(x), T)
    q, post = p.projections[0], np.array(spikes)
    want = q.weights.astype(int).copy()
    x1, y1, x0, y0 = np.zeros(M, int), np.zeros(H, int), np.zeros(M, bool), np.zeros(H, bool)
    for t in range(T):
        arrived = x[t - 1 - delay] > 0 if t > delay else np.zeros(M, bool)
        x1, y1 = np.minimum(x1 + arrived, 127), np.minimum(y1 + 2 * post[t], 127)
        x0, y0 = x0 | arrived, y0 | post[t]
        if (t + 1) % epoch == 0:
            for j in range(M):
                for at in range(q.indptr[j], q.indptr[j + 1]):
                    i = q.indices[at]
                    want[at] = np.clip(want[at] + x1[j] * y0[i] - 2 * y1[i] * x0[j], -256, 254)
            x0[:], y0[:] = False, False
    assert np.array_equal(sim.weights("a-b"), want)
    assert not np.array_equal(want, q.weights)
    assert post.any()
    assert hook.counts.total("learn_stdp_rmw") == T * (M + H)


def test_bad_settings_are_named():
    sim = Simulation(Program("", "", (Population("a", "input", 1, role="input"),), (), np.array([HOST], np.int32)))
    with pytest.raises(InputError, match="6-bit word"):
        LoihiLearning(sim, "a-b", LoihiRule(()), epoch=64)
    with pytest.raises(InputError, match="'a-b'"):
        LoihiLearning(sim, "a-b", LoihiRule(()))


@pytest.mark.parametrize(
    ("dtype", "bits", "top"), [(np.int8, 8, 127), (np.int16, 8, 127), (np.int16, 9, 254), (np.int8, 6, 31)]
)
def test_weights_stick_at_the_bound_of_their_stored_word(dtype: type, bits: int, top: int) -> None:
    weights = np.array([10], dtype)
    rule = LoihiRule(pairwise_stdp(7, 0, 4))
    ones = np.full((4, 1), 100, np.int32)
    for epoch in range(20):
        rule.apply(np.array([0, 1]), np.array([0], np.int32), weights, ones[:3], ones, epoch, weight_bits=bits)
        assert 10 <= weights[0] <= top
    assert weights[0] == top
    down = LoihiRule(pairwise_stdp(0, 7, 4))
    for epoch in range(20):
        down.apply(np.array([0, 1]), np.array([0], np.int32), weights, ones[:3], ones, epoch, weight_bits=bits)
    assert weights[0] == max(-256, -(2 ** (bits - 1)))


@pytest.mark.parametrize("value", [(200, 10), (-1, 10), (16, -3), (16, np.inf), (np.nan, 3), (3, np.nan)])
def test_a_trace_beyond_its_word_is_refused(value: tuple[float, float]) -> None:
    with pytest.raises(InputError):
        Trace(*value)


def test_a_product_beyond_its_words_is_refused() -> None:
    for mantissa, exponent, constant in ((8, 0, 0), (1, 99, 0), (1, 0, 200)):
        with pytest.raises(InputError):
            Product(mantissa, exponent, (("x1", constant),), "y0")
