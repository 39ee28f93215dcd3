"""Leaky integrators with every reset of the field's frameworks, with or without a synaptic current.

Float equations of one neuron in step t, `acc` the sum of what arrives::

    leaky        x = keep v + acc + bias
    leaky_cuba   u = keep_u u + acc + bias_u;   x = keep v + u + bias         (the current first, in the same step)
    z = [x > theta] (strict), [x >= theta], or floor(x / theta) where x > 0 (multi: several spikes in a step)
    reset, by its number:
      0  v = v_reset where z                1  v = x - theta z
      2  x is lowered by theta z(t-1) before it is compared; v = x
      3  x = v_reset where z(t-1): the step's input is lost; v = x
      4  v = v_reset where z(t-1) before the step's leak; v = x
      5  no reset: v = x
      6  x is lowered by theta [v(t-1) > theta] while it is compared; v = x - theta z
    v = max(v, v_min)

A neuron with ``fires`` = 0 emits its membrane v as a graded spike in every step (models named ``..._graded``; these also
carry the counts of ``multi``). keep = 1 is an integrator without leak, keep = 0 a plain threshold.

Integer form: each value is stored as round(value 2^f), f common to x, u, v; keep has 16 fractional bits and its product
is rounded to the nearest, ties up; acc is scaled by ``mul`` and shifted right to f in the same way; x, u, v saturate at
``limit``, counted. A neuron of layer l waits for l steps (state ``wait``), so that it does at step t + l what a
same-step model does at t.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numba as nb
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Traits, UpdateOps, Word, register
from simulator.neurons.membrane import PAYLOAD_LIMIT, waits
from simulator.neurons.sampling import dyadic

KEEP_FRAC = 16
HARD, SOFT, SOFT_NEXT, LOST, HARD_NEXT, NONE, SOFT_LOWERED = range(7)
ABOVE, REACHED, MULTI = range(3)

_PARAMS = (
    Word("mul", 16, signed=False, meaning="scale of the accumulator before its shift (1 for power-of-two scales)"),
    Word("sh", 6, meaning="right shift from the accumulator to the binary point of v (negative: left)"),
    Word("bias", 24, meaning="added to the membrane at every step"),
    Word("keep", 17, signed=False, meaning="what v keeps of itself, 16 fractional bits"),
    Word("theta", 24, meaning="threshold"),
    Word("v_reset", 24, meaning="v after a spike with a reset to a value"),
    Word("v_init", 24, meaning="v before the first step"),
    Word("v_min", 24, meaning="least v"),
    Word("cmp", 2, signed=False, meaning="0: x > theta, 1: x >= theta, 2: several spikes a step"),
    Word("reset", 3, signed=False, meaning="number of the reset"),
    Word("fires", 1, signed=False, meaning="0: emits v in every step"),
    Word("sh_out", 6, signed=False, meaning="right shift from v to the graded payload"),
    Word("limit", 24, signed=False, meaning="largest stored value"),
    Word("wait", 8, signed=False, meaning="steps before the neuron starts: its layer"),
)
_CUBA = (
    Word("keep_u", 17, signed=False, meaning="what u keeps of itself, 16 fractional bits"),
    Word("bias_u", 24, meaning="added to the current at every step"),
)
(MUL, SH, BIAS, KEEP, THETA, V_RESET, V_INIT, V_MIN, CMP, RESET, FIRES, SH_OUT, LIMIT, WAIT, KEEP_U, BIAS_U) = range(16)


@nb.njit(cache=True, nogil=True)
def _clip(value: Any, limit: Any) -> Any:
    return min(max(value, -limit), limit)


@nb.njit(cache=True, nogil=True)
def _keep(value: Any, keep: Any) -> Any:
    """Return the nearest of value * keep / 2^16, ties up."""
    return (value * keep + (1 << 15)) >> 16


@nb.njit(cache=True, nogil=True)
def _arriving(acc, params, i):  # type: ignore[no-untyped-def]
    """Return the accumulator in the binary point of v, to the nearest, ties up."""
    right = np.int64(params[SH, i])
    value = np.int64(acc[0, i]) * params[MUL, i]
    if right <= 0:
        return value << -right
    return (value + (np.int64(1) << (right - 1))) >> right


@nb.njit(cache=True, nogil=True)
def _emit(x, v_row, state, params, out, i):  # type: ignore[no-untyped-def]
    """Compare, emit and reset; rows v, last start at `v_row`. Returns the saturated words."""
    limit, theta, reset = np.int64(params[LIMIT, i]), np.int64(params[THETA, i]), params[RESET, i]
    last = np.int64(state[v_row + 1, i])
    if reset == LOST and last > 0:
        x = np.int64(params[V_RESET, i])
    elif reset == SOFT_NEXT:
        x -= theta * last
    still = theta if reset == SOFT_LOWERED and np.int64(state[v_row, i]) > theta else np.int64(0)
    stored = _clip(x, limit)
    saturated = np.int64(stored != x)
    x = stored
    if params[FIRES, i] == 0:
        v = max(x, np.int64(params[V_MIN, i]))
        sent = v >> np.int64(params[SH_OUT, i])
        out[i] = _clip(sent, PAYLOAD_LIMIT)
        state[v_row, i] = v
        return saturated + np.int64(out[i] != sent)
    z, seen = np.int64(0), x - still
    if params[CMP, i] == MULTI:
        z = seen // theta if seen > 0 else z
    elif seen > theta or (params[CMP, i] == REACHED and seen == theta):
        z = np.int64(1)
    if z > 0 and reset == HARD:
        x = np.int64(params[V_RESET, i])
    elif reset in (SOFT, SOFT_LOWERED):
        x -= theta * z
    out[i] = z
    state[v_row, i] = max(_clip(x, limit), np.int64(params[V_MIN, i]))
    state[v_row + 1, i] = z
    return saturated


@nb.njit(cache=True, nogil=True)
def leaky_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel of ``leaky``; states v, last, wait."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        if waits(2, state, out, i):
            continue
        v = np.int64(state[0, i])
        if params[RESET, i] == HARD_NEXT and state[1, i] > 0:
            v = np.int64(params[V_RESET, i])
        x = _keep(v, np.int64(params[KEEP, i])) + _arriving(acc, params, i) + params[BIAS, i]
        saturated += _emit(x, 0, state, params, out, i)
    return saturated


@nb.njit(cache=True, nogil=True)
def cuba_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel of ``leaky_cuba``; states u, v, last, wait."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        if waits(3, state, out, i):
            continue
        u0 = _keep(np.int64(state[0, i]), np.int64(params[KEEP_U, i])) + _arriving(acc, params, i) + params[BIAS_U, i]
        u = _clip(u0, np.int64(params[LIMIT, i]))
        state[0, i] = u
        v = np.int64(state[1, i])
        if params[RESET, i] == HARD_NEXT and state[2, i] > 0:
            v = np.int64(params[V_RESET, i])
        x = _keep(v, np.int64(params[KEEP, i])) + u + params[BIAS, i]
        saturated += np.int64(u != u0) + _emit(x, 1, state, params, out, i)
    return saturated


def _float_emit(x: Floats, state: dict[str, Floats], p: Mapping[str, Any]) -> Floats:
    last = state["last"]
    x = np.where((p["reset"] == LOST) & (last > 0), p["v_reset"], x)
    x = np.where(p["reset"] == SOFT_NEXT, x - p["theta"] * last, x)
    state["v_pre"] = x
    seen = np.where((p["reset"] == SOFT_LOWERED) & (state["v"] > p["theta"]), x - p["theta"], x)
    with np.errstate(divide="ignore", invalid="ignore"):
        several = np.where(seen > 0, np.floor(seen / p["theta"]), 0.0)
    over = np.where(p["cmp"] == REACHED, seen >= p["theta"], seen > p["theta"])
    z = np.where(p["fires"] == 0, 0.0, np.where(p["cmp"] == MULTI, several, over))
    v = np.where((p["reset"] == HARD) & (z > 0), p["v_reset"], x)
    v = np.where((p["reset"] == SOFT) | (p["reset"] == SOFT_LOWERED), v - p["theta"] * z, v)
    state["v"], state["last"] = np.maximum(v, p["v_min"]), z
    return np.where(p["fires"] == 0, state["v"], z)


def _started(state: dict[str, Floats], p: Mapping[str, Any]) -> Floats:
    return np.where((p["reset"] == HARD_NEXT) & (state["last"] > 0), p["v_reset"], state["v"])


def float_leaky(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Run the float twin of ``leaky``; arrays [..., n]."""
    x = params["keep"] * _started(state, params) + acc["in"] + params["bias"]
    return _float_emit(x, state, params)


def float_cuba(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Run the float twin of ``leaky_cuba``; arrays [..., n]."""
    state["u"] = params["keep_u"] * state["u"] + acc["in"] + params["bias_u"]
    x = params["keep"] * _started(state, params) + state["u"] + params["bias"]
    return _float_emit(x, state, params)


_FLOAT_DEFAULTS = {"bias": 0, "v_reset": 0, "v_init": 0, "cmp": 0, "reset": 0, "fires": 1, "sh_out": 0, "wait": 0}
_V = (Word("v", 24, meaning="membrane"), Word("last", 16, signed=False, meaning="z of the last step"))
_WAIT = Word("wait", 8, signed=False, meaning="steps before the neuron starts")
_INITIAL = {"v": "v_init", "wait": "wait"}


_BRIAN2_START = "k = int(abs(reset - 4) < 0.5) * int(last > 0)\nw = k * v_reset + (1 - k) * v"
_BRIAN2_REST = """
k = int(abs(reset - 3) < 0.5) * int(last > 0)
y = k * v_reset + (1 - k) * y
y = y - int(abs(reset - 2) < 0.5) * theta * last
s = y - int(reset > 5.5) * int(v > theta) * theta
over = int(cmp < 0.5) * int(s > theta) + int(abs(cmp - 1) < 0.5) * int(s >= theta)
over = over + int(cmp > 1.5) * int(s > 0) * floor(s / (theta + int(theta < 1e-300)))
z = int(fires > 0.5) * over
k = int(reset < 0.5) * int(z > 0)
w = k * v_reset + (1 - k) * y
w = w - (int(abs(reset - 1) < 0.5) + int(reset > 5.5)) * theta * z
v = clip(w, v_min, 1e300)
last = z
out = int(fires > 0.5) * z + int(fires < 0.5) * v
"""
_INTEGER_START = "go = int(wait < 0.5)\n" + _BRIAN2_START
_INTEGER_REST = f"""
k = int(abs(reset - 3) < 0.5) * int(last > 0)
y = k * v_reset + (1 - k) * y
y = clip(y - int(abs(reset - 2) < 0.5) * theta * last, -limit, limit)
s = y - int(reset > 5.5) * int(v > theta) * theta
over = int(cmp < 0.5) * int(s > theta) + int(abs(cmp - 1) < 0.5) * int(s >= theta)
over = over + int(cmp > 1.5) * int(s > 0) * floor(s / (theta + int(abs(theta) < 0.5)))
z = int(fires > 0.5) * over
k = int(reset < 0.5) * int(z > 0)
w = k * v_reset + (1 - k) * y
w = w - (int(abs(reset - 1) < 0.5) + int(reset > 5.5)) * theta * z
v = go * clip(clip(w, -limit, limit), v_min, limit) + (1 - go) * v
last = go * z + (1 - go) * last
out = go * (int(fires > 0.5) * z + int(fires < 0.5) * clip(floor(v * 2.0 ** (-sh_out)), -{PAYLOAD_LIMIT}, {PAYLOAD_LIMIT}))
wait = clip(wait - 1, 0, 255)
"""
_INTEGER_KEEP = "\ny = floor((w * keep + 32768) / 65536)"
_ARRIVING = "floor(acc_in * mul * 2.0 ** (-sh) + 0.5)"
_BRIAN2_INTEGER = _INTEGER_START + f"{_INTEGER_KEEP} + {_ARRIVING} + bias" + _INTEGER_REST
_INTEGER_U = f"\nc = clip(floor((u * keep_u + 32768) / 65536) + {_ARRIVING} + bias_u, -limit, limit)"
_BRIAN2_INTEGER_CUBA = (
    _INTEGER_START + _INTEGER_U + "\nu = go * c + (1 - go) * u" + _INTEGER_KEEP + " + u + bias" + _INTEGER_REST
)
_BRIAN2 = _BRIAN2_START + "\ny = keep * w + acc_in + bias" + _BRIAN2_REST
_BRIAN2_CUBA = "u = keep_u * u + acc_in + bias_u\n" + _BRIAN2_START + "\ny = keep * w + u + bias" + _BRIAN2_REST


def _sample(rng: np.random.Generator, n: int, graded: bool, cuba: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "keep": dyadic(rng, n, 0.25, 1),
        "bias": dyadic(rng, n, -0.1, 0.3),
        "theta": dyadic(rng, n, 0.5, 1.5),
        "v_reset": dyadic(rng, n, -0.25, 0.25),
        "v_init": 0.0,
        "v_min": -8.0,
        "cmp": float(rng.integers(3 if graded else 2)),
        "reset": float(rng.integers(7)),
        "fires": float(rng.integers(2)) if graded else 1.0,
        "sh_out": 0.0,
    }
    return values | ({"keep_u": dyadic(rng, n, 0.25, 0.9), "bias_u": 0.0} if cuba else {})


def _register(name: str, graded: bool, cuba: bool) -> NeuronModel:
    return register(
        NeuronModel(
            name,
            ("in",),
            (*((Word("u", 24, meaning="synaptic current"),) if cuba else ()), *_V, _WAIT),
            (*_PARAMS, *(_CUBA if cuba else ())),
            cuba_kernel if cuba else leaky_kernel,
            float_cuba if cuba else float_leaky,
            UpdateOps(mul=2, add=5, state_read=3, state_write=3)
            if cuba
            else UpdateOps(mul=1, add=3, state_read=2, state_write=2),
            emits="graded" if graded else "binary",
            float_states=("u", "v", "last", "v_pre") if cuba else ("v", "last", "v_pre"),
            initial=_INITIAL,
            fires="x > theta, x >= theta or floor(x / theta)",
            defaults=_FLOAT_DEFAULTS,
            brian2=_BRIAN2_CUBA if cuba else _BRIAN2,
            brian2_integer=_BRIAN2_INTEGER_CUBA if cuba else _BRIAN2_INTEGER,
            family="leaky",
            traits=Traits(graded=graded, membrane="v", sends="v" if graded else "", several=("cmp", MULTI)),
            lowering="bimhw.compiler.lower.leaky",
            sample_params=partial(_sample, graded=graded, cuba=cuba),
        )
    )


for _name, _graded, _cuba in (
    ("leaky", False, False),
    ("leaky_graded", True, False),
    ("leaky_cuba", False, True),
    ("leaky_cuba_graded", True, True),
):
    _register(_name, _graded, _cuba)
