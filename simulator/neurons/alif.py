"""Adaptive leaky integrate-and-fire: each spike raises the threshold, which then decays.

    A[t] = trunc(A[t-1] (4096 - da) / 4096)
    V[t] = trunc(V[t-1] (4096 - dv) / 4096) + acc[t] + bias        (trunc: toward zero)
    fires if V >= vth + A;  then V <- V - vth - A if soft else v_reset, and A <- A + jump

``adaptive_cuba`` has a synaptic current before it, which acts in the same step:

    U[t] = trunc(U[t-1] (4096 - du) / 4096) + acc[t] + bias_u,      V with U[t] in place of acc[t]

where U, A and V are int32 and saturate at +-(2^31 - 1), counted. The neuron waits for its layer.
Source: Bellec et al. 2018, arXiv:1803.09574 (the LSNN's ALIF, in discrete time).
"""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import BIAS, SOFT, V_MAX, V_RESET, VTH, saturated
from simulator.neurons.sampling import dyadic


@numba.njit(cache=True, nogil=True)
def _decayed(value: int, decay: int) -> int:
    """Return value (4096 - decay) / 4096, toward zero."""
    p = value * (4096 - decay)
    return (p + (4095 & (p >> 63))) >> 12


@numba.njit(cache=True, nogil=True)
def _update(i: int, arrived: int, state: Words, params: Words, out: Words) -> int:
    """Update V and A, and fire; returns the saturated words."""
    a = _decayed(int(state[1, i]), int(params[1, i]))
    x, beyond = saturated(_decayed(int(state[0, i]), int(params[0, i])) + arrived + int(params[2, i]), V_MAX)
    threshold = int(params[3, i]) + a
    if x >= threshold:
        out[i] = 1
        x, over = saturated(x - threshold if params[6, i] != 0 else int(params[4, i]), V_MAX)
        beyond += over
        a, over = saturated(a + int(params[5, i]), V_MAX)
        beyond += over
    state[0, i], state[1, i] = x, a
    return beyond


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
    beyond = 0
    for i in range(lo, hi):
        out[i] = 0
        if state[2, i] > 0:
            state[2, i] -= 1
        else:
            beyond += _update(i, int(acc[0, i]), state, params, out)
    return beyond


@numba.njit(cache=True, nogil=True)
def _cuba_kernel(
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
    beyond = 0
    for i in range(lo, hi):
        out[i] = 0
        if state[2, i] > 0:
            state[2, i] -= 1
            continue
        u, over = saturated(_decayed(int(state[3, i]), int(params[8, i])) + int(acc[0, i]) + int(params[9, i]), V_MAX)
        state[3, i] = u
        beyond += over + _update(i, u, state, params, out)
    return beyond


def _float_step(acc: dict[str, Floats], state: dict[str, Floats], params: Params) -> Floats:
    return _float_update(acc["in"], state, params)


def _float_cuba(acc: dict[str, Floats], state: dict[str, Floats], params: Params) -> Floats:
    state["u"] = state["u"] * (1 - params["du"] / 4096) + acc["in"] + params["bias_u"]
    return _float_update(state["u"], state, params)


def _float_update(arrived: Floats, state: dict[str, Floats], params: Params) -> Floats:
    a = state["a"] * (1 - params["da"] / 4096)
    x = state["v"] * (1 - params["dv"] / 4096) + arrived + params["bias"]
    fired = x >= params["vth"] + a
    after = np.where(params["soft"] != 0, x - params["vth"] - a, params["v_reset"])
    state["v"], state["a"] = np.where(fired, after, x), np.where(fired, a + params["jump"], a)
    return np.asarray(fired, np.float64)


_BRIAN2_FIRE = """
out = int(y >= vth + w)
v = (1 - out) * y + out * (int(soft > 0.5) * (y - vth - w) + int(soft < 0.5) * v_reset)
a = w + out * jump
"""
_BRIAN2_START = "w = a * (1 - da / 4096)\ny = v * (1 - dv / 4096) + "
_BRIAN2 = _BRIAN2_START + "acc_in + bias" + _BRIAN2_FIRE
_BRIAN2_CUBA = "u = u * (1 - du / 4096) + acc_in + bias_u\n" + _BRIAN2_START + "u + bias" + _BRIAN2_FIRE


def _sample(rng: np.random.Generator, n: int) -> dict[str, Floats | float]:
    drawn: dict[str, Floats | float] = {"dv": dyadic(rng, n, 0, 2000, 1), "da": dyadic(rng, n, 10, 400, 1)}
    drawn |= {"vth": dyadic(rng, n, 16, 60), "jump": dyadic(rng, n, 4, 40), "bias": dyadic(rng, n, -2, 6)}
    return drawn | {"v_reset": dyadic(rng, n, -8, 0), "soft": float(rng.integers(2))}


def _sample_cuba(rng: np.random.Generator, n: int) -> dict[str, Floats | float]:
    return _sample(rng, n) | {"du": dyadic(rng, n, 1000, 4096, 1), "bias_u": dyadic(rng, n, -1, 1)}


_STATES = (
    Word("v", 32, meaning="membrane potential"),
    Word("a", 32, meaning="raised part of the threshold"),
    Word("wait", 8, signed=False, meaning="steps left before the first update"),
)
_PARAMS = (
    Word("dv", 13, signed=False, meaning="decay of v a step, in 1/4096", decay=True),
    Word("da", 13, signed=False, meaning="decay of a a step, in 1/4096", decay=True),
    BIAS,
    VTH,
    V_RESET,
    Word("jump", 32, meaning="rise of the threshold at a spike", unit="in"),
    SOFT,
    Word("wait", 8, signed=False, meaning="steps before the first update: the neuron's layer"),
)
ALIF = register(
    NeuronModel(
        name="adaptive_lif",
        ports=("in",),
        states=_STATES,
        params=_PARAMS,
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=2, add=5, state_read=2, state_write=2),
        float_states=("v", "a"),
        initial={"wait": "wait"},
        fires="V >= vth + A",
        defaults={"bias": 0, "v_reset": 0, "soft": 0, "wait": 0},
        brian2=_BRIAN2,
        traits=Traits(adaptive=True, membrane="v", fine_bits=6),
        sample_params=_sample,
        sample_weight=16.0,
    )
)
CUBA = register(
    replace(
        ALIF,
        name="adaptive_cuba",
        states=(*_STATES, Word("u", 32, meaning="synaptic current")),
        params=(
            *_PARAMS,
            Word("du", 13, signed=False, meaning="decay of u a step, in 1/4096", decay=True),
            Word("bias_u", 32, meaning="added to the current at every step", unit="in"),
        ),
        kernel=_cuba_kernel,
        float_step=_float_cuba,
        ops=UpdateOps(mul=3, add=7, state_read=3, state_write=3),
        float_states=("v", "a", "u"),
        defaults={**ALIF.defaults, "bias_u": 0},
        brian2=_BRIAN2_CUBA,
        family="adaptive_cuba",
        sample_params=_sample_cuba,
    )
)
