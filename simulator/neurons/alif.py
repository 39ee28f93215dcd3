"""Adaptive leaky integrate-and-fire: each spike raises the threshold, which then decays.

    A[t] = trunc(A[t-1] (4096 - da) / 4096)
    V[t] = trunc(V[t-1] (4096 - dv) / 4096) + acc[t] + bias        (trunc: toward zero)
    fires if V >= vth + A;  then V <- V - vth - A if soft else v_reset, and A <- A + jump

where V and A are int32 and saturate at +-(2^31 - 1), counted. The neuron waits for its layer.
Source: Bellec et al. 2018, arXiv:1803.09574 (the LSNN's ALIF, in discrete time).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simulator.neurons.base import NeuronModel, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import BIAS, SOFT, V_MAX, V_RESET, VTH, saturated
from simulator.neurons.sampling import dyadic

Floats = npt.NDArray[np.float64]


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
    dv, da, bias, vth, v_reset, jump, soft = (
        params[0], params[1], params[2], params[3], params[4], params[5], params[6]
    )  # fmt: skip
    beyond = 0
    for i in range(lo, hi):
        out[i] = 0
        if state[2, i] > 0:
            state[2, i] -= 1
            continue
        p = int(state[1, i]) * (4096 - int(da[i]))
        a = (p + (4095 & (p >> 63))) >> 12
        p = int(state[0, i]) * (4096 - int(dv[i]))
        x, over = saturated(((p + (4095 & (p >> 63))) >> 12) + int(acc[0, i]) + int(bias[i]), V_MAX)
        beyond += over
        threshold = int(vth[i]) + a
        if x >= threshold:
            out[i] = 1
            x, over = saturated(x - threshold if soft[i] != 0 else int(v_reset[i]), V_MAX)
            beyond += over
            a, over = saturated(a + int(jump[i]), V_MAX)
            beyond += over
        state[0, i], state[1, i] = x, a
    return beyond


def _float_step(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, npt.NDArray[Any]]) -> Floats:
    a = state["a"] * (1 - params["da"] / 4096)
    x = state["v"] * (1 - params["dv"] / 4096) + acc["in"] + params["bias"]
    fired = x >= params["vth"] + a
    after = np.where(params["soft"] != 0, x - params["vth"] - a, params["v_reset"])
    state["v"], state["a"] = np.where(fired, after, x), np.where(fired, a + params["jump"], a)
    return np.asarray(fired, np.float64)


_BRIAN2_REST = """
out = int(y >= vth + w)
v = (1 - out) * y + out * (int(soft > 0.5) * (y - vth - w) + int(soft < 0.5) * v_reset)
a = w + out * jump
"""


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    drawn: dict[str, Any] = {"dv": dyadic(rng, n, 0, 2000, 1), "da": dyadic(rng, n, 10, 400, 1)}
    drawn |= {"vth": dyadic(rng, n, 16, 60), "jump": dyadic(rng, n, 4, 40), "bias": dyadic(rng, n, -2, 6)}
    return drawn | {"v_reset": dyadic(rng, n, -8, 0), "soft": float(rng.integers(2))}


ALIF = register(
    NeuronModel(
        name="adaptive_lif",
        ports=("in",),
        states=(
            Word("v", 32, meaning="membrane potential"),
            Word("a", 32, meaning="raised part of the threshold"),
            Word("wait", 8, signed=False, meaning="steps left before the first update"),
        ),
        params=(
            Word("dv", 13, signed=False, meaning="decay of v a step, in 1/4096"),
            Word("da", 13, signed=False, meaning="decay of a a step, in 1/4096"),
            BIAS,
            VTH,
            V_RESET,
            Word("jump", 32, meaning="rise of the threshold at a spike", unit="in"),
            SOFT,
            Word("wait", 8, signed=False, meaning="steps before the first update: the neuron's layer"),
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=2, add=5, state_read=2, state_write=2),
        float_states=("v", "a"),
        initial={"wait": "wait"},
        fires="V >= vth + A",
        defaults={"bias": 0, "v_reset": 0, "soft": 0, "wait": 0},
        brian2="w = a * (1 - da / 4096)\ny = v * (1 - dv / 4096) + acc_in + bias" + _BRIAN2_REST,
        traits=Traits(adaptive=True, membrane="v", fine_bits=6),
        sample_params=_sample,
        sample_weight=16.0,
    )
)
