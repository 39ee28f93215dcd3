"""Leaky integrate-and-fire whose decay leaves whole grains, with the resets of SANA-FE's LIF and TrueNorth units.

    x    = grain trunc(V[t-1] / grain * decay)          (trunc: toward zero; decay: an IEEE double, products rounded as such)
    x    = x - leak sign(x) if toward_zero else x + leak
    held in this step: V = x, what arrives and the bias are lost
    else x = x + acc[t] + bias
         fires where x > vth (strict) or x >= vth; then by ``mode`` 0: x = v_reset, 1: x - vth, 2: x, 3: vth, and the neuron is
         held for refractory - 1 steps
         where x < v_low (strict; after the reset) or x <= v_low (not strict; only without a spike), by ``low_mode``
         0: x, 1: x + low_add, 2: low_reset, 3: v_low
         V = x

where
    acc     sum of the arriving weights, shifted by the exponents of their projections  [V units]
    decay   (decay_hi 2^27 + decay_lo) 2^decay_exp: a double's own mantissa and exponent
    grain   V units in one step of the grid that a decay leaves
    V       int32, saturating at +-(2^31 - 1), saturations counted

The state ``held`` is -1 before the first step, in which V = v_init does not decay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import BIAS, V_INIT, V_MAX, V_RESET, VTH, saturated

HARD, SOFT, NONE, SATURATE = range(4)  # of ``mode``
LOW_NONE, LOW_SOFT, LOW_HARD, LOW_SATURATE = range(4)  # of ``low_mode``
_LO_BITS = 27


def decay_words(decays: Iterable[float]) -> dict[str, I32]:
    """Return doubles as the parameters ``decay_hi``, ``decay_lo`` and ``decay_exp``, without loss."""
    rows = []
    for value in decays:
        mantissa, exponent = math.frexp(value)
        whole = int(mantissa * 2.0**53)
        rows.append((whole >> _LO_BITS, whole & ((1 << _LO_BITS) - 1), exponent - 53))
    columns = np.array(rows, np.int32).reshape(-1, 3).T
    return dict(zip(("decay_hi", "decay_lo", "decay_exp"), columns, strict=True))


@numba.njit(cache=True, nogil=True)
def _decayed(v: int, hi: int, lo: int, exponent: int, grain: int) -> int:
    """Return grain trunc(v / grain * decay), by the doubles that SANA-FE computes with."""
    decay = math.ldexp(float(hi) * 134217728.0 + float(lo), exponent)
    product = float(v) / float(grain) * decay
    limit = float(V_MAX)
    return int(min(max(math.trunc(product) * float(grain), -limit), limit))


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
    (d_hi, d_lo, d_exp, grain, leak, toward, bias, vth, strict, mode, v_reset, refractory, v_low, low_mode, low_add,
     low_reset) = (
        params[0], params[1], params[2], params[3], params[4], params[5], params[6], params[7], params[8], params[9],
        params[10], params[11], params[12], params[13], params[14], params[15],
    )  # fmt: skip
    beyond = 0
    for i in range(lo, hi):
        x = int(v[i])
        if held[i] >= 0:
            x = _decayed(x, d_hi[i], d_lo[i], d_exp[i], grain[i])
        x += int(leak[i]) * (-((x > 0) - (x < 0)) if toward[i] != 0 else 1)
        out[i] = 0
        if held[i] > 0:
            held[i] -= 1
            v[i], over = saturated(x, V_MAX)
            beyond += over
            continue
        held[i] = 0
        x, over = saturated(x + int(acc[0, i]) + int(bias[i]), V_MAX)
        beyond += over
        if x > vth[i] or (strict[i] == 0 and x == vth[i]):
            out[i] = 1
            held[i] = max(refractory[i] - 1, 0)
            if mode[i] == HARD:
                x = int(v_reset[i])
            elif mode[i] == SOFT:
                x -= int(vth[i])
            elif mode[i] == SATURATE:
                x = int(vth[i])
        if x < v_low[i] if strict[i] != 0 else (x <= v_low[i] and out[i] == 0):
            if low_mode[i] == LOW_SOFT:
                x += int(low_add[i])
            elif low_mode[i] == LOW_HARD:
                x = int(low_reset[i])
            elif low_mode[i] == LOW_SATURATE:
                x = int(v_low[i])
        v[i], over = saturated(x, V_MAX)
        beyond += over
    return beyond


def _float_step(
    acc: dict[str, Floats],
    state: dict[str, Floats],
    params: Params,
) -> Floats:
    """Do the step in doubles, on the same grid."""
    p, v, held = params, state["v"], state["held"]
    decay = np.ldexp(p["decay_hi"] * 2.0**_LO_BITS + p["decay_lo"], p["decay_exp"])
    x = np.where(held < 0, v, np.trunc(v / p["grain"] * decay) * p["grain"])
    x = np.where(p["toward_zero"] != 0, x - p["leak"] * np.sign(x), x + p["leak"])
    free, strict = held <= 0, p["strict"] != 0
    x = np.where(free, x + acc["in"] + p["bias"], x)
    fired = free & np.where(strict, x > p["vth"], x >= p["vth"])
    x = np.where(fired, np.choose(p["mode"], [p["v_reset"], x - p["vth"], x, p["vth"]]), x)
    low = free & np.where(strict, x < p["v_low"], (x <= p["v_low"]) & ~fired)
    x = np.where(low, np.choose(p["low_mode"], [x, x + p["low_add"], p["low_reset"], p["v_low"]]), x)
    held[:] = np.where(fired, np.maximum(p["refractory"] - 1, 0), np.maximum(held - 1, 0))
    v[:] = x
    sent: Floats = fired.astype(np.float64)
    return sent


_WORDS: tuple[Word, ...] = (
    Word("decay_hi", 27, meaning="upper bits of the decay's mantissa"),
    Word("decay_lo", 27, signed=False, meaning="lower bits of the decay's mantissa"),
    Word("decay_exp", 12, meaning="exponent of the decay"),
    Word("grain", 31, signed=False, meaning="V units in a step of the grid that a decay leaves"),
    Word("leak", 32, meaning="added at every step, or taken from |V|", unit="in"),
    Word("toward_zero", 1, signed=False, meaning="1: the leak takes V toward zero"),
    BIAS,
    VTH,
    Word("strict", 1, signed=False, meaning="1: fires at V > vth, 0: at V >= vth"),
    Word("mode", 2, signed=False, meaning="after a spike 0: v_reset, 1: V - vth, 2: V, 3: vth"),
    V_RESET,
    Word("refractory", 16, signed=False, meaning="steps from a spike to the next that can be"),
    Word("v_low", 32, meaning="lower threshold", unit="in"),
    Word("low_mode", 2, signed=False, meaning="below v_low 0: V, 1: V + low_add, 2: low_reset, 3: v_low"),
    Word("low_add", 32, meaning="added below v_low in mode 1", unit="in"),
    Word("low_reset", 32, meaning="V below v_low in mode 2", unit="in"),
    V_INIT,
    Word("start", 2, meaning="-1: V does not decay in the first step"),
)
DEFAULTS: dict[str, Any] = {
    "decay_hi": 1 << 25, "decay_lo": 0, "decay_exp": -52, "grain": 1, "leak": 0, "toward_zero": 0, "bias": 0, "strict": 1,
    "mode": HARD, "v_reset": 0, "refractory": 0, "v_low": 0, "low_mode": LOW_NONE, "low_add": 0, "low_reset": 0, "v_init": 0,
    "start": -1,
}  # fmt: skip

LIF_GRID = register(
    NeuronModel(
        name="lif_grid",
        ports=("in",),
        states=(
            Word("v", 32, meaning="membrane potential"),
            Word("held", 17, meaning="refractory steps left; -1: new"),
        ),
        params=_WORDS,
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=1, add=4, state_read=2, state_write=2),
        float_states=("v", "held"),
        initial={"v": "v_init", "held": "start"},
        fires="V > vth (strict) or V >= vth",
        defaults=DEFAULTS,
        traits=Traits(membrane="v"),
    )
)
