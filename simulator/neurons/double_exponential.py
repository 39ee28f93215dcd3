"""Double-exponential neuron: its membrane is a gain times the difference of two decaying currents of one input.

    slow[t] = keep_slow slow[t-1] + x[t],   fast[t] = keep_fast fast[t-1] + x[t],   x = acc + bias
    v[t] = gain (slow[t] - fast[t]),        fires if v > vth

A reset acts in the step after the spike, where v[t-1] > vth, by its number:

    0  slow = fast = v = 0: the step's input is lost
    1  v[t] = gain (slow[t] - fast[t]) - fast[t-1];   then slow[t] <- slow[t] - vth, fast[t] <- 0
    2  none

Integers: keep_slow and keep_fast in 1/2^16, gain in 1/2^12; products are rounded to the nearest, ties up; slow, fast and v are
int32 and saturate at +-(2^31 - 1), counted. The neuron waits for its layer.
Source: snnTorch 1.0.0, `Alpha` (a spike response model), whose reset by subtraction is reset 1.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import BIAS, V_MAX, VTH, saturated
from simulator.neurons.sampling import dyadic

KEEP_ONE, GAIN_ONE = 2**16, 2**12  # a keep and a gain of 1
CLEAR, SUBTRACT, NONE = range(3)


@numba.njit(cache=True, nogil=True)
def _decayed(value: int, keep: int, x: int) -> tuple[int, int]:
    """Return (value keep / 2^16 + x, 1 if saturated)."""
    return saturated(((value * keep + (1 << 15)) >> 16) + x, V_MAX)


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
        if state[3, i] > 0:
            state[3, i] -= 1
            continue
        vth, x, before = int(params[4, i]), int(acc[0, i]) + int(params[3, i]), int(state[1, i])
        spiked = int(state[2, i]) > vth
        if spiked and params[5, i] == 0:
            state[0, i], state[1, i], state[2, i] = 0, 0, 0
            out[i] = 1 if vth < 0 else 0
            continue
        slow, over = _decayed(int(state[0, i]), int(params[0, i]), x)
        beyond += over
        fast, over = _decayed(before, int(params[1, i]), x)
        beyond += over
        v = ((slow - fast) * int(params[2, i]) + (1 << 11)) >> 12
        if spiked and params[5, i] == 1:
            v -= before
            slow, over = saturated(slow - vth, V_MAX)
            beyond += over
            fast = 0
        v, over = saturated(v, V_MAX)
        beyond += over
        state[0, i], state[1, i], state[2, i] = slow, fast, v
        out[i] = 1 if v > vth else 0
    return beyond


def _float_step(acc: dict[str, Floats], state: dict[str, Floats], params: Params) -> Floats:
    x, before = acc["in"] + params["bias"], state["fast"]
    spiked = state["v"] > params["vth"]
    clear, subtract = spiked & (params["reset"] == CLEAR), spiked & (params["reset"] == SUBTRACT)
    slow = params["keep_slow"] / KEEP_ONE * state["slow"] + x
    fast = params["keep_fast"] / KEEP_ONE * before + x
    v = params["gain"] / GAIN_ONE * (slow - fast)
    v = np.where(clear, 0.0, np.where(subtract, v - before, v))
    state["slow"] = np.where(clear, 0.0, np.where(subtract, slow - params["vth"], slow))
    state["fast"], state["v"] = np.where(clear | subtract, 0.0, fast), v
    return np.asarray(v > params["vth"], np.float64)


_BRIAN2 = """
x = acc_in + bias
k = int(v > vth) * int(reset < 0.5)
r = int(v > vth) * int(abs(reset - 1) < 0.5)
a = keep_slow / 65536 * slow + x
b = keep_fast / 65536 * fast + x
y = gain / 4096 * (a - b) - r * fast
slow = (1 - k) * (a - r * vth)
fast = (1 - k) * (1 - r) * b
v = (1 - k) * y
out = int(v > vth)
"""


def _sample(rng: np.random.Generator, n: int) -> dict[str, Floats | float]:
    drawn: dict[str, Floats | float] = {"keep_slow": KEEP_ONE * dyadic(rng, n, 0.5, 0.95)}
    drawn |= {"keep_fast": KEEP_ONE * dyadic(rng, n, 0.1, 0.4), "gain": GAIN_ONE * dyadic(rng, n, 1, 3)}
    drawn |= {"bias": dyadic(rng, n, -2, 6), "vth": dyadic(rng, n, 16, 60)}
    return drawn | {"reset": float(rng.integers(3))}


DOUBLE_EXPONENTIAL = register(
    NeuronModel(
        name="double_exponential",
        ports=("in",),
        states=(
            Word("slow", 32, meaning="current that is added to the membrane"),
            Word("fast", 32, meaning="current that is subtracted from it"),
            Word("v", 32, meaning="membrane potential"),
            Word("wait", 8, signed=False, meaning="steps left before the first update"),
        ),
        params=(
            Word("keep_slow", 17, signed=False, meaning="what slow keeps of itself a step, in 1/2^16"),
            Word("keep_fast", 17, signed=False, meaning="what fast keeps of itself a step, in 1/2^16"),
            Word("gain", 24, signed=False, meaning="of the difference of the currents, in 1/2^12"),
            BIAS,
            VTH,
            Word("reset", 2, signed=False, meaning="number of the reset"),
            Word("wait", 8, signed=False, meaning="steps before the first update: the neuron's layer"),
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=3, add=6, state_read=3, state_write=3),
        float_states=("slow", "fast", "v"),
        initial={"wait": "wait"},
        fires="v > vth",
        defaults={"bias": 0, "reset": 0, "wait": 0},
        brian2=_BRIAN2,
        traits=Traits(membrane="v", fine_bits=6),
        sample_params=_sample,
        sample_weight=16.0,
    )
)
