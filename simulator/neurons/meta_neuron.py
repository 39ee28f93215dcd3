"""Meta-neuron: a quadratic membrane with a recovery variable, all of whose constants can be learnt, and unreliable transmission.

Float equations of one step, r and u the membrane and the recovery after the last step, I = in + bias::

    v = r + h (r^2 - leak r - u + I)
    w = u + h (rec_v r - rec_u u)
    fires if v >= theta;  then v <- reset, w <- w + jump
    r = clamp(v),  u = clamp(w)                               to [-8, 8]
    sends a spike if it fires and d < chance                  d = floor(word / 2^16) / 2^16, uniform

where h = 2^-sh_h and word is Philox's of (seed, step, logical id, stream 0), so a lost spike is the same under every mapping.

Integer form: r, u and all constants have 16 fractional bits, products are int64 shifted right (floor), chance is in 1/2^16.
The clamp is part of the equation and not counted as saturation.

Source: dV/dt = V^2 - V - U + I, dU/dt = theta_v V - theta_u U, V <- theta_r and U <- U + theta_s at a spike, the four theta
learnt (Cheng et al. 2020, arXiv:2010.03140, used by Rudnicka et al. 2025, arXiv:2508.11674). The factor `leak` (1 there), the
learnt threshold, the Euler step h and the clamp are ours. Transmission with a success probability: Levy & Baxter 2002; there
every synapse fails by itself, here a spike is lost on its way into the axon, for all its targets at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba as nb
import numpy as np

from simulator.base.arrays import Floats
from simulator.base.random import STREAM_NEURON, random_word
from simulator.neurons.base import NeuronModel, Traits, UpdateOps, Word, register
from simulator.neurons.membrane import shift, waits

META = "meta_neuron"
FRAC = 16
LIMIT = 8.0  # |r| and |u| never leave it
CHANCE_ONE = 2**16
LEARNT = ("leak", "theta", "rec_v", "rec_u", "reset", "jump")


@nb.njit(cache=True, nogil=True)
def _clamp(value):  # type: ignore[no-untyped-def]
    limit = np.int64(LIMIT) << np.int64(FRAC)
    return min(max(value, -limit), limit)


@nb.njit(cache=True, nogil=True)
def meta_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Integer kernel; states v, u, wait."""
    for i in range(lo, hi):
        if waits(2, state, out, i):
            continue
        p = params[:, i]
        current = shift(np.int64(acc[0, i]) * p[1], np.int64(p[2])) + p[0]
        r, u = np.int64(state[0, i]), np.int64(state[1, i])
        h, one = np.int64(p[10]), np.int64(FRAC)
        v = r + ((((r * r) >> one) - ((p[3] * r) >> one) - u + current) >> h)
        w = u + ((((p[5] * r) >> one) - ((p[6] * u) >> one)) >> h)
        out[i] = 0
        if v >= p[4]:
            v = np.int64(p[7])
            w += p[8]
            drawn = np.int64(random_word(seed, step, first_id + i, STREAM_NEURON)) >> np.int64(16)
            out[i] = 1 if drawn < p[9] else 0
        state[0, i], state[1, i] = _clamp(v), _clamp(w)
    return 0


def float_meta(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Float twin; arrays [..., n]."""
    r, u, h = state["v"], state["u"], 0.5 ** params["sh_h"]
    v = r + h * (r * r - params["leak"] * r - u + acc["in"] + params["bias"])
    w = u + h * (params["rec_v"] * r - params["rec_u"] * u)
    fired = v >= params["theta"]
    state["v"] = np.clip(np.where(fired, params["reset"], v), -LIMIT, LIMIT)
    state["u"] = np.clip(np.where(fired, w + params["jump"], w), -LIMIT, LIMIT)
    return np.asarray(fired & (state["uniform"] < params["chance"]), np.float64)


register(
    NeuronModel(
        META,
        ("in",),
        (
            Word("v", 24, meaning="membrane after the reset"),
            Word("u", 24, meaning="recovery"),
            Word("wait", 6, signed=False, meaning="steps left before the first update"),
        ),
        (
            Word("bias", 24, meaning="constant input"),
            Word("mul", 16, meaning="scale of the accumulator before its shift"),
            Word("sh", 6, meaning="right shift from the accumulator to 16 fractional bits (negative: left)"),
            Word("leak", 24, meaning="factor of the linear term"),
            Word("theta", 24, meaning="threshold"),
            Word("rec_v", 24, meaning="recovery gained from the membrane"),
            Word("rec_u", 24, meaning="decay of the recovery"),
            Word("reset", 24, meaning="membrane after a spike"),
            Word("jump", 24, meaning="recovery gained at a spike"),
            Word("chance", 17, signed=False, meaning="probability that a spike is sent, 1/2^16"),
            Word("sh_h", 4, signed=False, meaning="the Euler step is 2^-sh_h"),
            Word("wait", 6, signed=False, meaning="steps before the first update: the neuron's layer"),
        ),
        meta_kernel,
        float_meta,
        # r^2, leak r, rec_v r, rec_u u, the input's scale; the sums, two clamps of two comparisons, threshold and draw
        UpdateOps(mul=5, add=14, state_read=2, state_write=2, random=1),
        float_states=("v", "u"),
        initial={"wait": "wait"},
        fires="v >= theta, sent with probability chance",
        draws=True,
        traits=Traits(membrane="v"),
        lowering="bimhw.compiler.lower.meta_neuron",
    )
)
