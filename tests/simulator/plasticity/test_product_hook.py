"""Rules that change weights, tags and delays in a running simulation, against a plain-Python twin in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from simulator.base.random import STREAM_TRACE, random_word
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.loihi import Trace
from simulator.plasticity.rules.product_hook import ProductLearning
from simulator.plasticity.rules.products import STREAM_PRODUCTS
from simulator.plasticity.rules.rule_file import rules_from
from simulator.plasticity.words.counts import LearnCounts
from simulator.program.graph import Population, Projection
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain

M, H, T, MOST = 4, 3, 20, 6
FACTORS = ("x0", "x1", "y0", "y1", "w", "t", "d", "u1", "u3")
factor = st.tuples(st.sampled_from(FACTORS), st.integers(-3, 3))
products = st.lists(
    st.tuples(st.sampled_from("+-"), st.integers(1, 7), st.integers(-10, 1), st.lists(factor, min_size=1, max_size=2)),
    min_size=1,
    max_size=3,
)


def written(terms) -> str:
    return " ".join(
        f"{sign} {m}*2^{e}*" + "*".join(f"({v} {'+' if c >= 0 else '-'} {abs(c)})" if c else v for v, c in factors)
        for sign, m, e, factors in terms
    ).lstrip("+ ")


def change(terms, z: int, values, low: int, high: int, r: int) -> int:
    dz = Fraction(0)
    for sign, m, e, factors in terms:
        term = Fraction(m if sign == "+" else -m) * Fraction(2) ** e
        for name, c in factors:
            term *= int(values[name]) + c
        dz += term
    if dz == 0:
        return z
    a = max(low << 7, min(high << 7, (z << 7) + math.floor(dz * 128)))
    return max(low, min(high, (a + r) >> 7))


def network(rng, delay: int = 0) -> Program:
    on = rng.random((M, H)) < 0.7
    on[0, 0] = True
    indptr = np.concatenate([[0], np.cumsum(on.sum(axis=1))]).astype(np.int64)
    params = {k: np.asarray(v, np.int32) for k, v in {"bias": 0, "vth": 150, "v_reset": 0, "soft": 1}.items()}
    populations = (Population("a", "input", M, role="input"), Population("b", "if", H, params))
    weights, targets = rng.integers(-60, 128, on.sum()).astype(np.int8), np.nonzero(on)[1].astype(np.int32)
    q = Projection("a-b", "a", "b", "in", indptr, targets, weights, delay, 1)
    return Program("", "", populations, (q,), np.array([HOST] * M + [0] * H, np.int32))


def traced(value: int, trace: Trace, sent: int, seed: int, step: int, neuron: int, kind: int) -> int:
    r = random_word(seed, step, neuron, STREAM_TRACE + 512 * kind)
    value = (value * trace.decay_word + (int(r) & 0xFFFF)) >> 16
    if sent:
        value += (trace.impulse_word * sent + ((int(r) >> 16) & 0xFF)) >> 8
    return min(value, 127)


def twin(p: Program, x, host, rule, epoch: int, seed: int, nearest: bool):
    """Return weights, tags, delays and potentials of a run, in Python's integers."""
    q = p.projections[0]
    synapses = [(j, int(q.indices[at])) for j in range(M) for at in range(q.indptr[j], q.indptr[j + 1])]
    words = {"w": q.weights.tolist(), "t": [0] * len(synapses), "d": [q.delay] * len(synapses)}
    ring = np.zeros((T + MOST + 2, H), object)
    v, x0, x1, y0, y1 = [0] * H, [0] * M, [0] * M, [0] * H, [0] * H
    trace = Trace(20.3, 5)
    for t in range(T):
        fired = []
        for i in range(H):
            v[i] += int(ring[t, i])
            fired.append(v[i] >= 150)
            v[i] -= 150 * fired[i]
        for at, (j, i) in enumerate(synapses):
            ring[t + 1 + words["d"][at], i] += int(x[t, j]) * words["w"][at] << 1
        for j in range(M):
            arrived = int(x[t - 1, j]) if t else 0
            x1[j] = traced(x1[j], trace, arrived, seed, t, j, 0)
            x0[j] |= int(arrived > 0)
        for i in range(H):
            y1[i] = traced(y1[i], trace, fired[i], seed, t, M + i, 2)
            y0[i] |= int(fired[i])
        if (t + 1) % epoch == 0:
            number = (t + 1) // epoch - 1
            for name, low, high, stream in (("t", -256, 255, 512), ("d", 0, MOST, 256), ("w", -128, 127, 0)):
                old = {k: list(values) for k, values in words.items()}
                for at, (j, i) in enumerate(synapses):
                    values = {k: old[k][at] for k in "wtd"} | {"x0": x0[j], "x1": x1[j], "y0": y0[i], "y1": y1[i]}
                    came = 0  # of u1 in the epoch, a word of 8 bits
                    for k in range(t + 1 - epoch, t + 1):
                        came = max(-128, min(127, came + int(host[k, i])))
                    values |= {"u1": came, "u3": number % 8 == 0}
                    r = 64 if nearest else int(random_word(seed, number, j << 32 | i, STREAM_PRODUCTS + stream)) & 127
                    words[name][at] = change(rule[name], old[name][at], values, low, high, r)
            x0, y0 = [0] * M, [0] * H
    return words, v


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(st.integers(0, 10**6), products, products, products, st.sampled_from([1, 3]), st.booleans(), st.integers(0, 3))
def test_weights_tags_and_delays_equal_the_twin(seed, dw, dt, dd, epoch, nearest, delay) -> None:
    rng = np.random.default_rng(seed)
    p = network(rng, delay)
    x = (rng.random((T, M)) < 0.3) * rng.integers(1, 3, (T, M))
    host = rng.integers(-128, 128, (T, H))
    read = written(dw) + written(dt) + written(dd)
    heard = "factors: {u1: {of: error}}" if "u1" in read else ""
    traced = ", ".join(f"{name}: {{impulse: 20.3, tau: 5}}" for name in ("x1", "y1") if name in read)
    text = f"""name: all
rounding: {"nearest" if nearest else "stochastic"}
rules:
  - projections: "*"
    traces: {{{traced}}}
    {heard}
    dw: "{written(dw)}"
    dt: "{written(dt)}"
    dd: "{written(dd)}"
"""
    sim = Simulation(p, seed=seed)
    counts, rounding = LearnCounts(2), "nearest" if nearest else "stochastic"
    hook = ProductLearning(
        sim, "a-b", rules_from(text, "r").rules[0], counts, epoch, rounding=rounding, shift=0, most_delay=MOST
    )

    def factors(simulation: Simulation) -> None:
        hook.raw[1] = host[simulation.state.step - 1]

    sim.step_hooks += [factors, hook]
    sim.advance(SpikeTrain.from_dense(x.astype(np.int32)), T)
    want, v = twin(p, x, host, {"w": dw, "t": dt, "d": dd}, epoch, seed, nearest)
    assert hook.weights.tolist() == want["w"]
    assert hook.tags.tolist() == want["t"]
    assert hook.delays.tolist() == want["d"]
    assert sim.state.words[1][0].tolist() == v


@pytest.mark.parametrize(("dd", "end"), [("4*2^4*x0", MOST), ("-4*2^4*x0", 0)])
def test_delays_stop_at_the_ends_of_their_range(dd: str, end: int) -> None:
    p = network(np.random.default_rng(0), 2)
    text = f"{{name: d, rules: [{{projections: '*', dd: '{dd}'}}]}}"
    sim = Simulation(p)
    counts = LearnCounts(2)
    hook = ProductLearning(sim, "a-b", rules_from(text, "r").rules[0], counts, most_delay=MOST)
    sim.step_hooks.append(hook)
    x = np.zeros((9, M), np.int32)
    x[0, 0] = x[4, 0] = 1
    sim.advance(SpikeTrain.from_dense(x), 9)
    row = slice(*p.projections[0].indptr[:2])
    assert set(hook.delays[row].tolist()) == {end}
    assert set(hook.delays[row.stop :].tolist()) == {2}
    assert counts.total("learn_stdp_events") == 2 * hook.delays.size, "a visit of each synapse at each of two arrivals"


def test_a_spike_on_its_way_keeps_its_delay() -> None:
    """A delay that changes from 2 to 6 after a spike was sent holds for the next one."""
    p = network(np.random.default_rng(0), 2)
    sim = Simulation(p)
    weight = 2 * int(p.projections[0].weights[0])
    delays = sim.delays("a-b", MOST)
    x = np.zeros((12, M), np.int32)
    x[0, 0] = x[1, 0] = 1
    arrived = []
    sim.step_hooks.append(lambda s: arrived.append(int(s.state.words[1][0, 0])))
    sim.step_hooks.append(lambda s: delays.fill(MOST))
    sim.advance(SpikeTrain.from_dense(x), 12)
    fired = lambda v: v - 150 * (v >= 150)  # noqa: E731 - a one-line helper of this test
    assert arrived == [0] * 3 + [fired(weight)] * 5 + [fired(fired(weight) + weight)] * 4


def test_a_term_without_spikes_decays_in_silence() -> None:
    """Each product counts by itself: one that reads spikes does not gate another that does not."""
    p = network(np.random.default_rng(1))
    text = "{name: d, rounding: nearest, rules: [{projections: '*', dw: '1*x0 - 2^-1*w'}]}"
    sim = Simulation(p)
    hook = ProductLearning(sim, "a-b", rules_from(text, "r").rules[0], LearnCounts(2), rounding="nearest")
    sim.step_hooks.append(hook)
    sim.advance(SpikeTrain.from_dense(np.zeros((12, M), np.int32)), 12)
    assert np.abs(hook.weights).max() <= 1
