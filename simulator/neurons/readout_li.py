"""Readout: a leaky integrator that never fires and that the host reads.

The model's readout is o = W sbar + b with the filtered spikes sbar <- k sbar + (1 - k) s. The filter is linear, so
W filter(s) = filter(W s): binary spikes go over the mesh, and C readout neurons carry the filter instead of H traces::

    y <- k y + (1 - k) (acc + b)        y(0) = b        o = y

Integer form: y <- y + floor(m (shift(acc mul) + b - y) / 2^15) with m = round((1 - k) 2^15); y saturates at ``limit``.

``readout_li_two`` reads spikes and membranes through filters of their own, one port each (`acc`, `acc_v`)::

    f <- k f + (1 - k) (acc + b)        f(0) = b
    g <- k_v g + (1 - k_v) acc_v        g(0) = 0        o = y = f + g

with m_v, mul_v, sh_v for g as m, mul, sh for f; f, g and y saturate at ``limit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba as nb
import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.base import NeuronModel, Traits, UpdateOps, Word, register
from simulator.neurons.sampling import dyadic

LEAK_FRAC = 15


@nb.njit(cache=True, nogil=True)
def readout_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel; one state y, no output."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        right = np.int64(params[2, i])
        drive = np.int64(acc[0, i]) * params[1, i]
        drive = (drive >> right if right >= 0 else drive << -right) + params[0, i]
        y0 = np.int64(state[0, i])
        y0 += (np.int64(params[3, i]) * (drive - y0)) >> np.int64(LEAK_FRAC)
        limit = np.int64(params[4, i])
        y = min(max(y0, -limit - 1), limit)
        saturated += np.int64(y != y0)
        state[0, i] = y
        out[i] = 0
    return saturated


@nb.njit(cache=True, nogil=True)
def _filtered(before, drive, m):  # type: ignore[no-untyped-def]
    return before + ((np.int64(m) * (drive - before)) >> np.int64(LEAK_FRAC))


@nb.njit(cache=True, nogil=True)
def _scaled(acc, mul, right):  # type: ignore[no-untyped-def]
    drive, right = np.int64(acc) * mul, np.int64(right)
    return drive >> right if right >= 0 else drive << -right


@nb.njit(cache=True, nogil=True)
def two_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Run the integer kernel of ``readout_li_two``; states y, f, g, no output."""
    saturated = np.int64(0)
    for i in range(lo, hi):
        limit = np.int64(params[4, i])
        f0 = _filtered(
            np.int64(state[1, i]), _scaled(acc[0, i], params[1, i], params[2, i]) + params[0, i], params[3, i]
        )
        g0 = _filtered(np.int64(state[2, i]), _scaled(acc[1, i], params[5, i], params[6, i]), params[7, i])
        f, g = min(max(f0, -limit - 1), limit), min(max(g0, -limit - 1), limit)
        y = min(max(f + g, -limit - 1), limit)
        saturated += np.int64(f != f0) + np.int64(g != g0) + np.int64(y != f + g)
        state[0, i], state[1, i], state[2, i] = y, f, g
        out[i] = 0
    return saturated


def float_two(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Run the float twin of ``readout_li_two``; arrays [..., n]."""
    k, k_v = params["k"], params["k_v"]
    state["f"] = k * state["f"] + (1 - k) * (acc["in"] + params["b"])
    state["g"] = k_v * state["g"] + (1 - k_v) * acc["membrane"]
    state["y"] = state["f"] + state["g"]
    return np.zeros_like(state["y"])


def float_readout(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Run the float twin; arrays [..., n]."""
    k = params["k"]
    state["y"] = k * state["y"] + (1 - k) * (acc["in"] + params["b"])
    return np.zeros_like(state["y"])


_PARAMS = (
    Word("b", 24, meaning="bias, binary point of y"),
    Word("mul", 16, meaning="scale of the accumulator before its shift (1 for power-of-two scales)"),
    Word("sh", 6, meaning="right shift from the accumulator to the binary point of y (negative: left)"),
    Word("m", 16, signed=False, meaning="(1 - k) with 15 fractional bits"),
    Word("limit", 24, signed=False, meaning="largest value of y"),
)


def _sample(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {"k": dyadic(rng, n, 0, 0.95), "b": dyadic(rng, n, -1, 1)}


READOUT = register(
    NeuronModel(
        "readout_li",
        ("in",),
        (Word("y", 24, meaning="filtered score"),),
        _PARAMS,
        readout_kernel,
        float_readout,
        UpdateOps(mul=1, add=3, state_read=1, state_write=1),
        emits="none",
        float_states=("y",),
        initial={"y": "b"},
        fires="never",
        parallel=True,
        brian2="y = k * y + (1 - k) * (acc_in + b)",
        family="readout_li",
        traits=Traits(membrane="y", plastic_ports=("in",)),
        lowering="bimhw.compiler.lower.readout",
        sample_params=_sample,
    )
)

READOUT_TWO = register(
    NeuronModel(
        "readout_li_two",
        ("in", "membrane"),
        (
            Word("y", 24, meaning="score"),
            Word("f", 24, meaning="filtered spikes and bias"),
            Word("g", 24, meaning="filtered membranes"),
        ),
        (
            *_PARAMS,
            Word("mul_v", 16, meaning="mul of the port membrane"),
            Word("sh_v", 6, meaning="sh of the port membrane"),
            Word("m_v", 16, signed=False, meaning="(1 - k_v) with 15 fractional bits"),
        ),
        two_kernel,
        float_two,
        UpdateOps(mul=2, add=6, state_read=2, state_write=3),
        emits="none",
        float_states=("y", "f", "g"),
        initial={"y": "b", "f": "b"},
        fires="never",
        family="readout_li",
        traits=Traits(membrane="y"),
        lowering="bimhw.compiler.lower.readout",
        sample_params=lambda rng, n: _sample(rng, n) | {"k_v": dyadic(rng, n, 0, 0.95)},
        brian2="f = k * f + (1 - k) * (acc_in + b)\ng = k_v * g + (1 - k_v) * acc_membrane\ny = f + g",
    )
)
