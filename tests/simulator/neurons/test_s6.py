"""The S6 kernels against plain Python integers, written from the equations and not from the kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.neurons.base import get
from simulator.neurons.s6 import DELTA_FRAC, LOG_FRAC, model_name, tables
from tests.simulator.neurons.test_bim_d import PlainNeuron, run_kernel, shr

PSPS = ("delta", "exp", "alpha")
TABLE = np.concatenate(list(tables().values()))


class PlainS6(PlainNeuron):
    """One neuron in Python integers; the membrane is the oracle's of BIM-D."""

    def __init__(self, psp: str, states: int, adaptive: bool, p: dict[str, int]) -> None:
        super().__init__(psp, adaptive, p, TABLE.tolist())
        self.xs = [0] * states

    def select(self, acc: dict[str, int]) -> int:
        p, t = self.p, self.table
        z = self.clip(shr(acc["z"] * p["mul_z"], p["sh_z"]) + p["b_z"])
        d = shr(acc["d"] * p["mul_d"], p["sh_d"]) + p["b_d"]
        entry = max(0, min(511, d * 32 // 4096 + 8 * 32))
        u = self.clip(shr(t[entry] * z, p["sh_u"]))
        total = 0
        for n in range(len(self.xs)):
            b = self.clip(shr(acc[f"b{n}"] * p["mul_b"], p["sh_b"]))
            c = self.clip(shr(acc[f"c{n}"] * p["mul_c"], p["sh_c"]))
            at = max(0, min(511, (t[512 + entry] + p[f"l{n}"]) * 32 // 2048 + 12 * 32))
            drive = u * t[1536 + at] // 65536 if p["zoh"] else u
            self.xs[n] = self.clip(t[1024 + at] * self.xs[n] // 65536 + shr(b * drive, p["sh_bu"]))
            total += c * self.xs[n]
        return self.clip(shr(total, p["sh_cx"]) + shr(p["D"] * z, p["sh_dz"]))

    def words(self) -> list[int]:
        return [*self.xs, *super().words()[1:]]


def random_params(rng: np.random.Generator, n: int, states: int, zoh: bool, adaptive: bool, graded: bool, bits: int):
    def draw(low: int, high: int) -> Any:
        return rng.integers(low, high, n)

    top = 2 ** (bits - 1) - 1
    p: dict[str, Any] = {f"mul_{k}": rng.choice([1, 1, 20000], n) for k in "zdbc"}
    p |= {f"sh_{k}": draw(-3, 3) + 14 * (p[f"mul_{k}"] > 1) for k in "zdbc"}
    p |= {"b_z": draw(-top // 8, top // 8), "b_d": draw(-30000, 9000), "D": draw(-4096, 4096)}
    p |= {"sh_u": draw(10, 15), "sh_bu": draw(bits - 7, bits), "sh_cx": draw(bits - 7, bits), "sh_dz": draw(8, 13)}
    p |= {"zoh": np.full(n, int(zoh)), **{f"l{k}": draw(-6000, 6000) for k in range(states)}}
    p |= {"limit": np.full(n, top), "theta": draw(top // 32, top // 4), "n_ref": draw(0, 4), "hard": draw(0, 2)}
    p |= {"kap": draw(0, 32768), "beta": draw(1, 200) if adaptive else np.zeros(n, int), "rho_a": draw(0, 32768)}
    p |= {"graded": np.full(n, int(graded)), "sh_out": draw(-1, 5), "gain": draw(-(2**16), 2**17)}
    p |= {"sh_q": draw(14, 19), "wait": draw(0, 4), "p_vi": draw(0, 2**15), "sh_iv": draw(13, 17)}
    return p | {"rho": draw(0, 32768), "p_vr": draw(0, 2**15), "sh_rv": draw(13, 17), "b": draw(0, 2**15),
                "sh_ri": draw(13, 17)}  # fmt: skip


class Stepped(PlainS6):
    def step(self, acc: dict[str, int]) -> int:
        """Step the membrane of `PlainNeuron` behind this q: its own selective state passes q through as z (x = 0, D = 1)."""
        if self.wait:
            self.wait -= 1
            return 0
        q, p, limit = self.select(acc), self.p, self.p["limit"]
        own = {f"{k}_{port}": v for port in "zdc" for k, v in (("mul", 1), ("sh", 0), ("b", 0))}
        self.p = p | own | {"lut": 0, "D": 1, "sh_cx": 0, "sh_dz": 0, "limit": limit}
        self.table, kept = [0] * 256, self.table
        out = super().step({"z": q, "d": 0, "c": 0})
        self.p, self.table = p, kept
        return out


@pytest.mark.parametrize("psp", PSPS)
@pytest.mark.parametrize(("zoh", "adaptive", "graded"), [(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bits=st.sampled_from([12, 16, 24]), states=st.sampled_from([1, 2, 5]))
def test_kernel_equals_plain_python(
    psp: str, zoh: int, adaptive: int, graded: int, seed: int, bits: int, states: int
) -> None:
    rng = np.random.default_rng(seed)
    n, steps = 6, 25
    model = get(model_name("zoh" if zoh else "euler", psp, states, bool(adaptive), bool(graded)))
    params = random_params(rng, n, states, bool(zoh), bool(adaptive), bool(graded), bits)
    drive = rng.integers(-(2 ** (bits - 2)), 2 ** (bits - 2), (steps, 2 + 2 * states, n)).astype(np.int32)
    outs, words, saturated = run_kernel(model, params, TABLE, drive)
    plain = [Stepped(psp, states, bool(adaptive), {k: int(v[i]) for k, v in params.items()}) for i in range(n)]
    for t in range(steps):
        ports = [dict(zip(model.ports, drive[t, :, i].tolist(), strict=True)) for i in range(n)]
        assert outs[t].tolist() == [neuron.step(port) for neuron, port in zip(plain, ports, strict=True)]
        assert words[t].T.tolist() == [neuron.words() for neuron in plain]
    assert saturated == sum(neuron.saturated for neuron in plain)


def test_tables_hold_the_functions_at_the_middle_of_each_entry() -> None:
    t = tables()
    for k in range(512):
        delta = math.log1p(math.exp(-8 + (k + 0.5) / 32))
        assert abs(t["delta"][k] - min(delta * 2**DELTA_FRAC, 65535)) <= 0.5
        assert abs(t["log"][k] - math.log(delta) * 2**LOG_FRAC) <= 0.5
        y = math.exp(-12 + (k + 0.5) / 32)
        assert abs(t["decay"][k] - math.exp(-y) * 65536) <= 1.0  # half a unit, and one where 65536 does not fit
        assert abs(t["phi"][k] - (1 - math.exp(-y)) / y * 65536) <= 1.0


def test_projection_equals_plain_python() -> None:
    rng = np.random.default_rng(3)
    n, steps = 6, 40
    params = {"b": rng.integers(-900, 900, n), "mul": rng.choice([1, 17000], n), "limit": np.full(n, 2047)}
    params |= {"sh": np.where(params["mul"] > 1, 14, rng.integers(-2, 3, n)), "wait": np.full(n, 3)}
    drive = rng.integers(-3000, 3000, (steps, 1, n)).astype(np.int32)
    outs, _, saturated = run_kernel(get("s6_project"), params, np.zeros(1, np.int32), drive)
    count = 0
    for t in range(3, steps):
        exact = [shr(int(drive[t, 0, i]) * int(params["mul"][i]), int(params["sh"][i])) + int(params["b"][i])
                 for i in range(n)]  # fmt: skip
        kept = [max(-2048, min(2047, v)) for v in exact]
        count += sum(a != b for a, b in zip(exact, kept, strict=True))
        assert outs[t].tolist() == kept
    assert not np.any(outs[:3])
    assert saturated == count > 0


@pytest.mark.parametrize("psp", PSPS)
@pytest.mark.parametrize("discretisation", ["euler", "zoh"])
def test_float_twin_follows_the_integer_kernel(psp: str, discretisation: str) -> None:
    """With wide formats and the ports held still, x and V of both forms agree within the tables' steps of 1/32 of log Delta."""
    n, states, steps = 5, 3, 12
    rng = np.random.default_rng(1)
    z, d = rng.uniform(-1, 1, n), rng.uniform(-3, 1.5, n)
    b, c = rng.uniform(-1, 1, (2, states, n))
    frac, const = 12, {"kap": 0.7, "rho": 0.5, "p_vi": 0.3, "p_vr": 0.2, "b": 0.4, "gain": 0.6}
    model = get(model_name(discretisation, psp, states))
    floats = {**const, "b_z": z, "b_d": d, "D": 0.5, "theta": 1e3, "n_ref": 0, "hard": 0, "graded": 0}
    floats |= {"zoh": float(discretisation == "zoh"), **{f"l{k}": np.log(k + 1.0) for k in range(states)}}
    acc = {"z": np.zeros(n), "d": np.zeros(n)}
    acc |= {f"b{k}": b[k] for k in range(states)} | {f"c{k}": c[k] for k in range(states)}
    params: dict[str, Any] = {w.name: np.zeros(n, int) for w in model.params}
    params |= {k: np.full(n, round(v * 2**15)) for k, v in const.items() if k in params}
    params |= {"b_z": np.round(z * 2**frac), "b_d": np.round(d * 2**12), "D": np.full(n, 2**10)}
    params |= {f"mul_{k}": np.ones(n, int) for k in "zdbc"} | {"limit": np.full(n, 2**23 - 1)}
    params |= {"theta": np.full(n, 2**22), "zoh": np.full(n, int(discretisation == "zoh"))}
    params |= {f"l{k}": np.full(n, round(np.log(k + 1) * 2**11)) for k in range(states)}
    params |= {"sh_u": np.full(n, 13), "sh_bu": np.full(n, frac), "sh_cx": np.full(n, frac), "sh_dz": np.full(n, 11)}
    params |= {k: np.full(n, 15) for k in ("sh_q", "sh_iv", "sh_rv", "sh_ri") if k in params}
    drive = np.zeros((steps, len(model.ports), n), np.int32)
    drive[:, 2:] = np.round(np.concatenate([b, c]) * 2**frac)
    _, words, saturated = run_kernel(model, params, TABLE, drive)
    assert saturated == 0
    state = {name: np.zeros(n) for name in model.float_states}
    assert model.float_step is not None
    rows = [w.name for w in model.states]
    for t in range(steps):
        model.float_step(acc, state, floats)
        for name in ("x0", "x2", "V"):
            got = words[t][rows.index(name)] / 2.0**frac
            assert np.abs(got - state[name]).max() < 0.05 * np.abs(state[name]).max() + 0.01, (name, t)


def test_names_of_the_family() -> None:
    assert get("s6_zoh_delta_n16").ports == ("z", "d", *(f"b{k}" for k in range(16)), *(f"c{k}" for k in range(16)))
    for name in ("s6_zoh_delta_n0", "s6_zoh_delta_n65", "s6_zoh_delta_n04", "s6_tustin_delta_n4", "s6_zoh_delta_n4_x"):
        with pytest.raises(InputError, match="is not registered"):
            get(name)
