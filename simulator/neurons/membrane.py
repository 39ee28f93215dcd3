"""Part of a BIM neuron behind its selective state: PSP kernel, membrane, threshold, reset, refractory time.

Float equations of one neuron in step t, from the output q of its selective state::

    delta PSP:  V- = kap V + gain q
    exp PSP:    I' = I + gain q;  V- = kap V + p_vi I';  I <- rho I'
    alpha PSP:  r' = r + gain q;  V- = kap V + p_vi I + p_vr r';  I <- b r' + rho I;  r <- rho r'
    s = [ref = 0][V- >= theta];   soft reset V = V- - theta s;   hard reset V = [ref = 0](1 - s) V-
    ref <- n_ref if s else max(ref - 1, 0)

kap, rho, b, p_vi, p_vr, gain come from `simulator.neurons.psp` (delta: gain = p_vi c). V has the unit of theta.
``adaptive`` models put theta + A in the place of theta, with A <- rho_a A + beta s. ``graded`` models emit V- (before the
reset) as a graded spike in every step, for readouts on the membrane. The float engine holds a neuron of layer l in its
initial state before step l; on a chip the word ``wait`` counts these steps.

Integer form: each value v is stored as floor(v 2^f) with a binary point f of its own (parameters, chosen by
calibration); each product is an int64 shifted right arithmetically (floor), each stored word saturates at
``limit`` = 2^(bits-1) - 1 and the saturations are counted. A model's parameters start with `PARAMS` of its kernel (so the
row numbers here hold for every model), its states end with `STATES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numba as nb
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import SampleParams, Traits, Word
from simulator.neurons.psp import psp_constants
from simulator.neurons.sampling import dyadic

CONST_FRAC = 15  # binary point of kap, rho, b, p_vi, p_vr, gain
PAYLOAD_LIMIT = 2**15 - 1  # a graded spike carries 16 signed bits

_SHARED = (
    Word("limit", 24, signed=False, meaning="largest value of a state word, 2^(bits-1) - 1"),
    Word("theta", 24, meaning="threshold, binary point of V"),
    Word("n_ref", 4, signed=False, meaning="refractory steps"),
    Word("hard", 1, signed=False, meaning="1: reset to 0, 0: subtract theta"),
    Word("kap", 17, meaning="membrane decay"),
    Word("beta", 24, meaning="step of the adaptive threshold at a spike, binary point of V"),
    Word("rho_a", 17, meaning="decay of the adaptive threshold"),
    Word("graded", 1, signed=False, meaning="1: emit V- in every step instead of spikes"),
    Word("sh_out", 6, meaning="right shift from V- to the graded payload"),
    Word("gain", 24, meaning="input gain of the PSP"),
    Word("sh_q", 6, meaning="right shift of gain q to the binary point of V (delta), I (exp) or r (alpha)"),
    Word("wait", 6, signed=False, meaning="steps before the first update: the neuron's layer"),
)
_EXP = (
    Word("p_vi", 24),
    Word("sh_iv", 6, meaning="right shift of p_vi I to the binary point of V"),
    Word("rho", 17, meaning="synaptic decay"),
)
_ALPHA = (
    *_EXP,
    Word("p_vr", 24),
    Word("sh_rv", 6, meaning="right shift of p_vr r to the binary point of V"),
    Word("b", 24),
    Word("sh_ri", 6, meaning="right shift of b r to the binary point of I"),
)
PARAMS = {"delta": _SHARED, "exp": _SHARED + _EXP, "alpha": _SHARED + _ALPHA}
DELTA, EXP, ALPHA = 0, 1, 2  # the kernels; also the number of state words (r, I) before V
_DELTA_WORDS, _EXP_WORDS = len(_SHARED), len(_SHARED + _EXP)
(LIMIT, THETA, N_REF, HARD, KAP, BETA, RHO_A, GRADED, SH_OUT, GAIN, SH_Q, WAIT,
 P_VI, SH_IV, RHO, P_VR, SH_RV, B, SH_RI) = range(19)  # fmt: skip

_R, _I, _V, _REF = Word("r", 24), Word("I", 24), Word("V", 24), Word("ref", 4, signed=False)
_WAIT = Word("wait", 6, signed=False, meaning="steps left before the first update")
_A = Word("A", 24, meaning="raised part of the threshold")
_STATES = {"delta": (_V, _REF, _WAIT), "exp": (_I, _V, _REF, _WAIT), "alpha": (_R, _I, _V, _REF, _WAIT)}
# Multiplies of the kernel and the membrane.
MULTIPLIES = {"delta": 2, "exp": 4, "alpha": 7}


def states(psp: str, adaptive: bool) -> tuple[Word, ...]:
    """State words after those of the selective state."""
    return _STATES[psp] + ((_A,) if adaptive else ())


def traits(psp: str, modes: int, adaptive: bool, graded: bool, plastic_ports: tuple[str, ...]) -> Traits:
    """Return the traits of a model whose last part is this membrane."""
    return Traits(psp, modes, adaptive, graded, membrane="V", sends="V" if graded else "", plastic_ports=plastic_ports)


Grid = Callable[[float, float], Floats]  # dyadic numbers [n] in a range


def sampler(psp: str, adaptive: bool, graded: bool, own: Callable[[Grid], dict[str, Any]]) -> SampleParams:
    """Make the ``sample_params`` of a model from those of its selective state, `own`."""

    def sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
        def grid(low: float, high: float) -> Floats:
            return dyadic(rng, n, low, high)

        k = psp_constants(psp, rng.uniform(1, 8), rng.uniform(0.5, 6), "dc")  # type: ignore[arg-type]  # one of the three
        values = own(grid) | {"theta": grid(0.25, 1), "n_ref": float(rng.integers(3)), "hard": float(rng.integers(2))}
        values |= {"kap": k.kap, "gain": k.c if psp != "delta" else k.p_vi * k.c}
        values |= {"rho": k.rho, "b": k.b, "p_vi": k.p_vi, "p_vr": k.p_vr}
        rise = {"beta": grid(0.1, 0.5), "rho_a": grid(0.5, 0.9)} if adaptive else {"beta": 0.0, "rho_a": 0.0}
        return values | rise | {"graded": float(graded)}

    return sample


@nb.njit(cache=True, nogil=True, forceinline=True)
def shift(value, right):  # type: ignore[no-untyped-def]
    """Shift arithmetically: right (floor) for right >= 0, else left."""
    return value >> right if right >= 0 else value << -right


@nb.njit(cache=True, nogil=True)
def nearest(value, right):  # type: ignore[no-untyped-def]
    """Shift with rounding to nearest: right for right > 0, else left."""
    return (value + (np.int64(1) << (right - 1))) >> right if right > 0 else value << -right


@nb.njit(cache=True, nogil=True, forceinline=True)
def clip(value, limit):  # type: ignore[no-untyped-def]
    """Keep `value` within a word whose largest value is `limit`."""
    return min(max(value, -limit - 1), limit)


@nb.njit(cache=True, nogil=True, forceinline=True)
def waits(row, state, out, i):  # type: ignore[no-untyped-def]
    """Return whether neuron i is still held in its initial state; row wait = `row`."""
    if state[row, i] == 0:
        return False
    state[row, i] -= 1
    out[i] = 0
    return True


@nb.njit(cache=True, nogil=True, forceinline=True)
def _fire(v, row, state, params, out, i):  # type: ignore[no-untyped-def]
    """Do threshold, reset, refractory count of neuron i; rows V, ref, wait[, A] start at `row`. Return the saturated words."""
    limit = np.int64(params[LIMIT, i])
    ref = state[row + 1, i]
    free = np.int64(ref == 0)
    adaptive = params[BETA, i] != 0
    raised = np.int64(state[row + 3, i]) if adaptive else np.int64(0)
    threshold = params[THETA, i] + raised
    spike = free * np.int64(v >= threshold)
    out[i] = spike
    saturated = np.int64(0)
    if params[GRADED, i]:
        sent = shift(v, np.int64(params[SH_OUT, i]))
        out[i] = clip(sent, PAYLOAD_LIMIT)
        saturated += np.int64(out[i] != sent)
    if params[HARD, i]:
        v = v * free * (np.int64(1) - spike)
    else:
        v = v - spike * threshold
    if adaptive:
        moved = ((np.int64(params[RHO_A, i]) * raised) >> np.int64(15)) + spike * params[BETA, i]
        state[row + 3, i] = clip(moved, limit)
    stored = clip(v, limit)
    state[row, i] = stored
    state[row + 1, i] = params[N_REF, i] if spike else max(ref - 1, 0)
    return saturated + np.int64(stored != v)


@nb.njit(cache=True, nogil=True)
def kernel_of(rows):  # type: ignore[no-untyped-def]
    """Return which kernel a neuron has whose membrane takes this many parameter words."""
    return DELTA if rows == _DELTA_WORDS else (EXP if rows == _EXP_WORDS else ALPHA)


@nb.njit(cache=True, nogil=True, forceinline=True)
def potential(psp, q, row, state, params, i):  # type: ignore[no-untyped-def]
    """Return (V-, saturated words) of neuron i from q; update r and I, which begin at `row` (V follows: row `row` + `psp`)."""
    limit = np.int64(params[LIMIT, i])
    drive = shift(params[GAIN, i] * q, np.int64(params[SH_Q, i]))
    v = (np.int64(params[KAP, i]) * state[row + psp, i]) >> np.int64(15)
    if psp == DELTA:
        return v + drive, np.int64(0)
    if psp == EXP:
        i0 = np.int64(state[row, i]) + drive
        current = clip(i0, limit)
        state[row, i] = (params[RHO, i] * current) >> np.int64(15)
        return v + shift(params[P_VI, i] * current, np.int64(params[SH_IV, i])), np.int64(current != i0)
    r0 = np.int64(state[row, i]) + drive
    r = clip(r0, limit)
    current = np.int64(state[row + 1, i])
    v += shift(params[P_VI, i] * current, np.int64(params[SH_IV, i]))
    v += shift(params[P_VR, i] * r, np.int64(params[SH_RV, i]))
    i0 = shift(params[B, i] * r, np.int64(params[SH_RI, i])) + ((params[RHO, i] * current) >> np.int64(15))
    current = clip(i0, limit)
    state[row, i] = (params[RHO, i] * r) >> np.int64(15)
    state[row + 1, i] = current
    return v, np.int64(r != r0) + np.int64(current != i0)


@nb.njit(cache=True, nogil=True, forceinline=True)
def tail(psp, q, row, state, params, out, i):  # type: ignore[no-untyped-def]
    """Update neuron i from q; states [r, I,] V, ref, wait[, A] from `row`. Return the saturated words."""
    v, saturated = potential(psp, q, row, state, params, i)
    return saturated + _fire(v, row + psp, state, params, out, i)


def _float_fire(v: Floats, state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    free = (state["ref"] == 0).astype(np.float64)
    adaptive = "A" in state
    threshold = params["theta"] + state["A"] if adaptive else params["theta"]
    spike: Floats = free * (v >= threshold)
    state["v_pre"] = v
    state["V"] = np.where(params["hard"] != 0, free * (1 - spike) * v, v - threshold * spike)
    state["ref"] = np.where(spike > 0, params["n_ref"], np.maximum(state["ref"] - 1, 0))
    if adaptive:
        state["A"] = params["rho_a"] * state["A"] + params["beta"] * spike
    return v if np.any(params["graded"]) else spike


def float_tail(psp: str, q: Floats, state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Run the float twin of the tails; arrays [..., n]. V- (and r', I') stay beside the states, for calibration."""
    v = params["kap"] * state["V"]
    if psp == "delta":
        return _float_fire(v + params["gain"] * q, state, params)
    if psp == "exp":
        current = state["I"] + params["gain"] * q
        state.update(I=params["rho"] * current, i_pre=current)
        return _float_fire(v + params["p_vi"] * current, state, params)
    r = state["r"] + params["gain"] * q
    v = v + params["p_vi"] * state["I"] + params["p_vr"] * r
    state.update(I=params["b"] * r + params["rho"] * state["I"], r=params["rho"] * r, r_pre=r)
    return _float_fire(v, state, params)


_BRIAN2_PSP = {
    "delta": "y = kap * V + gain * q",
    "exp": """
w = I + gain * q
y = kap * V + p_vi * w
I = rho * w
""",
    "alpha": """
w = r + gain * q
y = kap * V + p_vi * I + p_vr * w
I = b * w + rho * I
r = rho * w
""",
}


def brian2_tail(psp: str, adaptive: bool, graded: bool) -> str:
    """Return the tails as Brian2 statements, from ``q``."""
    threshold = "(theta + A)" if adaptive else "theta"
    return "\n".join(
        (
            _BRIAN2_PSP[psp],
            "free = int(ref < 0.5)",
            f"s = free * int(y >= {threshold})",
            f"V = int(hard > 0.5) * free * (1 - s) * y + int(hard < 0.5) * (y - {threshold} * s)",
            "ref = s * n_ref + (1 - s) * clip(ref - 1, 0, 64)",
            *(("A = rho_a * A + beta * s",) if adaptive else ()),
            "out = y" if graded else "out = s",
        )
    )
