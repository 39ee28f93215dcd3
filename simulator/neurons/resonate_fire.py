"""Resonate-and-fire: a damped oscillator that fires when its imaginary part reaches the threshold.

    re[t] = (lr re[t-1] - li im[t-1]) / 2^15 + acc[t]         lr + i li = 2^15 e^(-1/tau) e^(i 2 pi f)
    im[t] = (li re[t-1] + lr im[t-1]) / 2^15
    fires if im >= vth;  then re <- 0, im <- im_reset

where f is the frequency in cycles a step and tau the damping in steps. Products are summed in 64 bits and rounded to the
nearest, ties up; re and im are int32 and saturate at +-(2^31 - 1), counted. The neuron waits for its layer.
Source: Izhikevich 2001, doi:10.1016/S0893-6080(01)00078-8, with a reset to the real axis's origin.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Params, Traits, UpdateOps, Word, Words, register
from simulator.neurons.integrate import V_MAX, VTH, saturated
from simulator.neurons.sampling import dyadic

POLE_FRAC = 15


def pole(frequency: npt.ArrayLike, tau: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return (lr, li) of a frequency in cycles a step and a damping tau in steps."""
    z = np.exp(-1 / np.asarray(tau, np.float64) + 2j * np.pi * np.asarray(frequency, np.float64)) * 2.0**POLE_FRAC
    return np.asarray(z.real), np.asarray(z.imag)


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
    beyond, half = 0, 1 << 14
    for i in range(lo, hi):
        out[i] = 0
        if state[2, i] > 0:
            state[2, i] -= 1
            continue
        re, im, lr, li = int(state[0, i]), int(state[1, i]), int(params[0, i]), int(params[1, i])
        x, over = saturated(((lr * re - li * im + half) >> 15) + int(acc[0, i]), V_MAX)
        beyond += over
        y, over = saturated((li * re + lr * im + half) >> 15, V_MAX)
        beyond += over
        if y >= params[2, i]:
            out[i] = 1
            x, y = 0, int(params[3, i])
        state[0, i], state[1, i] = x, y
    return beyond


def _float_step(acc: dict[str, Floats], state: dict[str, Floats], params: Params) -> Floats:
    lr, li = params["lr"] / 2.0**POLE_FRAC, params["li"] / 2.0**POLE_FRAC
    x = lr * state["re"] - li * state["im"] + acc["in"]
    y = li * state["re"] + lr * state["im"]
    fired = y >= params["vth"]
    state["re"], state["im"] = np.where(fired, 0.0, x), np.where(fired, params["im_reset"], y)
    return np.asarray(fired, np.float64)


_BRIAN2 = """
w = lr / 32768 * re - li / 32768 * im + acc_in
y = li / 32768 * re + lr / 32768 * im
out = int(y >= vth)
re = (1 - out) * w
im = (1 - out) * y + out * im_reset
"""


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    lr, li = pole(rng.uniform(0.02, 0.2, n), rng.uniform(5, 40, n))
    return {"lr": np.round(lr), "li": np.round(li), "vth": dyadic(rng, n, 8, 40), "im_reset": dyadic(rng, n, -4, 0)}


RESONATE_FIRE = register(
    NeuronModel(
        name="resonate_fire",
        ports=("in",),
        states=(
            Word("re", 32, meaning="real part"),
            Word("im", 32, meaning="imaginary part, compared with the threshold"),
            Word("wait", 8, signed=False, meaning="steps left before the first update"),
        ),
        params=(
            Word("lr", 17, meaning="decay and rotation a step, real part, in 1/2^15"),
            Word("li", 17, meaning="decay and rotation a step, imaginary part, in 1/2^15"),
            VTH,
            Word("im_reset", 32, meaning="im after a spike", unit="in"),
            Word("wait", 8, signed=False, meaning="steps before the first update: the neuron's layer"),
        ),
        kernel=_kernel,
        float_step=_float_step,
        ops=UpdateOps(mul=4, add=4, state_read=2, state_write=2),
        float_states=("re", "im"),
        initial={"wait": "wait"},
        fires="im >= vth",
        defaults={"im_reset": 0, "wait": 0},
        brian2=_BRIAN2,
        traits=Traits(membrane="im", fine_bits=6),
        sample_params=_sample,
        sample_weight=16.0,
    )
)
