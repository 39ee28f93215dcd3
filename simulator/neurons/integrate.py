"""Common parts of the plain integrators (``if``, ``li``, ``lif``, ``loihi_cuba``): saturation, the reset, parameter words."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.neurons.base import Word
from simulator.neurons.sampling import dyadic

V_MAX = 2**31 - 1  # of a 32-bit potential

BIAS = Word("bias", 32, meaning="added at every step", unit="in")
VTH = Word("vth", 32, meaning="threshold", unit="in")
V_RESET = Word("v_reset", 32, meaning="V after a spike with hard reset", unit="in")
SOFT = Word("soft", 1, signed=False, meaning="1: subtract the threshold instead of resetting")
V_INIT = Word("v_init", 32, meaning="V before the first step", unit="in")
HELD = Word("held", 6, signed=False, meaning="refractory steps left")


def sample_fire(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Draw the parameters that ``if`` and ``lif`` share; see `simulator.neurons.sampling`."""
    drawn: dict[str, Any] = {"bias": dyadic(rng, n, -4, 8), "v_init": dyadic(rng, n, -8, 8)}
    drawn |= {"vth": dyadic(rng, n, 16, 80), "v_reset": dyadic(rng, n, -8, 0)}
    return drawn | {"soft": float(rng.integers(2))}


@numba.njit(cache=True, nogil=True)
def saturated(x: int, limit: int) -> tuple[int, int]:
    """Return (x within +-limit, 1 if it was beyond)."""
    if x > limit or x < -limit:
        return min(max(x, -limit), limit), 1
    return x, 0


@numba.njit(cache=True, nogil=True)
def reset(x: int, vth: int, v_reset: int, soft: int) -> Any:
    """Return (V after a spike at x, 1 if saturated): x - vth if soft (a negative vth may take it beyond), else v_reset."""
    return saturated(x - vth, V_MAX) if soft != 0 else (v_reset, 0)
