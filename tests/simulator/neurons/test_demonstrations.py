"""Adaptive LIF, double-exponential, resonate-and-fire, sigma-delta: kernels against plain Python, closed forms; compiled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bimhw
from mapping.float_run import record
from mapping.network import Network
from simulator.chips.load import load_chip
from simulator.neurons import base, double_exponential
from simulator.neurons.double_exponential import GAIN_ONE, KEEP_ONE
from simulator.neurons.resonate_fire import pole
from simulator.program.graph import Population, Projection, dense_to_csr
from tests.bimhw.compiler.beside import compare

N, T, TOP = 6, 40, 2**31 - 1
DOUBLE = {"keep_slow": 0.8 * KEEP_ONE, "keep_fast": 0.5 * KEEP_ONE, "gain": 1.4 * GAIN_ONE, "vth": 0.3}


def run(name: str, params: dict[str, Any], acc: Any) -> tuple[Any, Any]:
    """Payloads [T, n] and states [T, S, n] of a kernel."""
    model = base.get(name)
    rows = np.array(
        [np.broadcast_to(params.get(w.name, model.defaults.get(w.name)), N) for w in model.params], np.int32
    )
    state, out, outs, states = np.zeros((len(model.states), N), np.int32), np.zeros(N, np.int32), [], []
    for t in range(len(acc)):
        assert model.kernel is not None
        model.kernel(acc[t], state, rows, np.zeros(1, np.int32), out, 0, N, t, 0, 0)
        outs.append(out.copy())
        states.append(state.copy())
    return np.array(outs), np.array(states)


def trunc(x: int, keep: int) -> int:
    return (abs(x) * keep // 4096) * (1 if x >= 0 else -1)


def clip(x: int, top: int = TOP) -> int:
    return max(-top, min(top, x))


@pytest.mark.parametrize("current", [False, True])
@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_adaptive_lif(current: bool, seed: int, scale: int) -> None:
    rng, top = np.random.default_rng(seed), 2**scale
    acc = rng.integers(-top, 2 * top, (T, 1, N)).astype(np.int32)
    p = {"dv": rng.integers(0, 4097, N), "da": rng.integers(0, 4097, N), "bias": rng.integers(-top, top, N) // 4}
    p |= {"vth": rng.integers(1, top + 1, N), "v_reset": -rng.integers(0, top, N), "jump": rng.integers(0, top, N)}
    p |= {"soft": rng.integers(0, 2, N)}
    p |= {"du": rng.integers(0, 4097, N), "bias_u": rng.integers(-top, top, N) // 4} if current else {}
    outs, states = run("adaptive_cuba" if current else "adaptive_lif", p, acc)
    for i in range(N):
        w, v, a, u = {k: int(x[i]) for k, x in p.items()}, 0, 0, 0
        for t in range(T):
            a = trunc(a, 4096 - w["da"])
            u = clip(trunc(u, 4096 - w["du"]) + int(acc[t, 0, i]) + w["bias_u"]) if current else int(acc[t, 0, i])
            v = clip(trunc(v, 4096 - w["dv"]) + u + w["bias"])
            fired = v >= w["vth"] + a
            if fired:
                v, a = clip(v - w["vth"] - a) if w["soft"] else w["v_reset"], clip(a + w["jump"])
            assert (outs[t, i], states[t, 0, i], states[t, 1, i]) == (int(fired), v, a)
            assert not current or states[t, 3, i] == u


def nearest(x: int, bits: int) -> int:
    return x + 2 ** (bits - 1) >> bits


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_double_exponential(seed: int, scale: int) -> None:
    rng, top = np.random.default_rng(seed), 2**scale
    acc = rng.integers(-top, 2 * top, (T, 1, N)).astype(np.int32)
    p = {"keep_slow": rng.integers(0, 2**16 + 1, N), "keep_fast": rng.integers(0, 2**16 + 1, N)}
    p |= {"gain": rng.integers(2**12, 2**15, N), "bias": rng.integers(-top, top, N) // 4}
    p |= {"vth": rng.integers(-top // 8, top + 1, N), "reset": rng.integers(0, 3, N)}
    outs, states = run("double_exponential", p, acc)
    for i in range(N):
        w, slow, fast, v = {k: int(x[i]) for k, x in p.items()}, 0, 0, 0
        for t in range(T):
            x, before, reset = int(acc[t, 0, i]) + w["bias"], fast, w["reset"] if v > w["vth"] else 2
            slow, fast = clip(nearest(slow * w["keep_slow"], 16) + x), clip(nearest(fast * w["keep_fast"], 16) + x)
            v = nearest((slow - fast) * w["gain"], 12)
            if reset == 0:
                slow = fast = v = 0
            elif reset == 1:
                slow, fast, v = clip(slow - w["vth"]), 0, v - before
            v = clip(v)
            assert (outs[t, i], *states[t, :3, i]) == (int(v > w["vth"]), slow, fast, v)


def test_two_currents_of_one_kick_give_a_double_exponential() -> None:
    """Closed form without spikes: v(t) = gain (e^(-t/tau_slow) - e^(-t/tau_fast)) x(0)."""
    keep = np.exp(-1 / np.array([12.0, 3.0]))
    slow, fast = np.round(keep * KEEP_ONE).astype(int)
    acc = np.zeros((T, 1, N), np.int32)
    acc[0] = 10**6
    _, states = run("double_exponential", {"keep_slow": slow, "keep_fast": fast, "gain": 2 * GAIN_ONE, "vth": TOP}, acc)
    t = np.arange(T)
    np.testing.assert_allclose(states[:, 2, 0], 2e6 * (keep[0] ** t - keep[1] ** t), atol=2e6 * T * 2**-16)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_resonate_and_fire(seed: int, scale: int) -> None:
    rng, top = np.random.default_rng(seed), 2**scale
    acc = rng.integers(-top, 2 * top, (T, 1, N)).astype(np.int32)
    lr, li = (np.round(v).astype(int) for v in pole(rng.uniform(0, 0.5, N), rng.uniform(1, 50, N)))
    p = {"lr": lr, "li": li, "vth": rng.integers(1, top + 1, N), "im_reset": -rng.integers(0, top, N)}
    outs, states = run("resonate_fire", p, acc)
    for i in range(N):
        re = im = 0
        for t in range(T):
            x = clip((int(lr[i]) * re - int(li[i]) * im + 2**14 >> 15) + int(acc[t, 0, i]))
            y = clip(int(li[i]) * re + int(lr[i]) * im + 2**14 >> 15)
            fired = y >= p["vth"][i]
            re, im = (0, int(p["im_reset"][i])) if fired else (x, y)
            assert (outs[t, i], states[t, 0, i], states[t, 1, i]) == (int(fired), re, im)


def test_a_kick_rings_at_the_neurons_frequency() -> None:
    """Closed form without spikes: z(t) = z(0) e^(-t/tau) e^(i 2 pi f t)."""
    lr, li = (np.round(v).astype(int) for v in pole(0.05, 30.0))
    acc = np.zeros((T, 1, N), np.int32)
    acc[0] = 10**6
    _, states = run("resonate_fire", {"lr": lr, "li": li, "vth": TOP}, acc)
    t = np.arange(T)
    exact = 1e6 * np.exp(t * (-1 / 30 + 2j * np.pi * 0.05))
    np.testing.assert_allclose(states[:, 1, 0], exact.imag, atol=1e6 * T * 2**-15)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(-3, 8), st.booleans(), st.sampled_from([0, 0, 3, 6]))
def test_sigma_delta(seed: int, right: int, relu: bool, sh_out: int) -> None:
    rng = np.random.default_rng(seed)
    acc = rng.integers(-(2**12), 2**12, (T, 1, N)).astype(np.int32)
    p = {"mul": rng.integers(1, 9, N), "sh": right, "bias": rng.integers(-500, 500, N), "vth": rng.integers(1, 900, N)}
    p |= {"relu": int(relu), "limit": 2**20, "sh_out": sh_out}
    outs, states = run("sigma_delta", p, acc)
    for i in range(N):
        sigma = sent = 0
        for t in range(T):
            sigma = clip(sigma + int(acc[t, 0, i]))
            y = sigma * int(p["mul"][i])
            y = y + 2 ** (right - 1) >> right if right > 0 else y << -right
            y = clip(y + int(p["bias"][i]), 2**20)
            y = max(y, 0) if relu else y
            d = y - sent
            d = clip(d, 2**15 - 1 << sh_out) if abs(d) >= p["vth"][i] else 0
            sent += d
            assert (outs[t, i], states[t, 0, i], states[t, 1, i]) == (d >> sh_out, sigma, sent)


def compiled(name: str, params: dict[str, Any], layers: int = 2) -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    populations, projections, last = [Population("in", "input", 8, role="input")], [], 8
    for k in range(1, layers + 1):
        populations.append(Population(f"p{k}", name, 10, {n: np.asarray(v, float) for n, v in params.items()}, layer=k))
        csr = dense_to_csr(rng.normal(0.1, 0.4, (10, last)))
        projections.append(Projection(f"w{k}", populations[-2].name, f"p{k}", "in", *csr))
        last = 10
    x = (rng.random((3, 60, 8)) < 0.3).astype(np.int32)
    return bimhw.compile(Network("float", tuple(populations), tuple(projections)), "loihi2", calibration=x), x


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("adaptive_lif", {"dv": 300, "da": 60, "vth": 0.7, "jump": 0.2, "soft": 1}),
        ("double_exponential", DOUBLE | {"reset": double_exponential.CLEAR}),
        ("double_exponential", DOUBLE | {"reset": double_exponential.SUBTRACT}),
        ("resonate_fire", dict(zip(("lr", "li"), pole(0.06, 12.0), strict=True)) | {"vth": 0.8}),
    ],
)
def test_compiled_they_fire_as_in_the_float_network(name: str, params: dict[str, Any]) -> None:
    made, x = compiled(name, params)
    for d in compare(made, x, load_chip("loihi2").topology).populations:
        assert d.float_rate > 0.01 and abs(d.rate - d.float_rate) < 0.1 * d.float_rate, d
        assert d.differ <= (0.02 if d.population == "p1" else 0.06) * d.of, d


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("adaptive_lif", {"dv": 300, "da": 60, "vth": 0.7, "jump": 0.2, "soft": 1}),
        ("adaptive_cuba", {"dv": 300, "da": 60, "vth": 0.9, "jump": 0.3, "soft": 1, "du": 2000}),
        ("double_exponential", DOUBLE | {"reset": double_exponential.CLEAR}),
        ("double_exponential", DOUBLE | {"reset": double_exponential.SUBTRACT}),
    ],
)
def test_the_words_of_the_states_move_few_spikes(name: str, params: dict[str, Any]) -> None:
    """The program's weights and parameters in the real equation: without the error of 8-bit weights, which a current adds up."""
    made, x = compiled(name, params)
    program, steps = made.program, x.shape[1] + 2
    populations = [
        replace(p, params={k: np.broadcast_to(np.asarray(v, float), p.size).copy() for k, v in p.params.items()})
        for p in program.populations
    ]
    weights = [replace(q, weights=q.weights * 2.0**q.exponent, exponent=0) for q in program.projections]
    cells = [("p1", "out"), ("p2", "out")]
    real = record(Network("float", tuple(populations), tuple(weights)), {"in": x.astype(float)}, steps, cells)
    first = program.first_ids()
    for k, sample in enumerate(x):
        spikes = bimhw.run(program, bimhw.SpikeTrain.from_dense(sample), steps).spikes
        for pair, most in zip(cells, (0.02, 0.06), strict=True):
            sent, wanted = spikes.to_dense(first[pair[0]], 10), real[pair][k]
            assert wanted.mean() > 0.01 and (sent != wanted).mean() <= most, pair


def test_compiled_sigma_delta_does_not_drift() -> None:
    """What was sent stays within the float network's threshold and rounding of the activation, in the last step too."""
    made, x = compiled("sigma_delta", {"vth": 0.05, "relu": 1}, layers=1)
    frac = made.program.meta["formats"]["p1"]["sent"]
    steps = int(made.program.meta["chip_steps"])
    (q,), unit = made.float_network.projections, 2.0**-frac
    dense = np.zeros((8, 10))
    dense[np.repeat(np.arange(8), np.diff(q.indptr)), q.indices] = q.weights
    train = bimhw.SpikeTrain.from_dense(np.concatenate([x[0], np.zeros((steps - 60, 8), np.int32)]))
    sent = bimhw.run(made.program, train, steps, probes=[("p1", "sent")]).probes["p1", "sent"][-1] * unit
    exact = np.maximum(x[0].sum(axis=0) @ dense, 0)
    largest = np.abs(dense).max()
    assert np.abs(sent - exact).max() <= 0.05 + unit + x[0].sum(axis=0).max() * 8 * largest / 127 / 2
    assert exact.max() > 1
