"""Readout: a leaky integrator that never fires and that the host reads.

The model's readout is o = W sbar + b with the filtered spikes sbar <- k sbar + (1 - k) s. The filter is linear, so
W filter(s) = filter(W s): binary spikes go over the mesh, and C readout neurons carry the filter instead of H traces::

    y <- k y + (1 - k) (acc + b)        y(0) = b        o = y

Integer form: y <- y + floor(m (shift(acc mul) + b - y) / 2^15) with m = round((1 - k) 2^15); y saturates at ``limit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from simulator.neurons.base import NeuronModel, UpdateOps, Word, register

Floats = npt.NDArray[np.float64]
LEAK_FRAC = 15


@nb.njit(cache=True, nogil=True)
def readout_kernel(acc, state, params, table, out, lo, hi, step, seed, first_id):  # type: ignore[no-untyped-def]
    """Integer kernel; one state y, no output."""
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


def float_readout(acc: dict[str, Floats], state: dict[str, Floats], params: Mapping[str, Any]) -> Floats:
    """Float twin; arrays [..., n]."""
    k = params["k"]
    state["y"] = k * state["y"] + (1 - k) * (acc["in"] + params["b"])
    return np.zeros_like(state["y"])


READOUT = register(
    NeuronModel(
        "readout_li",
        ("in",),
        (Word("y", 24, meaning="filtered score"),),
        (
            Word("b", 24, meaning="bias, binary point of y"),
            Word("mul", 16, meaning="scale of the accumulator before its shift (1 for power-of-two scales)"),
            Word("sh", 6, meaning="right shift from the accumulator to the binary point of y (negative: left)"),
            Word("m", 16, signed=False, meaning="(1 - k) with 15 fractional bits"),
            Word("limit", 24, signed=False, meaning="largest value of y"),
        ),
        readout_kernel,
        float_readout,
        UpdateOps(mul=1, add=3, state_read=1, state_write=1),
        emits="none",
        float_states=("y",),
        initial={"y": "b"},
        fires="never",
        parallel=True,
        brian2="y = k * y + (1 - k) * (acc_in + b)",
    )
)
