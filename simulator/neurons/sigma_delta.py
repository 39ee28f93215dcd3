"""Sigma-delta: sums the changes that arrive and sends the changes of its activation as graded spikes.

    sigma[t] = sigma[t-1] + acc[t]
    y = sigma + bias,  or max(y, 0) with relu
    d = y - sent[t-1];  sends d / 2^sh_out, rounded down, if |d| >= vth, and sent <- sent + d; else silent

so that what a receiver has summed differs from the activation by less than vth. In integers sigma keeps the accumulator's
own unit, int32, and nothing of it is rounded: sums of changes do not drift. y has f fractional bits: y = sigma mul / 2^sh,
to the nearest, ties up. A payload is kept within 16 signed bits; what is beyond is sent in later steps. sigma and y
saturate, counted. The neuron waits for its layer. vth is at least one unit of y.
Source: the sigma-delta neurons of Loihi 2's demonstrations (Orchard et al. 2021, arXiv:2111.03746) by their description.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import V_MAX, saturated
from simulator.neurons.membrane import PAYLOAD_LIMIT
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
    beyond = 0
    for i in range(lo, hi):
        out[i] = 0
        if state[2, i] > 0:
            state[2, i] -= 1
            continue
        sigma, over = saturated(int(state[0, i]) + int(acc[0, i]), V_MAX)
        beyond += over
        state[0, i] = sigma
        y, right = sigma * int(params[0, i]), int(params[1, i])
        y = (y + (1 << (right - 1))) >> right if right > 0 else y << -right
        y, over = saturated(y + int(params[2, i]), int(params[5, i]))
        beyond += over
        if params[4, i] != 0:
            y = max(y, 0)
        d = y - int(state[1, i])
        if d >= params[3, i] or -d >= params[3, i]:
            most = PAYLOAD_LIMIT << int(params[7, i])
            d = min(max(d, -most), most)
            out[i] = d >> int(params[7, i])
            state[1, i] += d
    return beyond


def _float_step(acc: dict[str, Floats], state: dict[str, Floats], params: Params) -> Floats:
    state["sigma"] = state["sigma"] + acc["in"]
    y = state["sigma"] + params["bias"]
    y = np.where(params["relu"] != 0, np.maximum(y, 0), y)
    d = y - state["sent"]
    out = np.where(np.abs(d) >= params["vth"], d, 0.0)
    state["sent"] = state["sent"] + out
    state.update(y=y, d=out)  # kept beside the states: calibration reads their ranges
    return np.asarray(out)


_BRIAN2 = """
sigma = sigma + acc_in
w = sigma + bias
y = int(relu > 0.5) * clip(w, 0, 1e300) + int(relu < 0.5) * w
out = (y - sent) * int(abs(y - sent) >= vth)
sent = sent + out
"""


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    drawn: dict[str, Any] = {"vth": dyadic(rng, n, 0.25, 1), "bias": dyadic(rng, n, -1, 1)}
    return drawn | {"relu": float(rng.integers(2))}


SIGMA_DELTA = register(
    NeuronModel(
        name="sigma_delta",
        ports=("in",),
        states=(
            Word("sigma", 32, meaning="sum of what arrived"),
            Word("sent", 24, meaning="sum of what was sent"),
            Word("wait", 8, signed=False, meaning="steps left before the first update"),
        ),
        params=(
            Word("mul", 16, meaning="scale of sigma before its shift (1 for power-of-two scales)"),
            Word("sh", 6, meaning="right shift from sigma to the binary point of y (negative: left)"),
            Word("bias", 24, meaning="added to the sum, binary point of y"),
            Word("vth", 24, signed=False, meaning="least change that is sent"),
            Word("relu", 1, signed=False, meaning="1: no activation below 0"),
            Word("limit", 24, signed=False, meaning="largest activation"),
            Word("wait", 8, signed=False, meaning="steps before the first update: the neuron's layer"),
            Word("sh_out", 4, signed=False, meaning="right shift from a change to its payload"),
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=1, add=5, state_read=2, state_write=2),
        emits="graded",
        float_states=("sigma", "sent"),
        initial={"wait": "wait"},
        fires="change of activation >= vth",
        defaults={"bias": 0, "relu": 1, "wait": 0, "sh_out": 0},
        brian2=_BRIAN2,
        traits=Traits(graded=True, membrane="sent", sends="sent"),
        lowering="bimhw.compiler.lower.sigma_delta",
        sample_params=_sample,
    )
)
