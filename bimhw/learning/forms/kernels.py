"""A compiled loop (numba) of learning: Adam; the sweep is in `sweep_kernels`, dense traces are in `packed_kernels`."""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.base.arrays import Array


@njit(
    cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy", forceinline=True
)  # a check for 0 stops vectorisation
def adam_step(
    values: Array, g: Array, first: Array, second: Array, b1: float, b2: float, lr: float, count: int, eps: float
) -> None:
    """Update values <- values - lr m' / (sqrt(v') + eps) with bias-corrected moments m', v' (Kingma & Ba 2015)."""
    kind = values.dtype.type
    k1, k2 = kind(1 - b1), kind(1 - b2)
    step, root = kind(lr / (1 - b1**count)), kind(1 / (1 - b2**count))
    small = kind(eps)
    for i in range(len(values)):
        first[i] += k1 * (g[i] - first[i])
        second[i] += k2 * (g[i] * g[i] - second[i])
        values[i] -= step * first[i] / (np.sqrt(second[i] * root) + small)
