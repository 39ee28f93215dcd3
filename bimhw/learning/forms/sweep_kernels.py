"""Compiled loops (numba) of the sweep of `bimhw.learning.forms.adjoint`, neurons side by side as in `bimhw.models.bim.lanes`."""

from __future__ import annotations

import numpy as np
from numba import njit

from bimhw.models.bim.elementary import exp_below, exp_below_single
from bimhw.models.bim.lanes import U, W, put, take
from bimhw.models.bim.loops import Words
from simulator.base.arrays import Array

PSP_CODE = {"delta": 0, "exp": 1, "alpha": 2}

# what is read of a step, in the order of the arguments; what is written; the adjoints between steps; sums
SIGNAL, MESSAGE, PSI, KEEP, BY_SPIKE, ABAR, C, Z, D, GAIN, X_OLD, X_NEW, DELTA = range(13)
P_IN, P_DELTA, P_C, X, R, CUR, V, F, PRE, L_Q, RATE, DIRECT, ROWS = range(13, 26)


@njit(nogil=True, forceinline=True)
def neuron(words: Array, consts: Array, spikes: bool, membrane: bool) -> None:
    """Go from the adjoints after a step to that of V-; update those of f and V."""
    kap, k_f, one = consts[0], consts[6], consts.dtype.type(1)
    for j in range(U(W)):
        v, lf = words[U(V * W) + j], words[U(F * W) + j] + words[U(SIGNAL * W) + j]
        part, ls = (one - k_f) * lf, words[U(MESSAGE * W) + j]
        words[U(F * W) + j] = k_f * lf
        pre = words[U(KEEP * W) + j] * v
        pre = pre + part if membrane else pre
        ls = ls if membrane else ls + part
        ls = ls + words[U(BY_SPIKE * W) + j] * v if spikes else ls
        pre = pre + words[U(PSI * W) + j] * ls
        words[U(PRE * W) + j] = pre
        words[U(V * W) + j] = kap * pre


@njit(nogil=True, forceinline=True)
def kernel(words: Array, consts: Array, psp: int) -> None:
    """Go from the adjoint of V- to that of q; update those of r and I."""
    rho, p_vi, p_vr, b, c_in = consts[1], consts[2], consts[3], consts[4], consts[5]
    for j in range(U(W)):
        pre, current, r = words[U(PRE * W) + j], words[U(CUR * W) + j], words[U(R * W) + j]
        now, back = rho * current + p_vi * pre, rho * r + b * current + p_vr * pre
        words[U(CUR * W) + j] = now if psp > 0 else current
        words[U(R * W) + j] = back if psp > 1 else r
        words[U(L_Q * W) + j] = c_in * p_vi * pre if psp == 0 else c_in * (now if psp == 1 else back)


@njit(nogil=True, error_model="numpy", forceinline=True)
def logistic(words: Array, of: np.uint64, to: np.uint64) -> None:
    """Write sigmoid(d) = dDelta/dd of the row of d at `of` to the row at `to`."""
    if words.itemsize == 4:
        for j in range(U(W)):
            d = np.float32(words[of + j])
            e, one = exp_below_single(-abs(d)), np.float32(1)
            words[to + j] = (one if d > np.float32(0) else e) / (one + e)
    else:
        for j in range(U(W)):
            wide = np.float64(words[of + j])
            small = exp_below(-abs(wide))
            words[to + j] = (1.0 if wide > 0 else small) / (1.0 + small)


@njit(nogil=True, forceinline=True)
def select(words: Array, sums: Array) -> None:
    """Go from the adjoint of q to those of the ports; update that of x; add to the sums [2, W] of A_log and D."""
    for j in range(U(W)):
        l_q, z, abar = words[U(L_Q * W) + j], words[U(Z * W) + j], words[U(ABAR * W) + j]
        l_x = words[U(X * W) + j] + words[U(C * W) + j] * l_q
        words[U(X * W) + j] = abar * l_x
        through = words[U(RATE * W) + j] * abar * (z - words[U(X_OLD * W) + j]) * l_x
        words[U(P_IN * W) + j] = words[U(GAIN * W) + j] * l_x + words[U(DIRECT * W) + j] * l_q
        words[U(P_DELTA * W) + j] = through * words[U(D * W) + j]
        words[U(P_C * W) + j] = l_q * words[U(X_NEW * W) + j]
        sums[j] += through * words[U(DELTA * W) + j]
        sums[U(W) + j] += l_q * z


@njit(nogil=True, forceinline=True)
def _begin(words: Array, adjoints: Array, rows: Words, here: np.uint64, n: np.uint64, size: int) -> None:
    """Take the adjoints x, r, I, V, f of [5, B, H]; where dV/dV- is not given, it is 1; where a message is not, 0."""
    for row in range(5):
        take(words, X + row, adjoints, here + U(row * size), n)
    if len(rows[KEEP]) == 0:
        words[KEEP * W : (KEEP + 1) * W] = 1
    if len(rows[MESSAGE]) == 0:
        words[MESSAGE * W : (MESSAGE + 1) * W] = 0


@njit(cache=True, nogil=True)
def sweep(
    rows: Words,  # signal dL/df, message dL/ds from above, psi, dV/dV-, dV/ds: each [T, B, H]; none: [0]
    consts: Array,  # as in `packed_kernels.packed_step`
    psp: int,
    membrane: bool,
    adjoints: Array,  # [5, B, H] of x, r, I, V, f: in after the last step, out before the first
    l_q: Array,  # [T, B, H] out
) -> None:
    """Sweep back through readout feature, membrane and kernel."""
    _, batch, hidden = adjoints.shape
    words, flat, to, size = np.zeros(ROWS * W, consts.dtype), adjoints.ravel(), l_q.ravel(), batch * hidden
    for i in range(batch):
        for first in range(0, hidden, W):
            n, here = U(min(W, hidden - first)), U(i * hidden + first)
            _begin(words, flat, rows, here, n, size)
            for t in range(l_q.shape[0] - 1, -1, -1):
                at = U((t * batch + i) * hidden + first)
                for row in range(5):
                    if len(rows[row]) > 0:
                        take(words, row, rows[row], at, n)
                neuron(words, consts, len(rows[BY_SPIKE]) > 0, membrane)
                kernel(words, consts, psp)
                put(words, L_Q, to, at, n)
            for row in range(5):
                put(words, X + row, flat, here + U(row * size), n)


@njit(cache=True, nogil=True)
def sweep_diag(
    rows: Words,  # as `sweep`, then Abar, c, z, d, 1 - Abar, x before and after, Delta: each [T, B, H]
    own: Words,  # exp(A_log), D: each [H]
    consts: Array,
    psp: int,
    membrane: bool,
    adjoints: Array,  # [5, B, H] as `sweep`
    ports: Array,  # [T, B, 3, H] adjoints of z, d, c, out
    sums: Array,  # [2, H] those of A_log and D, summed, out
) -> None:
    """Sweep back through a ``diag`` layer without adaptive threshold, down to its ports."""
    _, batch, hidden = adjoints.shape
    words, flat, to, size = np.zeros(ROWS * W, consts.dtype), adjoints.ravel(), ports.ravel(), batch * hidden
    part = np.zeros(2 * W, np.float64)
    for first in range(0, hidden, W):
        n = U(min(W, hidden - first))
        part[:] = 0
        take(words, RATE, own[0], U(first), n)
        take(words, DIRECT, own[1], U(first), n)
        for i in range(batch):
            here = U(i * hidden + first)
            _begin(words, flat, rows, here, n, size)
            for t in range(ports.shape[0] - 1, -1, -1):
                at = U((t * batch + i) * hidden + first)
                for row in range(13):
                    if len(rows[row]) > 0:
                        take(words, row, rows[row], at, n)
                logistic(words, U(D * W), U(D * W))
                neuron(words, consts, len(rows[BY_SPIKE]) > 0, membrane)
                kernel(words, consts, psp)
                select(words, part)
                for row in range(3):
                    put(words, P_IN + row, to, U(((t * batch + i) * 3 + row) * hidden + first), n)
            for row in range(5):
                put(words, X + row, flat, here + U(row * size), n)
        for j in range(n):
            sums[0, first + j], sums[1, first + j] = part[j], part[W + j]
