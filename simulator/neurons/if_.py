"""Integrate-and-fire without leak: the neuron of rate-coded converted networks.

    V[t] = V[t-1] + acc[t] + bias
    fires if V >= vth;  on a spike V <- V - vth if soft else v_reset

where V is int32 and saturates at +-(2^31 - 1), counted.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import BIAS, SOFT, V_INIT, V_MAX, V_RESET, VTH, reset, sample_fire, saturated


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
    bias, vth, v_reset, soft = params[0], params[1], params[2], params[3]
    beyond = 0
    for i in range(lo, hi):
        x = int(v[i]) + int(acc[0, i]) + int(bias[i])
        x, over = saturated(x, V_MAX)
        beyond += over
        out[i] = 0
        if x >= vth[i]:
            out[i] = 1
            x, over = reset(x, int(vth[i]), int(v_reset[i]), int(soft[i]))
            beyond += over
        v[i] = x
    return beyond


def _float_step(
    acc: dict[str, Floats],
    state: dict[str, Floats],
    params: Params,
) -> Floats:
    x = state["v"] + acc["in"] + params["bias"]
    fired = x >= params["vth"]
    after = np.where(params["soft"] != 0, x - params["vth"], params["v_reset"])
    state["v"][:] = np.where(fired, after, x)
    return np.asarray(fired, np.float64)


_BRIAN2 = """
y = v + acc_in + bias
out = int(y >= vth)
v = (1 - out) * y + out * (int(soft > 0.5) * (y - vth) + int(soft < 0.5) * v_reset)
"""

IF = register(
    NeuronModel(
        name="if",
        ports=("in",),
        states=(Word("v", 32, meaning="membrane potential"),),
        params=(
            BIAS,
            VTH,
            V_RESET,
            SOFT,
            V_INIT,
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(add=3, state_read=1, state_write=1),
        float_states=("v",),
        initial={"v": "v_init"},
        fires="V >= vth",
        defaults={"bias": 0, "v_reset": 0, "soft": 0, "v_init": 0},
        brian2=_BRIAN2,
        brian2_integer=_BRIAN2,
        traits=Traits(membrane="v"),
        lowering="bimhw.compiler.lower.lif",
        sample_params=sample_fire,
        sample_weight=16.0,
    )
)
