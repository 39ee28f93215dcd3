"""Izhikevich's neuron (IEEE Trans. Neural Networks 14, 2003), one step = 1 ms, v advanced in two half steps.

    v <- v + (0.04 v^2 + 5 v + 140 - u + I) / 2      twice        [mV; I in mV / ms]
    u <- u + a (b v - u)
    fires if v >= 30 mV; then v <- c, u <- u + d

where v, u, I, c, d are held in 1/256 mV (24-bit words, clipped, clips counted) and a, b in 1/2^16. Products are rounded
toward minus infinity; 0.04 is 10486 / 2^18. I is the port accumulator: weights are in 1/256 mV.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.sampling import dyadic

V_MAX = 2**23 - 1
V_PEAK = 30 * 256


@numba.njit(cache=True, nogil=True)
def _clip(x: int) -> int:
    return min(max(x, -V_MAX), V_MAX)


@numba.njit(cache=True, nogil=True)
def _kernel(
    acc: Words,
    state: Words,
    params: Words,
    table: Words,
    out: Words,
    lo: int,
    hi: int,
    step: int,
    seed: int,
    first_id: int,
) -> int:
    saturated = 0
    for i in range(lo, hi):
        v, u, current = int(state[0, i]), int(state[1, i]), int(acc[0, i]) + int(params[4, i])
        for _ in range(2):
            slope = ((v * v * 10486) >> 26) + 5 * v + 140 * 256 - u + current
            x = v + (slope >> 1)
            v = _clip(x)
            saturated += int(x != v)
        x = u + ((int(params[0, i]) * (((int(params[1, i]) * v) >> 16) - u)) >> 16)
        out[i] = 0
        if v >= V_PEAK:
            out[i] = 1
            v = int(params[2, i])
            x += int(params[3, i])
        u = _clip(x)
        saturated += int(x != u)
        state[0, i], state[1, i] = v, u
    return saturated


def _float_step(
    acc: dict[str, Floats],
    state: dict[str, Floats],
    params: Params,
) -> Floats:
    v, u = state["v"], state["u"]
    for _ in range(2):
        v = np.clip(v + (0.04 / 256 * v * v + 5 * v + 140 * 256 - u + acc["in"] + params["bias"]) / 2, -V_MAX, V_MAX)
    u = u + params["a"] / 65536 * (params["b"] / 65536 * v - u)
    fired = v >= V_PEAK
    state["v"][:] = np.where(fired, params["c"], v)
    state["u"][:] = np.where(fired, u + params["d"], u)
    return fired.astype(np.float64)


_BRIAN2 = """
y = clip(v + (0.04 / 256 * v * v + 5 * v + 35840 - u + acc_in + bias) / 2, -8388607, 8388607)
y = clip(y + (0.04 / 256 * y * y + 5 * y + 35840 - u + acc_in + bias) / 2, -8388607, 8388607)
w = u + a / 65536 * (b / 65536 * y - u)
out = int(y >= 7680)
v = out * c + (1 - out) * y
u = w + out * d
"""


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    regular = {"a": 1311.0, "b": 13107.0, "c": -16640.0, "d": 2048.0, "v_init": -16640.0, "u_init": -3328.0}
    return regular | {"bias": dyadic(rng, n, 0, 3000, 1)}


IZHIKEVICH = register(
    NeuronModel(
        name="izhikevich",
        ports=("in",),
        states=(
            Word("v", 24, meaning="membrane potential, 1/256 mV"),
            Word("u", 24, meaning="recovery, 1/256 mV"),
        ),
        params=(
            Word("a", 17, meaning="rate of recovery, 1/2^16"),
            Word("b", 17, meaning="sensitivity of recovery, 1/2^16"),
            Word("c", 24, meaning="v after a spike, 1/256 mV"),
            Word("d", 24, meaning="step of u at a spike, 1/256 mV"),
            Word("bias", 24, meaning="constant current, 1/256 mV/ms"),
            Word("v_init", 24, meaning="v before the first step"),
            Word("u_init", 24, meaning="u before the first step"),
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=6, add=14, state_read=2, state_write=2),
        float_states=("v", "u"),
        initial={"v": "v_init", "u": "u_init"},
        fires="v >= 30 mV",
        defaults={"a": 1311, "b": 13107, "c": -16640, "d": 2048, "bias": 0, "v_init": -16640, "u_init": -3328},
        brian2=_BRIAN2,
        traits=Traits(membrane="v"),
        sample_params=_sample,
        sample_weight=512.0,
    )
)
