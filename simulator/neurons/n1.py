"""Catalyst N1's neurons, bit for bit as its published RTL: ``n1_lif`` and ``n1_cuba`` (binary spikes in the step engines).

One step of a neuron, `acc` the sum of what arrived (24 bits, wrapping), all words signed integers::

    n1_lif    x = low16(v) + acc - leak          v <- x if low16(v) + acc > leak, else rest
    n1_cuba   x = v - D(v, dv) + u + bias        u <- u - D(u, du) + acc    (or + D(acc, du) with scale_u)
    both      in refractory: v <- rest, count - 1;    x >= threshold: a spike, v <- rest, count <- refractory
              v <- min(max(v, v_min), v_max)
    payload   low16(v) + acc - leak - threshold, limited to 1..255

where D(a, d) = floor(a d / 4096), one more away from zero if there was a remainder: for a negative product the floor is one
more already, so that D(-1, 1) = -2. bias = mantissa (13 bits, signed) << exponent (3 bits). A CUBA neuron in refractory with
``decays`` set keeps its membrane: v <- v - D(v, dv) - bias (the bias is subtracted). u goes on in any case.

Source: the published RTL of Catalyst N1 (catalyst-n1 @fbfd2e5), as arithmetic; docs/rtl.md says how it is verified. Noise,
dendrites, trees and homeostasis are of the core (`simulator.events.machines.n1`), not of these models.
"""

from __future__ import annotations

from collections.abc import Mapping

import numba
import numpy as np

from simulator.base.arrays import I32, Floats
from simulator.neurons.base import NeuronModel, Traits, UpdateOps, Word, register

_WRAP24 = 1 << 23
_LOW16 = 1 << 15


@numba.njit(cache=True, nogil=True)
def wrap24(x: int) -> int:
    """Return x in 24 bits, two's complement."""
    return ((x + _WRAP24) & (2 * _WRAP24 - 1)) - _WRAP24


@numba.njit(cache=True, nogil=True)
def wrap16(x: int) -> int:
    """Return x in 16 bits, two's complement."""
    return ((x + _LOW16) & (2 * _LOW16 - 1)) - _LOW16


@numba.njit(cache=True, nogil=True)
def decay(a: int, d: int) -> int:
    """Return D(a, d): floor(a d / 4096), one more away from zero if there was a remainder."""
    product = a * d
    quotient = product >> 12
    if product & 4095:
        quotient += 1 if a >= 0 else -1
    return quotient


@numba.njit(cache=True, nogil=True)
def bias_of(word: int) -> int:
    """Return the bias of a 16-bit word: mantissa (13 bits, signed) << exponent (3 bits), in 24 bits."""
    return wrap24(((((word >> 3) & 0x1FFF) ^ 0x1000) - 0x1000) << (word & 7))


@numba.njit(cache=True, nogil=True)
def payload_of(v: int, acc: int, leak: int, threshold: int) -> int:
    """Return the payload of a spike from the membrane before the step."""
    return min(max(wrap24(wrap16(v) + acc - leak - threshold), 1), 255)


@numba.njit(cache=True, nogil=True)
def lif(v: int, held: int, acc: int, leak: int, rest: int, threshold: int, refractory: int) -> tuple[int, int, bool]:
    """Update one LIF neuron; returns v before its limits, the refractory count, and whether it fired."""
    if held > 0:
        return rest, held - 1, False
    total = wrap24(wrap16(v) + acc)
    x = wrap24(total - leak)
    if x >= threshold:
        return rest, refractory, True
    return (x if total > leak else rest), held, False


@numba.njit(cache=True, nogil=True)
def cuba(
    v: int, u: int, held: int, acc: int, rest: int, threshold: int, refractory: int, dv: int, du: int, bias: int,
    decays: bool, scale_u: bool, noise_v: int, noise_u: int,
) -> tuple[int, int, int, bool]:  # fmt: skip
    """Update one CUBA neuron; returns v before its limits, u, the refractory count, and whether it fired."""
    less = decay(v, dv)
    after = wrap24(u - decay(u, du) + (decay(acc, du) if scale_u else acc) + noise_u)
    x = wrap24(v - less + u + bias + noise_v)
    if held > 0:
        return (wrap24(v - less - bias + noise_v) if decays else rest), after, held - 1, False
    if x >= threshold:
        return rest, after, refractory, True
    return x, after, held, False


@numba.njit(cache=True, nogil=True)
def limited(v: int, v_min: int, v_max: int) -> int:
    """Return v within the neuron's limits."""
    return min(max(v, v_min), v_max)


_COMMON = (
    Word("threshold", 24, meaning="fires at it", unit="in"),
    Word("rest", 16, meaning="v after a spike and in refractory", unit="in"),
    Word("refractory", 8, signed=False, meaning="steps without a spike after one"),
    Word("v_min", 16, meaning="least v", unit="in"),
    Word("v_max", 16, meaning="largest v", unit="in"),
)
_DEFAULTS = {"rest": 0, "refractory": 0, "v_min": -(1 << 15), "v_max": (1 << 15) - 1}
_HELD = Word("held", 8, signed=False, meaning="refractory steps left")


@numba.njit(cache=True, nogil=True)
def _lif_kernel(
    acc: I32, state: I32, params: I32, table: I32, out: I32, lo: int, hi: int, step: int, seed: int, first_id: int
) -> int:
    wrapped = 0
    for i in range(lo, hi):
        total = wrap24(acc[0, i])
        wrapped += total != acc[0, i]
        v, held, fired = lif(state[0, i], state[1, i], total, params[5, i], params[1, i], params[0, i], params[2, i])
        state[0, i], state[1, i] = limited(v, params[3, i], params[4, i]), held
        out[i] = fired
    return wrapped


@numba.njit(cache=True, nogil=True)
def _cuba_kernel(
    acc: I32, state: I32, params: I32, table: I32, out: I32, lo: int, hi: int, step: int, seed: int, first_id: int
) -> int:
    wrapped = 0
    for i in range(lo, hi):
        total = wrap24(acc[0, i])
        wrapped += total != acc[0, i]
        bias = wrap24(int(params[7, i]) << int(params[8, i]))
        v, u, held, fired = cuba(
            int(state[0, i]), int(state[2, i]), state[1, i], total, params[1, i], params[0, i], params[2, i],
            params[5, i], params[6, i], bias, params[9, i] != 0, params[10, i] != 0, 0, 0,
        )  # fmt: skip
        state[0, i], state[1, i], state[2, i] = limited(v, params[3, i], params[4, i]), held, u
        out[i] = fired
    return wrapped


def _settle(x: Floats, silent: Floats, state: dict[str, Floats], p: dict[str, Floats]) -> Floats:
    held = state["held"] > 0
    fired = ~held & (x >= p["threshold"])
    state["v"][:] = np.clip(np.where(held | fired, p["rest"], silent), p["v_min"], p["v_max"])
    state["held"][:] = np.where(fired, p["refractory"], np.maximum(state["held"] - 1, 0))
    return fired.astype(np.float64)


def _lif_float(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
    x = state["v"] + acc["in"] - params["leak"]
    return _settle(x, np.where(x > 0, x, params["rest"]), state, dict(params))


def _cuba_float(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Floats]) -> Floats:
    p = dict(params)
    lost = state["v"] * p["dv"] / 4096
    bias = p["bias_mant"] * 2.0 ** p["bias_exp"]
    x = state["v"] - lost + state["u"] + bias
    held = state["held"] > 0
    kept = np.where(held & (p["decays"] != 0), state["v"] - lost - bias, 0.0)
    out = _settle(x, x, state, p)
    state["v"][:] = np.where(held & (p["decays"] != 0), np.clip(kept, p["v_min"], p["v_max"]), state["v"])
    gain = np.where(p["scale_u"] != 0, p["du"] / 4096, 1.0)
    state["u"][:] = state["u"] * (1 - p["du"] / 4096) + gain * acc["in"]
    return out


N1_LIF = register(
    NeuronModel(
        name="n1_lif",
        ports=("in",),
        states=(Word("v", 24, meaning="membrane"), _HELD),
        params=(*_COMMON, Word("leak", 16, meaning="taken off at every step", unit="in")),
        kernel=_lif_kernel,
        float_step=_lif_float,
        ops=UpdateOps(add=3, state_read=2, state_write=2),
        float_states=("v", "held"),
        fires="v + in - leak >= threshold",
        defaults=_DEFAULTS | {"leak": 0},
        family="n1",
        traits=Traits(membrane="v"),
    )
)

N1_CUBA = register(
    NeuronModel(
        name="n1_cuba",
        ports=("in",),
        states=(Word("v", 24, meaning="membrane"), _HELD, Word("u", 24, meaning="current, added one step later")),
        params=(
            *_COMMON,
            Word("dv", 12, signed=False, meaning="decay of v, in 1/4096"),
            Word("du", 12, signed=False, meaning="decay of u, in 1/4096"),
            Word("bias_mant", 13, meaning="mantissa of the bias", unit="in"),
            Word("bias_exp", 3, signed=False, meaning="its exponent"),
            Word("decays", 1, signed=False, meaning="1: v decays in refractory instead of resting"),
            Word("scale_u", 1, signed=False, meaning="1: the input is scaled by du"),
        ),
        kernel=_cuba_kernel,
        float_step=_cuba_float,
        ops=UpdateOps(mul=2, add=5, state_read=3, state_write=3),
        float_states=("v", "held", "u"),
        fires="v >= threshold",
        defaults=_DEFAULTS | {"dv": 0, "du": 0, "bias_mant": 0, "bias_exp": 0, "decays": 0, "scale_u": 0},
        family="n1",
        traits=Traits(membrane="v"),
    )
)
