"""The kernels of P-SpikeSSM against plain Python integers, written from the equations and not from the kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.base.random import STREAM_NEURON, random_word
from simulator.neurons.base import get
from simulator.neurons.p_spike_ssm import model_name, probability_table
from tests.simulator.neurons.test_bim_d import shr

TABLE = probability_table()


def nearest(value: int, right: int) -> int:
    """Nearest integer of value 2^-right, halves up; left for right <= 0."""
    return math.floor((2 * value + 2**right) // 2 ** (right + 1)) if right > 0 else value * 2**-right


class PlainNeuron:
    """One neuron in Python integers."""

    def __init__(self, p: dict[str, int], modes: int) -> None:
        self.p, self.re, self.im, self.wait, self.saturated = p, [0] * modes, [0] * modes, p["wait"], 0

    def clip(self, value: int) -> int:
        kept = max(-self.p["limit"] - 1, min(self.p["limit"], value))
        self.saturated += kept != value
        return kept

    def step(self, acc: int, word: int) -> int:
        p = self.p
        if self.wait:
            self.wait -= 1
            return 0
        u, total = shr(acc * p["mul"], p["sh"]), 0
        for n in range(len(self.re)):
            a, b = self.re[n], self.im[n]
            lr, li = p[f"lr{n}"], p[f"li{n}"]
            self.re[n] = self.clip(nearest(lr * a - li * b, 22) + nearest(p[f"g{n}"] * u, p["sh_g"]))
            self.im[n] = self.clip(nearest(lr * b + li * a, 22))
            total += p[f"cr{n}"] * self.re[n] - p[f"ci{n}"] * self.im[n]
        y = nearest(total, p["sh_c"]) + nearest(p["D"] * u, p["sh_d"]) + p["b"]
        return int((word >> 16) < TABLE[max(0, min(1023, (y >> 10) + 512))])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), modes=st.sampled_from([1, 2, 5]), tight=st.booleans())
def test_kernel_equals_plain_integers(seed: int, modes: int, tight: bool) -> None:
    rng, n, steps = np.random.default_rng(seed), 7, 30
    limit = 2**11 if tight else 2**23 - 1

    def draw(low: int, high: int) -> Any:
        return rng.integers(low, high, n)

    p = {"b": draw(-(2**18), 2**18), "D": draw(-(2**20), 2**20), "mul": rng.choice([1, 25000], n)}
    p |= {"sh": draw(-2, 3) + 14 * (p["mul"] > 1), "sh_g": draw(17, 21), "sh_c": draw(18, 23), "sh_d": draw(14, 19)}
    p |= {"limit": np.full(n, limit), "wait": draw(0, 4)}
    for k in range(modes):
        size, turn = 1 - 10 ** rng.uniform(-4, -0.3, n), rng.uniform(0, math.pi, n)
        p |= {f"lr{k}": np.rint(2**22 * size * np.cos(turn)).astype(int)}
        p |= {f"li{k}": np.rint(2**22 * size * np.sin(turn)).astype(int)}
        p |= {f"g{k}": draw(0, 2**22), f"cr{k}": draw(-(2**23), 2**23), f"ci{k}": draw(-(2**23), 2**23)}
    model = get(model_name(modes))
    params = np.array([p[w.name] for w in model.params], np.int32)
    state, out = np.zeros((len(model.states), n), np.int32), np.zeros(n, np.int32)
    state[-1] = p["wait"]
    neurons = [PlainNeuron({k: int(v[i]) for k, v in p.items()}, modes) for i in range(n)]
    acc = rng.integers(-(2**14), 2**14, (steps, 1, n)).astype(np.int32)
    saturated = 0
    assert model.kernel is not None
    for t in range(steps):
        saturated += model.kernel(acc[t], state, params, TABLE, out, 0, n, t + 9, seed, 50)
        expected = [
            x.step(int(acc[t, 0, i]), int(random_word(seed, t + 9, 50 + i, STREAM_NEURON)))
            for i, x in enumerate(neurons)
        ]
        assert out.tolist() == expected
        assert state[0].tolist() == [x.re[0] for x in neurons]
        assert state[2 * modes - 1].tolist() == [x.im[-1] for x in neurons]
    assert saturated == sum(x.saturated for x in neurons)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_clamp_fuse_equals_plain_integers(seed: int) -> None:
    rng, n = np.random.default_rng(seed), 9
    model = get("clamp_fuse")
    p = {"b": rng.integers(-9000, 9000, n), "kappa": rng.integers(1, 20000, n), "wait": rng.integers(0, 3, n)}
    for port in ("in", "res"):
        p[f"mul_{port}"] = rng.choice([1, 20000], n)
        p[f"sh_{port}"] = rng.integers(-2, 4, n) + 14 * (p[f"mul_{port}"] > 1)
    params = np.array([p[w.name] for w in model.params], np.int32)
    state, out = np.zeros((2, n), np.int32), np.zeros(n, np.int32)
    state[1] = p["wait"]
    assert model.kernel is not None
    for t in range(6):
        acc = rng.integers(-20000, 20000, (2, n)).astype(np.int32)
        assert model.kernel(acc, state, params, np.zeros(1, np.int32), out, 0, n, t, 0, 0) == 0
        for i in range(n):
            q = {k: int(v[i]) for k, v in p.items()}
            value = q["b"] + sum(shr(int(acc[k, i]) * q[f"mul_{x}"], q[f"sh_{x}"]) for k, x in enumerate(("in", "res")))
            assert out[i] == (0 if t < q["wait"] else max(-q["kappa"], min(q["kappa"], value)))


def test_a_slow_mode_does_not_stand_still() -> None:
    """A mode of 1,000 steps under a constant input of a thousandth of its range settles where the equation says."""
    lam, frac = math.exp(-1 / 1000), 20
    gamma = math.sqrt(1 - lam * lam)
    model = get("p_ssm_n1")
    given = {"lr0": round(lam * 2**22), "g0": round(gamma * 2**22), "sh_g": 22 + 14 - frac, "limit": 2**23 - 1}
    params = np.array([[given.get(w.name, 1 if w.name == "mul" else 0)] for w in model.params], np.int32)
    state, out, acc = np.zeros((3, 1), np.int32), np.zeros(1, np.int32), np.full((1, 1), 16, np.int32)
    assert model.kernel is not None
    for t in range(12_000):
        model.kernel(acc, state, params, TABLE, out, 0, 1, t, 0, 0)
    wanted = gamma * 16 / 2**14 / (1 - lam)
    assert abs(state[0, 0] / 2**frac / wanted - 1) < 0.01


def test_names() -> None:
    assert get("p_ssm_n32").params[-1].name == "ci31"
    for name in ("p_ssm_n0", "p_ssm_n33", "p_ssm_n01"):
        with pytest.raises(InputError, match="not registered"):
            get(name)
