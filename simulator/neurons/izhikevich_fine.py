"""Izhikevich's neuron with all its coefficients and a step of its own, advanced as in its author's script.

    v' = v + dt (0.04 v^2 + k1 v + k0 - u + I)        [mV; I in mV / ms; dt in ms]
    u' = u + dt a (b v' + offset - decays u)
    fires if v' >= 30 mV; then v' <- c, u' <- u' + d

k1 = 5, k0 = 140, offset = 0, decays = 1 give the neuron of 2003; class 1 excitability and the integrator take k1 = 4.1, k0 = 108,
and accommodation u' = a b (v + 65) takes decays = 0, offset = 65 b (Izhikevich 2004, IEEE Trans. Neural Networks 15, and its
published script).

All words have 16 fractional bits, a dt has 24; 0.04 is 671089 / 2^24. Products are rounded to nearest; v and u are clipped to 26
bits, clips counted. I is the port accumulator: weights and graded spikes are in 1/65536 mV. ``izhikevich`` is the same neuron in
coarser words, with a step of 1 ms in two halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Traits, UpdateOps, Word, Words, register
from simulator.neurons.sampling import dyadic

FRAC, RATE_FRAC = 16, 24
ONE = 2**FRAC
V_MAX = 2**25 - 1
_PEAK = 30 * ONE
_SQUARE = 671089  # 0.04 in 1/2^24


@numba.njit(cache=True, nogil=True)
def _nearest(value: int, right: int) -> int:
    return (value + ((1 << right) >> 1)) >> right


@numba.njit(cache=True, nogil=True)
def _clip(x: int) -> int:
    return min(max(x, -V_MAX), V_MAX)


@numba.njit(cache=True, nogil=True)
def _kernel(
    acc: Words, state: Words, params: Words, table: Words, out: Words,
    lo: int, hi: int, step: int, seed: int, first_id: int,
) -> int:  # fmt: skip
    saturated = 0
    for i in range(lo, hi):
        v, u, current = int(state[0, i]), int(state[1, i]), int(acc[0, i]) + int(params[4, i])
        slope = _nearest(_nearest(v * v, FRAC) * _SQUARE, 24) + _nearest(int(params[5, i]) * v, FRAC)
        slope += int(params[6, i]) - u + current
        x = v + _nearest(int(params[9, i]) * slope, FRAC)
        pull = _nearest(int(params[1, i]) * x, FRAC) + int(params[7, i]) - int(params[8, i]) * u
        w = u + _nearest(int(params[0, i]) * pull, RATE_FRAC)
        out[i] = 0
        if x >= _PEAK:
            out[i] = 1
            x = int(params[2, i])
            w += int(params[3, i])
        v, u = _clip(x), _clip(w)
        saturated += int(v != x) + int(u != w)
        state[0, i], state[1, i] = v, u
    return saturated


def _float_step(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    v, u, dt = state["v"] / ONE, state["u"] / ONE, params["dt"] / ONE
    current = (acc["in"] + params["bias"] + params["k0"]) / ONE
    x = v + dt * (0.04 * v * v + params["k1"] / ONE * v + current - u)
    w = u + params["a"] / 2**RATE_FRAC * (params["b"] / ONE * x + params["offset"] / ONE - params["decays"] * u)
    fired = x * ONE >= _PEAK
    state["v"][:] = np.clip(np.where(fired, params["c"], x * ONE), -V_MAX, V_MAX)
    state["u"][:] = np.clip(np.where(fired, w * ONE + params["d"], w * ONE), -V_MAX, V_MAX)
    return np.asarray(fired, np.float64)


_BRIAN2 = """
p = v / 65536
q = u / 65536
y = 65536 * (p + dt / 65536 * (0.04 * p * p + k1 / 65536 * p + (acc_in + bias + k0) / 65536 - q))
w = 65536 * (q + a / 16777216 * (b / 65536 * (y / 65536) + offset / 65536 - decays * q))
out = int(y >= 1966080)
v = clip(out * c + (1 - out) * y, -33554431, 33554431)
u = clip(w + out * d, -33554431, 33554431)
"""
_DEFAULTS = {
    "a": 41943, "b": 13107, "c": -65 * ONE, "d": 8 * ONE, "bias": 0, "k1": 5 * ONE, "k0": 140 * ONE, "offset": 0, "decays": 1,
    "dt": ONE // 8, "v_init": -65 * ONE, "u_init": -13 * ONE,
}  # fmt: skip


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {k: float(v) for k, v in _DEFAULTS.items()} | {"bias": dyadic(rng, n, 0, 12 * ONE, 1)}


IZHIKEVICH_FINE = register(
    NeuronModel(
        name="izhikevich_fine",
        ports=("in",),
        states=(
            Word("v", 26, meaning="membrane potential, 1/65536 mV"),
            Word("u", 26, meaning="recovery, 1/65536 mV"),
        ),
        params=(
            Word("a", 26, meaning="rate of recovery times the step, 1/2^24"),
            Word("b", 18, meaning="sensitivity of recovery, 1/65536"),
            Word("c", 26, meaning="v after a spike, 1/65536 mV"),
            Word("d", 26, meaning="step of u at a spike, 1/65536 mV"),
            Word("bias", 26, meaning="constant current, 1/65536 mV/ms"),
            Word("k1", 20, meaning="linear coefficient, 1/65536"),
            Word("k0", 26, meaning="constant coefficient, 1/65536 mV/ms"),
            Word("offset", 26, meaning="constant part of the recovery's drive, 1/65536 mV"),
            Word("decays", 1, signed=False, meaning="1: the recovery decays"),
            Word("dt", 17, signed=False, meaning="the step, 1/65536 ms"),
            Word("v_init", 26, meaning="v before the first step"),
            Word("u_init", 26, meaning="u before the first step"),
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=7, add=16, state_read=2, state_write=2),
        float_states=("v", "u"),
        initial={"v": "v_init", "u": "u_init"},
        fires="v >= 30 mV",
        defaults=_DEFAULTS,
        brian2=_BRIAN2,
        traits=Traits(membrane="v"),
        sample_params=_sample,
        sample_weight=float(2 * ONE),
    )
)
