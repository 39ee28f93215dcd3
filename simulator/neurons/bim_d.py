"""BIM-D: a leaky integrate-and-fire neuron behind a selective state-space filter that it owns alone.

Float equations of one neuron in step t (three synaptic ports z, d, c; same presynaptic spikes u)::

    z = b_z + sum W_in u          d = b_d + sum W_delta u          c = b_c + sum W_c u
    Abar = exp(-a softplus(d))    (a = 1: Abar = sigmoid(-d))
    x <- z + Abar (x - z)         q = c x + D z
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
``limit`` = 2^(bits-1) - 1 and the saturations are counted; Abar comes from a table of sigmoid(-d)^a,
index clip(floor((d + 8) 16), 0, 255), 16 fractional bits. The per-PSP models differ in words and operations, so each is
a model of its own: ``bim_d_delta``, ``bim_d_exp``, ``bim_d_alpha``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from simulator.neurons.base import FloatStep, NeuronModel, UpdateOps, Word, register

Floats = npt.NDArray[np.float64]

TABLE_ENTRIES = 256
TABLE_FIRST = -8.0  # d at the lower edge of entry 0
TABLE_FRAC = 4  # an entry spans 2^-4 of d
ABAR_FRAC = 16
D_FRAC = 12  # binary point of d before its table index is cut out
D_SKIP_FRAC = 11  # binary point of the skip weight D
CONST_FRAC = 15  # binary point of kap, rho, b, p_vi, p_vr, gain

# Parameter words of the integer kernels, in the order of the rows of `params`.
_SHARED = (
    Word("b_z", 24, meaning="bias of port z, binary point of x"),
    Word("b_d", 24, meaning="bias of port d, 12 fractional bits"),
    Word("b_c", 24, meaning="bias of port c, binary point of c"),
    Word("mul_z", 16, meaning="scale of the accumulator of z before its shift (1 for power-of-two scales)"),
    Word("mul_d", 16, meaning="scale of the accumulator of d"),
    Word("mul_c", 16, meaning="scale of the accumulator of c"),
    Word("sh_z", 6, meaning="right shift from accumulator z to the binary point of x (negative: left)"),
    Word("sh_d", 6, meaning="right shift from accumulator d to 12 fractional bits"),
    Word("sh_c", 6, meaning="right shift from accumulator c to the binary point of c"),
    Word("lut", 24, signed=False, meaning="first entry of this neuron's decay table"),
    Word("D", 16, meaning="skip weight, 11 fractional bits"),
    Word("sh_cx", 6, meaning="right shift of c x to the binary point of q"),
    Word("sh_dz", 6, meaning="right shift of D z to the binary point of q"),
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
(B_Z, B_D, B_C, MUL_Z, MUL_D, MUL_C, SH_Z, SH_D, SH_C, LUT, D, SH_CX, SH_DZ, LIMIT, THETA, N_REF, HARD, KAP,
 BETA, RHO_A, GRADED, SH_OUT, GAIN, SH_Q, WAIT, P_VI, SH_IV, RHO, P_VR, SH_RV, B, SH_RI) = range(32)  # fmt: skip
PAYLOAD_LIMIT = 2**15 - 1  # a graded spike carries 16 signed bits


def decay_table(a: float) -> npt.NDArray[np.int32]:
    """Table of Abar = sigmoid(-d)^a at the middle of each entry of d, int32 [256], 16 fractional bits.

    a = 1 is the form for chips (one table for all neurons); another a costs a table of its own.
    """
    d = TABLE_FIRST + (np.arange(TABLE_ENTRIES) + 0.5) / 2**TABLE_FRAC
    abar = np.exp(-a * np.logaddexp(0.0, d))
    table: npt.NDArray[np.int32] = np.minimum(np.round(abar * 2**ABAR_FRAC), 2**ABAR_FRAC - 1).astype(np.int32)
    return table


@nb.njit(cache=True, nogil=True)
def _shift(value, right):  # type: ignore[no-untyped-def]
    """Arithmetic shift: right (floor) for right >= 0, else left."""
    return value >> right if right >= 0 else value << -right


@nb.njit(cache=True, nogil=True)
def _clip(value, limit):  # type: ignore[no-untyped-def]
    """`value` kept within a word whose largest value is `limit`."""
    return min(max(value, -limit - 1), limit)


@nb.njit(cache=True, nogil=True)
def _select(acc, state, params, table, i):  # type: ignore[no-untyped-def]
    """Ports -> x (updated in place) -> q of neuron i, with the number of saturated words."""
    limit = np.int64(params[LIMIT, i])
    z0 = _shift(np.int64(acc[0, i]) * params[MUL_Z, i], np.int64(params[SH_Z, i])) + params[B_Z, i]
    d = _shift(np.int64(acc[1, i]) * params[MUL_D, i], np.int64(params[SH_D, i])) + params[B_D, i]
    c0 = _shift(np.int64(acc[2, i]) * params[MUL_C, i], np.int64(params[SH_C, i])) + params[B_C, i]
    z, c = _clip(z0, limit), _clip(c0, limit)
    entry = min(max((d >> np.int64(D_FRAC - TABLE_FRAC)) + np.int64(128), np.int64(0)), np.int64(255))
    abar = np.int64(table[params[LUT, i] + entry])
    x = z + ((abar * (np.int64(state[0, i]) - z)) >> np.int64(16))
    state[0, i] = x
    q0 = _shift(c * x, np.int64(params[SH_CX, i])) + _shift(np.int64(params[D, i]) * z, np.int64(params[SH_DZ, i]))
    q = _clip(q0, limit)
    return q, np.int64(z != z0) + np.int64(c != c0) + np.int64(q != q0)


@nb.njit(cache=True, nogil=True)
def _fire(v, row, state, params, out, i):  # type: ignore[no-untyped-def]
    """Threshold, reset, refractory count of neuron i; rows V, ref, wait[, A] start at `row`. Returns the saturated words."""
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
        sent = _shift(v, np.int64(params[SH_OUT, i]))
        out[i] = _clip(sent, PAYLOAD_LIMIT)
        saturated += np.int64(out[i] != sent)
    if params[HARD, i]:
        v = v * free * (np.int64(1) - spike)
    else:
        v = v - spike * threshold
    if adaptive:
        moved = ((np.int64(params[RHO_A, i]) * raised) >> np.int64(15)) + spike * params[BETA, i]
        state[row + 3, i] = _clip(moved, limit)
    stored = _clip(v, limit)
    state[row, i] = stored
    state[row + 1, i] = params[N_REF, i] if spike else max(ref - 1, 0)
    return saturated + np.int64(stored != v)


@nb.njit(cache=True, nogil=True)
def _waits(row, state, out, i):  # type: ignore[no-untyped-def]
    """Whether neuron i is still held in its initial state; row wait = `row`."""
    if state[row, i] == 0:
        return False
    state[row, i] -= 1
    out[i] = 0
    return True


@nb.njit(cache=True, nogil=True)
def delta_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Integer kernel of ``bim_d_delta``; states x, V, ref, wait[, A]."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        if _waits(3, state, out, i):
            continue
        q, n = _select(acc, state, params, table, i)
        v = (np.int64(params[KAP, i]) * state[1, i]) >> np.int64(15)
        v += _shift(params[GAIN, i] * q, np.int64(params[SH_Q, i]))
        saturated += n + _fire(v, 1, state, params, out, i)
    return saturated


@nb.njit(cache=True, nogil=True)
def exp_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Integer kernel of ``bim_d_exp``; states x, I, V, ref, wait[, A]."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        if _waits(4, state, out, i):
            continue
        q, n = _select(acc, state, params, table, i)
        limit = np.int64(params[LIMIT, i])
        i0 = np.int64(state[1, i]) + _shift(params[GAIN, i] * q, np.int64(params[SH_Q, i]))
        current = _clip(i0, limit)
        v = (np.int64(params[KAP, i]) * state[2, i]) >> np.int64(15)
        v += _shift(params[P_VI, i] * current, np.int64(params[SH_IV, i]))
        state[1, i] = (params[RHO, i] * current) >> np.int64(15)
        saturated += n + np.int64(current != i0) + _fire(v, 2, state, params, out, i)
    return saturated


@nb.njit(cache=True, nogil=True)
def alpha_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Integer kernel of ``bim_d_alpha``; states x, r, I, V, ref, wait[, A]."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        if _waits(5, state, out, i):
            continue
        q, n = _select(acc, state, params, table, i)
        limit = np.int64(params[LIMIT, i])
        r0 = np.int64(state[1, i]) + _shift(params[GAIN, i] * q, np.int64(params[SH_Q, i]))
        r = _clip(r0, limit)
        current = np.int64(state[2, i])
        v = (np.int64(params[KAP, i]) * state[3, i]) >> np.int64(15)
        v += _shift(params[P_VI, i] * current, np.int64(params[SH_IV, i]))
        v += _shift(params[P_VR, i] * r, np.int64(params[SH_RV, i]))
        i0 = _shift(params[B, i] * r, np.int64(params[SH_RI, i])) + ((params[RHO, i] * current) >> np.int64(15))
        current = _clip(i0, limit)
        state[1, i] = (params[RHO, i] * r) >> np.int64(15)
        state[2, i] = current
        saturated += n + np.int64(r != r0) + np.int64(current != i0) + _fire(v, 3, state, params, out, i)
    return saturated


def _float_select(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    z, d, c = acc["z"] + params["b_z"], acc["d"] + params["b_d"], acc["c"] + params["b_c"]
    abar = np.exp(-params["a"] * np.logaddexp(0.0, d))
    x = z + abar * (state["x"] - z)
    q: Floats = c * x + params["D"] * z
    # z, d, c, q and V- are kept beside the states: calibration reads their ranges.
    state.update(z=z, d=d, c=c, x=x, q=q)
    return q


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


def float_delta(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Float twin of ``bim_d_delta``; arrays [..., n]."""
    q = _float_select(acc, state, params)
    return _float_fire(params["kap"] * state["V"] + params["gain"] * q, state, params)


def float_exp(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Float twin of ``bim_d_exp``."""
    current = state["I"] + params["gain"] * _float_select(acc, state, params)
    v = params["kap"] * state["V"] + params["p_vi"] * current
    state.update(I=params["rho"] * current, i_pre=current)
    return _float_fire(v, state, params)


def float_alpha(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Float twin of ``bim_d_alpha``."""
    r = state["r"] + params["gain"] * _float_select(acc, state, params)
    v = params["kap"] * state["V"] + params["p_vi"] * state["I"] + params["p_vr"] * r
    state.update(I=params["b"] * r + params["rho"] * state["I"], r=params["rho"] * r, r_pre=r)
    return _float_fire(v, state, params)


_X, _R, _I, _V, _REF = Word("x", 24), Word("r", 24), Word("I", 24), Word("V", 24), Word("ref", 4, signed=False)
_A = Word("A", 24, meaning="raised part of the threshold")
_PARAMS = {"delta": _SHARED, "exp": _SHARED + _EXP, "alpha": _SHARED + _ALPHA}
_WAIT = Word("wait", 6, signed=False, meaning="steps left before the first update")
_STATES = {
    "delta": (_X, _V, _REF, _WAIT),
    "exp": (_X, _I, _V, _REF, _WAIT),
    "alpha": (_X, _R, _I, _V, _REF, _WAIT),
}
_KERNELS = {"delta": delta_kernel, "exp": exp_kernel, "alpha": alpha_kernel}
_FLOAT: dict[str, FloatStep] = {"delta": float_delta, "exp": float_exp, "alpha": float_alpha}
_MULTIPLIES = {"delta": 5, "exp": 7, "alpha": 10}  # Abar (x - z), c x, D z, and 2 / 4 / 7 of the PSP and the membrane


_BRIAN2_SELECT = """
z = acc_z + b_z
d = acc_d + b_d
x = z + exp(-a * log(1 + exp(d))) * (x - z)
q = (acc_c + b_c) * x + D * z
"""
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


def _brian2(psp: str, adaptive: bool, graded: bool) -> str:
    threshold = "(theta + A)" if adaptive else "theta"
    return "\n".join(
        (
            _BRIAN2_SELECT + _BRIAN2_PSP[psp],
            "free = int(ref < 0.5)",
            f"s = free * int(y >= {threshold})",
            f"V = int(hard > 0.5) * free * (1 - s) * y + int(hard < 0.5) * (y - {threshold} * s)",
            "ref = s * n_ref + (1 - s) * clip(ref - 1, 0, 64)",
            *(("A = rho_a * A + beta * s",) if adaptive else ()),
            "out = y" if graded else "out = s",
        )
    )


def model_name(psp: str, adaptive: bool = False, graded: bool = False) -> str:
    """Name of the model with this kernel: ``bim_d_alpha``, ``bim_d_exp_adaptive``, ``bim_d_delta_graded`` ..."""
    return f"bim_d_{psp}" + ("_adaptive" if adaptive else "") + ("_graded" if graded else "")


def _model(psp: str, adaptive: bool, graded: bool) -> NeuronModel:
    states = _STATES[psp] + ((_A,) if adaptive else ())
    words = len(states) - 1  # wait is read and written in the first steps only
    return NeuronModel(
        model_name(psp, adaptive, graded),
        ("z", "d", "c"),
        states,
        _PARAMS[psp],
        _KERNELS[psp],
        _FLOAT[psp],
        UpdateOps(
            mul=_MULTIPLIES[psp] + adaptive, add=words + 7 + adaptive, lut=1, state_read=words, state_write=words
        ),
        emits="graded" if graded else "binary",
        tables=("decay",),
        float_states=tuple(w.name for w in states if w.name != "wait"),
        initial={"wait": "wait"},
        brian2=_brian2(psp, adaptive, graded),
    )


for _psp in _STATES:
    for _adaptive in (False, True):
        for _graded in (False, True):
            register(_model(_psp, _adaptive, _graded))
