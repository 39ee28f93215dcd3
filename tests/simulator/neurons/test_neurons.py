"""Every neuron kernel against plain Python integers, and the integer kernels near their float twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.random import random_word
from simulator.neurons import base
from simulator.neurons.lif import initial_v
from simulator.neurons.spike_sampler import sigmoid_table

N, T = 7, 25


def _run(model, params, acc, seed=3, first_id=5, table=None):  # type: ignore[no-untyped-def]
    """Return outputs [T, n], states [T, S, n] and saturations of a kernel."""
    rows = np.array(
        [np.broadcast_to(params.get(w.name, model.defaults.get(w.name)), N) for w in model.params], np.int32
    )
    rows = rows.reshape(len(model.params), N)
    names = [w.name for w in model.params]
    state = np.zeros((len(model.states), N), np.int32)
    for k, word in enumerate(model.states):
        if word.name in model.initial:
            state[k] = rows[names.index(model.initial[word.name])]
    out, outs, states, saturated = np.zeros(N, np.int32), [], [], 0
    table = np.zeros(1, np.int32) if table is None else table
    for t in range(len(acc)):
        saturated += model.kernel(acc[t], state, rows, table, out, 0, N, t, seed, first_id)
        outs.append(out.copy())
        states.append(state.copy())
    return np.array(outs), np.array(states), saturated


def _trunc(x: int, keep: int) -> int:
    return (abs(x) * keep // 4096) * (1 if x >= 0 else -1)


def _saturate(x: int, top: int) -> tuple[int, int]:
    y = max(-top, min(top, x))
    return y, int(y != x)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 3), st.integers(0, 28))
def test_lif(seed: int, strict: bool, refractory: int, scale: int) -> None:
    rng, model = np.random.default_rng(seed), base.get("lif")
    top = 2**scale + 4
    acc = rng.integers(-top, 2 * top, (T, 1, N)).astype(np.int32)
    p = {
        "dv": rng.integers(0, 4097, N), "bias": rng.integers(-top, top, N), "vth": rng.integers(1, 3 * top, N),
        "v_reset": rng.integers(-top, 1, N), "refractory": refractory, "soft": rng.integers(0, 2, N),
        "strict": int(strict), "v_init": rng.integers(-top, top, N),
    }  # fmt: skip
    outs, states, saturated = _run(model, p, acc)
    count = 0
    for i in range(N):
        v, held = int(p["v_init"][i]), 0
        dv, bias, vth, v_reset, soft = (int(p[k][i]) for k in ("dv", "bias", "vth", "v_reset", "soft"))
        for t in range(T):
            v, s = _saturate(_trunc(v, 4096 - dv) + int(acc[t, 0, i]) + bias, 2**31 - 1)
            count += s
            fired = False
            if held:
                held -= 1
                v = v if soft else v_reset
            elif v > vth or (v == vth and not strict):
                fired, held = True, refractory
                v = v - vth if soft else v_reset
            assert (outs[t, i], states[t, 0, i], states[t, 1, i]) == (fired, v, held)
    assert saturated == count


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2), st.integers(0, 13), st.integers(0, 2))
def test_loihi_cuba(seed: int, noise_target: int, noise_exp: int, refractory: int) -> None:
    """The rules of Loihi's fixed point, written out once more in plain integers."""
    rng, model = np.random.default_rng(seed), base.get("loihi_cuba")
    top = int(rng.choice([30, 2000, 60_000, 2_000_000]))
    acc = rng.integers(-top, 2 * top, (T, 1, N)).astype(np.int32)
    p = {
        "du": rng.integers(0, 4096, N), "dv": rng.integers(0, 4097, N), "vth": rng.integers(0, 2**17, N) % (8 * top),
        "bias_mant": rng.integers(-4096, 4096, N), "bias_exp": rng.integers(0, 8, N), "refractory": refractory,
        "noise_target": noise_target, "noise_exp": noise_exp, "noise_mant": rng.integers(-3, 4, N),
    }  # fmt: skip
    outs, states, saturated = _run(model, p, acc)
    count = 0
    for i in range(N):
        u = v = held = 0
        for t in range(T):
            word = int(random_word(3, t, 5 + i, 0))
            r = (word >> 8) * 255 // 2**24 - 127 + 64 * int(p["noise_mant"][i])
            scaled = abs(r) * 2**noise_exp // 128 * (1 if r >= 0 else -1)
            u = _trunc(u, 4096 - (int(p["du"][i]) + 1)) + 64 * int(acc[t, 0, i]) + (scaled if noise_target == 2 else 0)
            wrapped = (u + 2**23) % 2**24 - 2**23
            count += wrapped != u
            u = wrapped
            v = _trunc(v, 4096 - int(p["dv"][i])) + u + int(p["bias_mant"][i]) * 2 ** int(p["bias_exp"][i])
            v, s = _saturate(v + (scaled if noise_target == 1 else 0), 2**23 - 1)
            count += s
            fired = held == 0 and v > 64 * int(p["vth"][i])
            v = 0 if fired or held else v
            held = refractory if fired else max(held - 1, 0)
            assert (outs[t, i], *states[t, :, i]) == (fired, u, v, held)
    assert saturated == count


def test_loihi_noise_covers_its_range_evenly() -> None:
    model = base.get("loihi_cuba")
    acc = np.zeros((4000, 1, N), np.int32)
    p = {"du": 4095, "dv": 4096, "vth": 2**16, "noise_target": 1, "noise_exp": 7}
    v = _run(model, p, acc)[1][:, 1]
    assert v.min() == -127
    assert v.max() == 127
    assert abs(v.mean()) < 4 * 73.6 / np.sqrt(v.size)
    assert abs(v.std() - np.sqrt((255**2 - 1) / 12)) < 1.5


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 29))
def test_if_and_li(seed: int, scale: int) -> None:
    rng, top = np.random.default_rng(seed), 2**scale + 4
    acc = rng.integers(-top, 2 * top, (T, 1, N)).astype(np.int32)
    bias, vth, soft = rng.integers(-top, top, N), rng.integers(1, 3 * top, N), rng.integers(0, 2, N)
    dv, v_init = rng.integers(0, 4097, N), rng.integers(-top, top, N)
    fired, v_if, sat_if = _run(base.get("if"), {"bias": bias, "vth": vth, "soft": soft, "v_init": v_init}, acc)
    silent, v_li, sat_li = _run(base.get("li"), {"bias": bias, "dv": dv, "v_init": v_init}, acc)
    assert not silent.any()
    counts = [0, 0]
    for i in range(N):
        a = b = int(v_init[i])
        for t in range(T):
            a, s = _saturate(a + int(acc[t, 0, i]) + int(bias[i]), 2**31 - 1)
            counts[0] += s
            b, s = _saturate(_trunc(b, 4096 - int(dv[i])) + int(acc[t, 0, i]) + int(bias[i]), 2**31 - 1)
            counts[1] += s
            over = a >= vth[i]
            a = a if not over else a - int(vth[i]) if soft[i] else 0
            assert (fired[t, i], v_if[t, 0, i], v_li[t, 0, i]) == (over, a, b)
    assert [sat_if, sat_li] == counts


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 14))
def test_izhikevich(seed: int, scale: int) -> None:
    rng, model = np.random.default_rng(seed), base.get("izhikevich")
    top = 2**scale + 4
    acc = rng.integers(-top * 16, top * 64, (T, 1, N)).astype(np.int32)
    p = {"a": rng.integers(0, 9000, N), "b": rng.integers(0, 20000, N), "c": rng.integers(-17000, -12000, N),
         "d": rng.integers(0, 2500, N)}  # fmt: skip
    outs, states, saturated = _run(model, p, acc)
    count = 0
    for i in range(N):
        v, u = -16640, -3328
        a, b, c, d = (int(p[k][i]) for k in "abcd")
        for t in range(T):
            for _ in range(2):
                v, s = _saturate(v + (v * v * 10486 // 2**26 + 5 * v + 35840 - u + int(acc[t, 0, i])) // 2, 2**23 - 1)
                count += s
            u += a * (b * v // 65536 - u) // 65536
            fired = v >= 7680
            if fired:
                v, u = c, u + d
            u, s = _saturate(u, 2**23 - 1)
            count += s
            assert (outs[t, i], states[t, 0, i], states[t, 1, i]) == (fired, v, u)
    assert saturated == count


def test_izhikevich_fires_as_regular_and_fast_spiking_cells_do() -> None:
    """Published behaviour at I = 10: a regular spiking cell adapts to a few tens of Hz, a fast spiking one goes beyond."""
    model = base.get("izhikevich")
    acc = np.full((1000, 1, N), 10 * 256, np.int32)
    regular = _run(model, {}, acc)[0][:, 0]
    fast = _run(model, {"a": 6554, "d": 512}, acc)[0][:, 0]
    gaps = np.diff(np.flatnonzero(regular))
    assert gaps[0] < gaps[-1]
    assert 15 < regular.sum() < 40
    assert fast.sum() > 2 * regular.sum()


def test_spike_sampler_fires_with_the_probability_of_its_table() -> None:
    model, table = base.get("spike_sampler"), sigmoid_table()
    levels = np.array([-60, -30, -10, 0, 10, 30, 200])
    steps = 4000
    acc = np.tile((levels * 4).astype(np.int32), (steps, 1, 1))
    rate = _run(model, {"shift": 2}, acc, table=table)[0].mean(axis=0)
    p = 1 / (1 + np.exp(-np.clip(levels, -128, 127) / 16))
    assert (np.abs(rate - p) < 4.5 * np.sqrt(p * (1 - p) / steps) + 1e-4).all()
    twin = model.float_step({"in": levels * 4.0}, {}, {"bias": np.zeros(N), "shift": np.full(N, 2)})
    np.testing.assert_allclose(twin, p)


@pytest.mark.parametrize("name", ["lif", "if", "li", "loihi_cuba", "izhikevich"])
def test_the_float_twin_stays_near_the_integer_kernel(name: str) -> None:
    """Same parameters, large scale: rounding moves a state by a few units a step, spikes agree but for near ties."""
    rng, model = np.random.default_rng(1), base.get(name)
    params = {
        "lif": {"dv": 300, "vth": 500_000, "bias": 20_000, "refractory": 1},
        "if": {"vth": 600_000, "bias": 30_000, "soft": 1},
        "li": {"dv": 150, "bias": -500},
        "loihi_cuba": {"du": 900, "dv": 200, "vth": 14_000, "bias_mant": 90, "bias_exp": 4},
        "izhikevich": {"bias": 800},
    }[name]
    top = {"loihi_cuba": 2500, "izhikevich": 4000}.get(name, 90_000)
    acc = rng.integers(0, top, (60, 1, N)).astype(np.int32)
    outs, states, _ = _run(model, params, acc)
    full = {w.name: np.broadcast_to(params.get(w.name, model.defaults.get(w.name)), N) for w in model.params}
    state = {
        s: np.array(full[model.initial[s]] if s in model.initial else np.zeros(N), float) for s in model.float_states
    }
    fired = np.zeros((60, N))
    for t in range(60):
        fired[t] = model.float_step({"in": acc[t, 0].astype(float)}, state, full)
        if name != "izhikevich":
            np.testing.assert_allclose(state["v"], states[t, [w.name for w in model.states].index("v")], atol=60)
    assert (outs.sum() > 10) == (name != "li")
    assert np.abs(fired.sum(axis=0) - outs.sum(axis=0)).max() <= 1


@settings(deadline=None, max_examples=50)
@given(st.integers(-(2**28), 2**28), st.integers(0, 4000))
def test_initial_v_decays_to_the_wanted_value(v: int, dv: int) -> None:
    if abs(v) * 4096 // (4096 - dv) < 2**31 - 1:
        assert _trunc(int(initial_v(np.array([v]), dv)[0]), 4096 - dv) == v
