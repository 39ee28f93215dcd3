"""Leaky integrator that never fires; its state is read by a probe.

    V[t] = trunc(V[t-1] * (4096 - dv) / 4096) + acc[t] + bias        (trunc: toward zero)

where dv is the decay in 1/4096 a step (0: perfect integrator) and V is int32, saturating at +-(2^31 - 1), counted.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import BIAS, V_INIT, V_MAX, saturated
from simulator.neurons.sampling import dyadic


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
    v = state[0]
    dv, bias = params[0], params[1]
    beyond = 0
    for i in range(lo, hi):
        p = int(v[i]) * (4096 - int(dv[i]))
        x = ((p + (4095 & (p >> 63))) >> 12) + int(acc[0, i]) + int(bias[i])
        x, over = saturated(x, V_MAX)
        beyond += over
        v[i] = x
        out[i] = 0
    return beyond


def _float_step(
    acc: dict[str, Floats],
    state: dict[str, Floats],
    params: Params,
) -> Floats:
    state["v"][:] = state["v"] * (1 - params["dv"] / 4096) + acc["in"] + params["bias"]
    return np.zeros_like(state["v"])


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {"bias": dyadic(rng, n, -4, 8), "v_init": dyadic(rng, n, -8, 8), "dv": dyadic(rng, n, 1, 2000, 1)}


LI = register(
    NeuronModel(
        name="li",
        ports=("in",),
        states=(Word("v", 32, meaning="membrane potential"),),
        params=(
            Word("dv", 13, signed=False, meaning="decay a step, in 1/4096"),
            BIAS,
            V_INIT,
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=1, add=2, state_read=1, state_write=1),
        emits="none",
        float_states=("v",),
        initial={"v": "v_init"},
        fires="never",
        defaults={"bias": 0, "v_init": 0},
        brian2="v = v * (1 - dv / 4096) + acc_in + bias",
        brian2_integer="v = sign(v) * floor(abs(v) * (4096 - dv) / 4096) + acc_in + bias",
        traits=Traits(membrane="v"),
        lowering="bimhw.compiler.lower.lif",
        sample_params=_sample,
        sample_weight=16.0,
    )
)
