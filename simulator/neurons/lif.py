"""Plain leaky integrate-and-fire with one port and no synaptic current.

    V[t] = trunc(V[t-1] * (4096 - dv) / 4096) + acc[t] + bias        (trunc: toward zero)
    fires if refractory count is 0 and (V > vth if strict else V >= vth);
    on a spike V <- V - vth if soft else v_reset, and the neuron is held for `refractory` steps:
    while held V stays at v_reset (soft: keeps decaying and integrating) and nothing fires.

where
    acc   sum of the arriving weights, shifted by the exponents of their projections  [V units]
    dv    decay, 0 (no leak) .. 4096 (no memory), in 1/4096 a step
    V     int32, saturating at +-(2^31 - 1), saturations counted

dv = 512 is the rule V * 7/8. `initial_v` gives the parameter ``v_init`` that makes the first step start from a given V
without decay.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import BIAS, HELD, SOFT, V_INIT, V_MAX, V_RESET, VTH, reset, sample_fire, saturated
from simulator.neurons.sampling import dyadic


def initial_v(v_first: I64, dv: int) -> I32:
    """Return the smallest |V| whose decayed value is `v_first`: what the state must hold before step 0. Needs dv < 4096."""
    keep = 4096 - dv
    magnitude = -((-np.abs(v_first).astype(np.int64) * 4096) // keep)
    return (np.sign(v_first) * magnitude).astype(np.int32)


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
    v, held = state[0], state[1]
    dv, bias, vth, v_reset, refractory, soft, strict = (
        params[0], params[1], params[2], params[3], params[4], params[5], params[6]
    )  # fmt: skip
    beyond = 0
    for i in range(lo, hi):
        p = int(v[i]) * (4096 - int(dv[i]))
        x = (p + (4095 & (p >> 63))) >> 12  # toward zero
        x += int(acc[0, i]) + int(bias[i])
        x, over = saturated(x, V_MAX)
        beyond += over
        out[i] = 0
        if held[i] > 0:
            held[i] -= 1
            if soft[i] == 0:
                x = int(v_reset[i])
        elif x > vth[i] or (strict[i] == 0 and x == vth[i]):
            out[i] = 1
            held[i] = refractory[i]
            x, over = reset(x, int(vth[i]), int(v_reset[i]), int(soft[i]))
            beyond += over
        v[i] = x
    return beyond


def _float_step(
    acc: dict[str, Floats],
    state: dict[str, Floats],
    params: Params,
) -> Floats:
    x = state["v"] * (1 - params["dv"] / 4096) + acc["in"] + params["bias"]
    held, soft = state["held"] > 0, params["soft"] != 0
    over = np.where(params["strict"] != 0, x > params["vth"], x >= params["vth"])
    fired = over & ~held
    x = np.where(held & ~soft, params["v_reset"], x)
    state["v"][:] = np.where(fired, np.where(soft, x - params["vth"], params["v_reset"]), x)
    state["held"][:] = np.where(fired, params["refractory"], np.maximum(state["held"] - 1, 0))
    return fired.astype(np.float64)


_BRIAN2_REST = """
over = int(strict > 0.5) * int(y > vth) + int(strict < 0.5) * int(y >= vth)
out = over * int(held < 0.5)
k = int(held > 0.5) * int(soft < 0.5)
y = k * v_reset + (1 - k) * y
v = (1 - out) * y + out * (int(soft > 0.5) * (y - vth) + int(soft < 0.5) * v_reset)
held = out * refractory + (1 - out) * clip(held - 1, 0, 64)
"""
_BRIAN2 = "y = v * (1 - dv / 4096) + acc_in + bias" + _BRIAN2_REST
_BRIAN2_INTEGER = "y = sign(v) * floor(abs(v) * (4096 - dv) / 4096) + acc_in + bias" + _BRIAN2_REST


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    own = {"dv": dyadic(rng, n, 0, 2000, 1), "refractory": float(rng.integers(4)), "strict": float(rng.integers(2))}
    return sample_fire(rng, n) | own


LIF = register(
    NeuronModel(
        name="lif",
        ports=("in",),
        states=(
            Word("v", 32, meaning="membrane potential"),
            HELD,
        ),
        params=(
            Word("dv", 13, signed=False, meaning="decay a step, in 1/4096"),
            BIAS,
            VTH,
            V_RESET,
            Word("refractory", 6, signed=False, meaning="steps held after a spike"),
            SOFT,
            Word("strict", 1, signed=False, meaning="1: fires at V > vth, 0: at V >= vth"),
            V_INIT,
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=1, add=3, state_read=2, state_write=2),
        float_states=("v", "held"),
        initial={"v": "v_init"},
        fires="V > vth (strict) or V >= vth",
        defaults={"bias": 0, "v_reset": 0, "refractory": 0, "soft": 0, "strict": 0, "v_init": 0},
        brian2=_BRIAN2,
        brian2_integer=_BRIAN2_INTEGER,
        traits=Traits(membrane="v"),
        lowering="bimhw.compiler.lower.lif",
        sample_params=_sample,
        sample_weight=16.0,
    )
)
