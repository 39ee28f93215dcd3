"""Loihi's current-based leaky integrate-and-fire compartment (CUBA-LIF), bit for bit.

    u[t] = sign(u) * ((|u| * (4096 - (du + 1))) >> 12) + (acc[t] << 6) [+ noise]   wraps to 24 bits
    v[t] = sign(v) * ((|v| * (4096 - dv)) >> 12) + u[t] + bias_mant * 2^bias_exp [+ noise]   clips to +-(2^23 - 1)
    while refractory v = 0;  fires if v > vth * 2^6 (strict), then v <- 0

where
    acc    sum of the *unshifted* effective weights `effective_weight` of the arriving spikes
    du     decay of the current, 0..4095; the hardware adds 1 to it     dv  decay of the voltage, 0..4096, without offset
    noise  trunc((r + 64 noise_mant) * 2^(noise_exp - 7)), r uniform in -127..127 (Philox, stream 0), added to u
           (noise_target 2), to v (1), or not at all (0)
    refractory  steps for which v is held at 0 after a spike (the hardware's register, 1..64, holds one more)

The decay rounds the magnitude that remains toward zero. Wraps of u and clips of v are counted as saturations.
Sources: Lava's fixed-point LIF, nengo-loihi's discretisation and emulator, brian2_loihi (facts only); they agree up to
the offset of du.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.base.random import STREAM_NEURON, random_word
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import HELD, saturated
from simulator.neurons.sampling import dyadic

V_MAX = 2**23 - 1
WEIGHT_MAX = (2**21 - 2**6) >> 6


@numba.njit(cache=True, nogil=True)
def _noise(seed: int, step: int, logical_id: int, mant: int, exp: int) -> int:
    word = int(random_word(seed, step, logical_id, STREAM_NEURON))
    r = ((word >> 8) * 255 >> 24) - 127 + 64 * mant
    if exp >= 7:
        return r << (exp - 7)
    shift = 7 - exp
    return r >> shift if r >= 0 else -(-r >> shift)


@numba.njit(cache=True, nogil=True)
def _decay(x: int, keep: int) -> int:
    return (x * keep) >> 12 if x >= 0 else -((-x * keep) >> 12)


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
    u, v, held = state[0], state[1], state[2]
    du, dv, vth, bias_mant, bias_exp, refractory = params[0], params[1], params[2], params[3], params[4], params[5]
    noise_target, noise_exp, noise_mant = params[6], params[7], params[8]
    beyond = 0
    for i in range(lo, hi):
        noise = 0
        if noise_target[i] != 0:
            noise = int(_noise(seed, step, first_id + i, int(noise_mant[i]), int(noise_exp[i])))
        x = _decay(int(u[i]), 4095 - int(du[i])) + (int(acc[0, i]) << 6)
        if noise_target[i] == 2:
            x += noise
        wrapped = ((x + (1 << 23)) & ((1 << 24) - 1)) - (1 << 23)
        if wrapped != x:
            beyond += 1
        u[i] = wrapped
        y = _decay(int(v[i]), 4096 - int(dv[i])) + wrapped + (int(bias_mant[i]) << int(bias_exp[i]))
        if noise_target[i] == 1:
            y += noise
        y, over = saturated(y, V_MAX)
        beyond += over
        out[i] = 0
        if held[i] > 0:
            held[i] -= 1
            y = 0
        elif y > (int(vth[i]) << 6):
            out[i] = 1
            held[i] = refractory[i]
            y = 0
        v[i] = y
    return beyond


def _float_step(
    acc: dict[str, Floats],
    state: dict[str, Floats],
    params: Params,
) -> Floats:
    state["u"][:] = state["u"] * (1 - (params["du"] + 1) / 4096) + 64 * acc["in"]
    v = state["v"] * (1 - params["dv"] / 4096) + state["u"] + params["bias_mant"] * 2.0 ** params["bias_exp"]
    held = state["held"] > 0
    fired = ~held & (v > 64 * params["vth"])
    state["v"][:] = np.where(held | fired, 0, v)
    state["held"][:] = np.where(fired, params["refractory"], np.maximum(state["held"] - 1, 0))
    return fired.astype(np.float64)


_BRIAN2_REST = """
free = int(held < 0.5)
out = free * int(y > 64 * vth)
v = free * (1 - out) * y
held = out * refractory + (1 - out) * clip(held - 1, 0, 64)
"""
_BRIAN2 = (
    """
u = u * (1 - (du + 1) / 4096) + 64 * acc_in
y = v * (1 - dv / 4096) + u + bias_mant * 2**bias_exp"""
    + _BRIAN2_REST
)
_BRIAN2_INTEGER = (
    """
u = sign(u) * floor(abs(u) * (4095 - du) / 4096) + 64 * acc_in
u = u - 16777216 * floor((u + 8388608) / 16777216)
y = clip(sign(v) * floor(abs(v) * (4096 - dv) / 4096) + u + bias_mant * 2**bias_exp, -8388607, 8388607)"""
    + _BRIAN2_REST
)


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    drawn = {"du": dyadic(rng, n, 100, 3000, 1), "dv": dyadic(rng, n, 10, 2000, 1), "vth": dyadic(rng, n, 5, 60, 1)}
    fixed = {"bias_exp": 6.0, "refractory": float(rng.integers(3)), "noise_target": 0.0}
    return drawn | fixed | {"bias_mant": dyadic(rng, n, 0, 40, 1), "noise_exp": 0.0, "noise_mant": 0.0}


LOIHI_CUBA = register(
    NeuronModel(
        name="loihi_cuba",
        ports=("in",),
        states=(
            Word("u", 24, meaning="synaptic current"),
            Word("v", 24, meaning="membrane potential"),
            HELD,
        ),
        params=(
            Word("du", 12, signed=False, meaning="decay of u, 1 is added to it"),
            Word("dv", 13, signed=False, meaning="decay of v"),
            Word("vth", 17, signed=False, meaning="threshold mantissa, << 6"),
            Word("bias_mant", 13, meaning="bias mantissa"),
            Word("bias_exp", 3, signed=False, meaning="bias exponent"),
            Word("refractory", 6, signed=False, meaning="steps held at 0 after a spike"),
            Word("noise_target", 2, signed=False, meaning="0 none, 1 v, 2 u"),
            Word("noise_exp", 5, signed=False, meaning="noise exponent"),
            Word("noise_mant", 8, meaning="noise offset, in 64 units of r"),
            Word("v_init", 24, meaning="v before the first step"),
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=2, add=4, state_read=3, state_write=3),
        float_states=("u", "v", "held"),
        initial={"v": "v_init"},
        fires="V > theta",
        defaults={
            "bias_mant": 0, "bias_exp": 0, "refractory": 0, "noise_target": 0, "noise_exp": 0, "noise_mant": 0,
            "v_init": 0,
        },
        brian2=_BRIAN2,
        brian2_integer=_BRIAN2_INTEGER,
        traits=Traits(membrane="v", noise="noise_target"),
        lowering="bimhw.compiler.lower.loihi",
        sample_params=_sample,
        sample_weight=8.0,
    )
)  # fmt: skip
