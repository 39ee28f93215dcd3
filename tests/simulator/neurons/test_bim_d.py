"""The BIM-D and readout kernels against plain Python integers, written from the equations and not from the kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.neurons.base import NeuronModel, get
from simulator.neurons.bim_d import decay_table, model_name

PSPS = ("delta", "exp", "alpha")


def shr(value: int, right: int) -> int:
    """floor(value / 2^right)."""
    return math.floor(value / 2**right) if right < 0 else value // 2**right


class PlainNeuron:
    """One neuron in Python integers of any size."""

    def __init__(self, psp: str, adaptive: bool, p: dict[str, int], table: list[int]) -> None:
        self.psp, self.adaptive, self.p, self.table = psp, adaptive, p, table
        self.x = self.r = self.i = self.v = self.ref = self.a = 0
        self.wait = p["wait"]
        self.saturated = 0

    def clip(self, value: int, limit: int | None = None) -> int:
        limit = self.p["limit"] if limit is None else limit
        kept = max(-limit - 1, min(limit, value))
        self.saturated += kept != value
        return kept

    def current_of(self, q: int) -> int:
        p = self.p
        if self.psp == "delta":
            return shr(p["gain"] * q, p["sh_q"])
        if self.psp == "exp":
            now = self.clip(self.i + shr(p["gain"] * q, p["sh_q"]))
            self.i = shr(p["rho"] * now, 15)
            return shr(p["p_vi"] * now, p["sh_iv"])
        rr = self.clip(self.r + shr(p["gain"] * q, p["sh_q"]))
        into_v = shr(p["p_vi"] * self.i, p["sh_iv"]) + shr(p["p_vr"] * rr, p["sh_rv"])
        self.i = self.clip(shr(p["b"] * rr, p["sh_ri"]) + shr(p["rho"] * self.i, 15))
        self.r = shr(p["rho"] * rr, 15)
        return into_v

    def step(self, acc: dict[str, int]) -> int:
        p = self.p
        if self.wait:
            self.wait -= 1
            return 0
        z, d, c = (shr(acc[k] * p[f"mul_{k}"], p[f"sh_{k}"]) + p[f"b_{k}"] for k in "zdc")
        z, c = self.clip(z), self.clip(c)
        abar = self.table[p["lut"] + max(0, min(255, d // 256 + 128))]
        self.x = z + abar * (self.x - z) // 65536
        q = self.clip(shr(c * self.x, p["sh_cx"]) + shr(p["D"] * z, p["sh_dz"]))
        v = p["kap"] * self.v // 32768 + self.current_of(q)
        threshold = p["theta"] + (self.a if self.adaptive else 0)
        spike = int(self.ref == 0 and v >= threshold)
        out = self.clip(shr(v, p["sh_out"]), 32767) if p["graded"] else spike
        if p["hard"]:
            left = 0 if spike or self.ref else v
        else:
            left = v - threshold if spike else v
        if self.adaptive:
            self.a = max(-p["limit"] - 1, min(p["limit"], p["rho_a"] * self.a // 32768 + p["beta"] * spike))
        self.v = self.clip(left)
        self.ref = p["n_ref"] if spike else max(self.ref - 1, 0)
        return out

    def words(self) -> list[int]:
        words = {"delta": [self.x, self.v], "exp": [self.x, self.i, self.v], "alpha": [self.x, self.r, self.i, self.v]}
        return [*words[self.psp], self.ref, self.wait] + ([self.a] if self.adaptive else [])


def random_params(rng: np.random.Generator, n: int, adaptive: bool, graded: bool, bits: int) -> dict[str, Any]:
    def draw(low: int, high: int) -> Any:
        return rng.integers(low, high, n)

    top = 2 ** (bits - 1) - 1
    p = {f"b_{k}": draw(-top // 8, top // 8) for k in "zdc"}
    p |= {f"mul_{k}": rng.choice([1, 1, 20000], n) for k in "zdc"}
    p |= {f"sh_{k}": draw(-3, 3) + 14 * (p[f"mul_{k}"] > 1) for k in "zdc"}
    p |= {"lut": 256 * draw(0, 2), "D": draw(-4096, 4096), "sh_cx": draw(6, 12), "sh_dz": draw(8, 13)}
    p |= {"limit": np.full(n, top), "theta": draw(top // 32, top // 4), "n_ref": draw(0, 4), "hard": draw(0, 2)}
    p |= {"kap": draw(0, 32768), "beta": draw(1, 200) if adaptive else np.zeros(n, int), "rho_a": draw(0, 32768)}
    p |= {"graded": np.full(n, int(graded)), "sh_out": draw(-1, 5), "gain": draw(-(2**16), 2**17)}
    p |= {
        "sh_q": draw(14, 19),
        "wait": draw(0, 4),
        "p_vi": draw(0, 2**15),
        "sh_iv": draw(13, 17),
        "rho": draw(0, 32768),
    }
    return p | {"p_vr": draw(0, 2**15), "sh_rv": draw(13, 17), "b": draw(0, 2**15), "sh_ri": draw(13, 17)}


def run_kernel(model: NeuronModel, params: dict[str, Any], table: Any, drive: Any) -> tuple[list[Any], list[Any], int]:
    n = drive.shape[2]
    rows = np.stack([np.broadcast_to(params[w.name], n) for w in model.params]).astype(np.int32)
    state, out = np.zeros((len(model.states), n), np.int32), np.zeros(n, np.int32)
    for k, word in enumerate(model.states):
        if word.name in model.initial:
            state[k] = params[model.initial[word.name]]
    outs, states, saturated = [], [], 0
    assert model.kernel is not None
    for t, acc in enumerate(drive):
        saturated += model.kernel(acc, state, rows, table, out, 0, n // 2, t, 0, 0)
        saturated += model.kernel(acc, state, rows, table, out, n // 2, n, t, 0, 0)  # in slices, as cores do
        outs.append(out.copy())
        states.append(state.copy())
    return outs, states, saturated


@pytest.mark.parametrize("psp", PSPS)
@pytest.mark.parametrize(("adaptive", "graded"), [(False, False), (True, False), (False, True)])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bits=st.sampled_from([12, 16, 24]))
def test_kernel_equals_plain_python(psp: str, adaptive: bool, graded: bool, seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    n, steps = 7, 25
    model = get(model_name(psp, adaptive, graded))
    params = random_params(rng, n, adaptive, graded, bits)
    table = np.concatenate([decay_table(1.0), decay_table(2.5)])
    drive = rng.integers(-(2 ** (bits - 2)), 2 ** (bits - 2), (steps, 3, n)).astype(np.int32)
    outs, states, saturated = run_kernel(model, params, table, drive)
    plain = [PlainNeuron(psp, adaptive, {k: int(v[i]) for k, v in params.items()}, table.tolist()) for i in range(n)]
    for t in range(steps):
        ports = [dict(zip("zdc", drive[t, :, i].tolist(), strict=True)) for i in range(n)]
        expected = [neuron.step(port) for neuron, port in zip(plain, ports, strict=True)]
        assert outs[t].tolist() == expected
        assert states[t].T.tolist() == [neuron.words() for neuron in plain]
    assert saturated == sum(neuron.saturated for neuron in plain)


def test_decay_table_is_the_sigmoid_at_the_middle_of_each_entry() -> None:
    middle = [-8 + (i + 0.5) / 16 for i in range(256)]
    for a in (1.0, 0.3, 4.0):
        exact = [(1 / (1 + math.exp(d))) ** a * 65536 for d in middle]
        assert (
            np.abs(decay_table(a) - exact).max() <= 1.0
        )  # half a unit, and one at the upper end, where 65536 does not fit


def test_readout_with_two_filters_equals_plain_python() -> None:
    rng = np.random.default_rng(5)
    n, steps, limit = 6, 60, 2**14
    model = get("readout_li_two")
    params: dict[str, Any] = {"b": rng.integers(-5000, 5000, n), "limit": np.full(n, limit - 1)}
    for end in ("", "_v"):
        params[f"mul{end}"], params[f"m{end}"] = rng.choice([1, 17000], n), rng.integers(0, 32769, n)
        params[f"sh{end}"] = np.where(params[f"mul{end}"] > 1, 9, rng.integers(-6, 3, n))
    drive = rng.integers(-3000, 3000, (steps, 2, n)).astype(np.int32)
    outs, states, saturated = run_kernel(model, params, np.zeros(1, np.int32), drive)
    f, g, count = params["b"].tolist(), [0] * n, 0
    for t in range(steps):
        for i in range(n):
            p = {k: int(v[i]) for k, v in params.items()}
            spikes = shr(int(drive[t, 0, i]) * p["mul"], p["sh"]) + p["b"]
            membranes = shr(int(drive[t, 1, i]) * p["mul_v"], p["sh_v"])
            new = f[i] + p["m"] * (spikes - f[i]) // 32768, g[i] + p["m_v"] * (membranes - g[i]) // 32768
            f[i], g[i] = (max(-limit, min(limit - 1, v)) for v in new)
            y = max(-limit, min(limit - 1, f[i] + g[i]))
            count += (f[i] != new[0]) + (g[i] != new[1]) + (y != f[i] + g[i])
            assert states[t][:, i].tolist() == [y, f[i], g[i]]
        assert not outs[t].any()
    assert saturated == count > 0


def test_readout_equals_plain_python() -> None:
    rng = np.random.default_rng(3)
    n, steps = 6, 60
    model = get("readout_li")
    params = {"b": rng.integers(-5000, 5000, n), "mul": rng.choice([1, 17000], n), "m": rng.integers(0, 32769, n)}
    params |= {"sh": np.where(params["mul"] > 1, 9, rng.integers(-6, 3, n)), "limit": np.full(n, 2**14 - 1)}
    drive = rng.integers(-3000, 3000, (steps, 1, n)).astype(np.int32)
    outs, states, saturated = run_kernel(model, params, np.zeros(1, np.int32), drive)
    y, count = params["b"].tolist(), 0
    for t in range(steps):
        for i in range(n):
            target = shr(int(drive[t, 0, i]) * int(params["mul"][i]), int(params["sh"][i])) + int(params["b"][i])
            new = y[i] + int(params["m"][i]) * (target - y[i]) // 32768
            y[i] = max(-(2**14), min(2**14 - 1, new))
            count += y[i] != new
        assert states[t][0].tolist() == y
        assert not outs[t].any()
    assert saturated == count > 0
