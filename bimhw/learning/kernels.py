"""Fused loops (numba) of the dense traces of a ``diag`` layer: one pass over the memory per step.

Same equations as `bimhw.learning.traces`, which is their plain twin in the tests; the gradient of the step is taken in the same
pass, so the error signal must be known before the traces move (it is: it depends on the forward step alone).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

PSP_CODE = {"delta": 0, "exp": 1, "alpha": 2}


def call_kernel(kernel: Any, *arguments: Any) -> None:
    """Call a compiled function (type checkers do not see through its decorator)."""
    kernel(*arguments)


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def adam_step(
    values: Any, g: Any, first: Any, second: Any, b1: float, b2: float, lr: float, count: int, eps: float
) -> None:
    """values <- values - lr m' / (sqrt(v') + eps) with bias-corrected moments m', v' (Kingma & Ba 2015)."""
    kind = values.dtype.type
    k1, k2 = kind(1 - b1), kind(1 - b2)
    step, root = kind(lr / (1 - b1**count)), kind(1 / (1 - b2**count))
    small = kind(eps)
    for i in range(len(values)):
        first[i] += k1 * (g[i] - first[i])
        second[i] += k2 * (g[i] * g[i] - second[i])
        values[i] -= step * first[i] / (np.sqrt(second[i] * root) + small)


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz", "arcp"})
def dense_step(
    ex: Any,  # [B, H, 2 M1 + 1]  updated
    er: Any,  # [B, H, P] (alpha), else anything
    ei: Any,  # [B, H, P] (alpha, exp)
    ev: Any,  # [B, H, P]
    ef: Any,  # [B, H, P]
    u: Any,  # [B, M1 - 1]
    step: Any,  # Delta, abar, x_old, x_new, V-, s, m (any shape without refractory time), z, d, c, dL/df: each [B, H]
    a_log: Any,  # [H]
    d: Any,  # [H]
    consts: Any,  # [9]: kap, rho, p_vi, p_vr, b, gain c, k of f, theta, surrogate width
    psp: int,
    flags: Any,  # bools: hard reset, detached reset, triangle surrogate, membrane feature, refractory time
    out: Any,  # [H, P] gradient, overwritten
) -> None:
    """Move all traces of a layer by one step and take the step's gradient."""
    batch, neurons, columns = ev.shape
    m1 = u.shape[1] + 1
    big_delta, abars, x_olds, x_news, v_pres, spikes, free, zs, ds, cs, deltas = step
    hard, detached, triangle, membrane, refractory = flags
    kap, rho, p_vi, p_vr, b, c_in, k_f, theta, width = consts
    one = consts.dtype.type(1)
    eq = np.empty(columns, ev.dtype)
    u1 = np.ones(m1, ev.dtype)
    rates = np.exp(a_log)
    out[:] = 0
    for i in range(batch):
        u1[: m1 - 1] = u[i]
        for h in range(neurons):  # in the order of the traces in memory
            row, direct, rate = out[h], d[h], rates[h]
            abar, x_new, z, c = abars[i, h], x_news[i, h], zs[i, h], cs[i, h]
            delta, v_pre, m = deltas[i, h], v_pres[i, h], one
            if refractory:
                m = free[i, h]
            through = rate * abar * (z - x_olds[i, h])
            gain = one - abar
            sig = gain if rate == one else one / (one + np.exp(-ds[i, h]))  # A_log = 0: Abar = sigmoid(-d)
            g, own = through * sig, through * big_delta[i, h]
            far = abs(v_pre - theta) / width
            psi = m * (max(one - far, consts.dtype.type(0)) if triangle else one / ((one + far) * (one + far)))
            keep = m * (one - spikes[i, h]) if hard else one
            if not detached:
                keep -= psi * (m * v_pre if hard else theta)
            slope = (one - k_f) * (one if membrane else psi)
            x, v, f = ex[i, h], ev[i, h], ef[i, h]
            for j in range(m1):
                t = abar * x[j] + gain * u1[j]
                x[j] = t
                eq[j] = c * t + direct * u1[j]
            for j in range(m1):
                t = abar * x[m1 + j] + g * u1[j]
                x[m1 + j] = t
                eq[m1 + j] = c * t
            t = abar * x[2 * m1] + own
            x[2 * m1] = t
            eq[2 * m1] = c * t
            for j in range(m1):
                eq[2 * m1 + 1 + j] = x_new * u1[j]
            eq[columns - 1] = z
            if psp == 0:
                kick = p_vi * c_in
                for p in range(columns):
                    pre = kap * v[p] + kick * eq[p]
                    v[p] = keep * pre
                    new = k_f * f[p] + slope * pre
                    f[p] = new
                    row[p] += delta * new
            elif psp == 1:
                current = ei[i, h]
                for p in range(columns):
                    now = current[p] + c_in * eq[p]
                    pre = kap * v[p] + p_vi * now
                    current[p] = rho * now
                    v[p] = keep * pre
                    new = k_f * f[p] + slope * pre
                    f[p] = new
                    row[p] += delta * new
            else:
                current, rising = ei[i, h], er[i, h]
                for p in range(columns):
                    now = rising[p] + c_in * eq[p]
                    pre = kap * v[p] + p_vi * current[p] + p_vr * now
                    current[p] = b * now + rho * current[p]
                    rising[p] = rho * now
                    v[p] = keep * pre
                    new = k_f * f[p] + slope * pre
                    f[p] = new
                    row[p] += delta * new


@njit(cache=True, nogil=True)
def sweep(
    signal: Any,  # [T, B, H] dL/df
    message: Any,  # [T, B, H] dL/ds from above
    psi: Any,  # [T, B, H]
    keep: Any,  # [T, B, H] or [0, 0, 0]: 1
    by_spike: Any,  # [T, B, H] or [0, 0, 0]: 0
    abar: Any,  # [T, B, H]
    c: Any,  # [T, B, H]
    consts: Any,  # as in `dense_step`
    psp: int,
    membrane: bool,
    l_q: Any,  # [T, B, H] out
    l_x: Any,  # [T, B, H] out
    start: Any,  # [5, B, H] adjoints x, r, i, v, f: in after the last step, out before the first
) -> None:
    """The sweep of `bimhw.learning.adjoint` for a ``diag`` layer without adaptive threshold."""
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
