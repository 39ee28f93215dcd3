"""Compiled loops (numba) of learning: Adam, the backward sweep; those of the dense traces are in `packed_kernels`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

PSP_CODE = {"delta": 0, "exp": 1, "alpha": 2}


def call_kernel(kernel: Any, *arguments: Any) -> None:
    """Call a compiled function (type checkers do not see through its decorator)."""
    kernel(*arguments)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")  # a check for 0 stops vectorisation
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


@njit(cache=True, nogil=True, fastmath={"contract"})
def add_events(p: Array, u: Array, out: Array) -> None:
    """Update out [M, H] <- out + u^T p, of p [n, H] and u [n, M], by the entries of u that are not 0."""
    for n in range(len(u)):
        for m in range(u.shape[1]):
            w = u[n, m]
            if w != 0:
                for h in range(p.shape[1]):
                    out[m, h] += w * p[n, h]


@njit(cache=True, nogil=True)
def sweep(
    signal: Array,  # [T, B, H] dL/df
    message: Array,  # [T, B, H] dL/ds from above
    psi: Array,  # [T, B, H]
    keep: Array,  # [T, B, H] or [0, 0, 0]: 1
    by_spike: Array,  # [T, B, H] or [0, 0, 0]: 0
    abar: Array,  # [T, B, H]
    c: Array,  # [T, B, H]
    consts: Array,  # as in `packed_kernels.packed_step`
    psp: int,
    membrane: bool,
    l_q: Array,  # [T, B, H] out
    l_x: Array,  # [T, B, H] out
    start: Array,  # [5, B, H] adjoints x, r, i, v, f: in after the last step, out before the first
) -> None:
    """Run the sweep of `bimhw.learning.forms.adjoint` for a ``diag`` layer without adaptive threshold."""
    steps, batch, neurons = signal.shape
    kap, rho, p_vi, p_vr, b, c_in, k_f = consts[:7]
    has_keep, has_spike = keep.shape[0] > 0, by_spike.shape[0] > 0
    for t in range(steps - 1, -1, -1):
        for i in range(batch):
            x, r, cur, v, f = start[0, i], start[1, i], start[2, i], start[3, i], start[4, i]
            for h in range(neurons):
                lf = f[h] + signal[t, i, h]
                part = (1 - k_f) * lf
                f[h] = k_f * lf
                ls = message[t, i, h]
                pre = keep[t, i, h] * v[h] if has_keep else v[h]
                if membrane:
                    pre += part
                else:
                    ls += part
                if has_spike:
                    ls += by_spike[t, i, h] * v[h]
                pre += psi[t, i, h] * ls
                v[h] = kap * pre
                if psp == 0:
                    q = c_in * p_vi * pre
                elif psp == 1:
                    cur[h] = rho * cur[h] + p_vi * pre
                    q = c_in * cur[h]
                else:
                    r[h] = rho * r[h] + b * cur[h] + p_vr * pre
                    cur[h] = rho * cur[h] + p_vi * pre
                    q = c_in * r[h]
                l_q[t, i, h] = q
                now = x[h] + c[t, i, h] * q
                l_x[t, i, h] = now
                x[h] = abar[t, i, h] * now
