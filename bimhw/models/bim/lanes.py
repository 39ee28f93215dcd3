"""The equations of a ``diag`` layer for W neurons side by side, for compiled loops (numba).

A loop copies the words of W neurons into one array of rows [ROWS, W], works there and copies back. Within one array all distances
are constant, so that the compiler proves that nothing overlaps and uses vector instructions (see `packed_kernels` of the traces).
Lanes behind the last neuron compute without use. `bimhw.models.bim.cell` has the same equations as tensor operations.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bimhw.models.bim.elementary import exp_below, exp_below_single, log1p_unit, log1p_unit_single
from bimhw.models.bim.loops import Words
from simulator.base.arrays import Array

W = 32
U = np.uint64  # signed indices would be checked for being negative, which stops vectorisation

# what a step leaves, in the order of the record; then what it starts from
DELTA, ABAR, GAIN, X_OLD, V_PRE, S, FEATURE, FREE, Z, D, C, RATE, DIRECT, X, R, CUR, V, REF, F, ROWS = range(20)


@njit(nogil=True, forceinline=True)
def take(words: Array, row: int, source: Array, at: np.uint64, count: np.uint64) -> None:
    """Copy source[at : at + count] to a row."""
    to = U(row * W)
    for j in range(count):
        words[to + j] = source[at + j]


@njit(nogil=True, forceinline=True)
def put(words: Array, row: int, target: Array, at: np.uint64, count: np.uint64) -> None:
    """Copy a row to target[at : at + count]."""
    of = U(row * W)
    for j in range(count):
        target[at + j] = words[of + j]


@njit(nogil=True, forceinline=True)
def load(words: Array, states: Words, at: np.uint64, count: np.uint64) -> None:
    """Take r, i, v, ref, f of `count` neurons from `at` on."""
    r, cur, v, ref, f = states
    take(words, R, r, at, count)
    take(words, CUR, cur, at, count)
    take(words, V, v, at, count)
    take(words, REF, ref, at, count)
    take(words, F, f, at, count)


@njit(nogil=True, forceinline=True)
def store(words: Array, states: Words, psp: int, refractory: int, at: np.uint64, count: np.uint64) -> None:
    """Put back those of `load` that the kernel (0: delta, 1: exp, 2: alpha) and the neuron have."""
    r, cur, v, ref, f = states
    if psp == 2:
        put(words, R, r, at, count)
    if psp > 0:
        put(words, CUR, cur, at, count)
    if refractory > 0:
        put(words, REF, ref, at, count)
    put(words, V, v, at, count)
    put(words, F, f, at, count)


@njit(nogil=True, error_model="numpy", forceinline=True)  # a check for 0 stops vectorisation
def _decays(words: Array) -> None:
    """Compute Delta = softplus(d) and Abar = exp(-rate Delta); rate = 1: sigmoid(-d), with the smaller rounding error."""
    for j in range(U(W)):
        d, rate = np.float64(words[U(D * W) + j]), np.float64(words[U(RATE * W) + j])
        e = exp_below(-abs(d))
        delta = log1p_unit(e) + (d if d > 0 else 0.0)
        words[U(DELTA * W) + j] = delta
        decayed, closed = exp_below(-rate * delta), (e if d > 0 else 1.0) / (1.0 + e)
        words[U(ABAR * W) + j] = closed if rate == 1.0 else decayed


@njit(nogil=True, error_model="numpy", forceinline=True)
def _decays_single(words: Array) -> None:
    """Do as `_decays` in single precision."""
    one, zero = np.float32(1), np.float32(0)
    for j in range(U(W)):
        d, rate = np.float32(words[U(D * W) + j]), np.float32(words[U(RATE * W) + j])
        e = exp_below_single(-abs(d))
        delta = log1p_unit_single(e) + (d if d > zero else zero)
        words[U(DELTA * W) + j] = delta
        decayed, closed = exp_below_single(-rate * delta), (e if d > zero else one) / (one + e)
        words[U(ABAR * W) + j] = closed if rate == one else decayed


@njit(nogil=True, forceinline=True)
def select(words: Array) -> None:
    """Move the selective state x by a step: Delta, Abar, 1 - Abar, the old x, and q in the feature's row."""
    one = words.dtype.type(1)
    if words.itemsize == 4:
        _decays_single(words)
    else:
        _decays(words)
    for j in range(U(W)):
        abar, z, old = words[U(ABAR * W) + j], words[U(Z * W) + j], words[U(X * W) + j]
        new = z + abar * (old - z)
        words[U(GAIN * W) + j] = one - abar
        words[U(X_OLD * W) + j] = old
        words[U(X * W) + j] = new
        words[U(FEATURE * W) + j] = words[U(C * W) + j] * new + words[U(DIRECT * W) + j] * z


@njit(nogil=True, forceinline=True)
def respond(words: Array, consts: Array, psp: int) -> None:
    """Take q, in the feature's row, through the kernel: V-."""
    kap, rho, p_vi, p_vr, b, c_in = consts[0], consts[1], consts[2], consts[3], consts[4], consts[5]
    if psp == 0:
        for j in range(U(W)):
            kick = c_in * words[U(FEATURE * W) + j]
            words[U(V_PRE * W) + j] = kap * words[U(V * W) + j] + p_vi * kick
    elif psp == 1:
        for j in range(U(W)):
            now = words[U(CUR * W) + j] + c_in * words[U(FEATURE * W) + j]
            words[U(V_PRE * W) + j] = kap * words[U(V * W) + j] + p_vi * now
            words[U(CUR * W) + j] = rho * now
    else:
        for j in range(U(W)):
            now, current = words[U(R * W) + j] + c_in * words[U(FEATURE * W) + j], words[U(CUR * W) + j]
            words[U(V_PRE * W) + j] = kap * words[U(V * W) + j] + p_vi * current + p_vr * now
            words[U(CUR * W) + j] = b * now + rho * current
            words[U(R * W) + j] = rho * now


@njit(nogil=True, forceinline=True)
def fire(words: Array, consts: Array, hard: bool, refractory: int, membrane: bool) -> None:
    """Fire and reset from V-: spikes, who was free to fire, V, ref, the feature; without refractory time ref is 0."""
    k_f, theta = consts[6], consts[7]
    one, zero, rest = consts.dtype.type(1), consts.dtype.type(0), consts.dtype.type(refractory)
    for j in range(U(W)):
        pre, ref = words[U(V_PRE * W) + j], words[U(REF * W) + j]
        free = one if ref == zero else zero
        s = free if pre - theta >= zero else zero
        less = ref - one
        words[U(REF * W) + j] = rest if s > zero else (less if less > zero else zero)
        kept = pre if free > s else zero
        words[U(V * W) + j] = kept if hard else (pre - theta if s > zero else pre)
        f = k_f * words[U(F * W) + j] + (one - k_f) * (pre if membrane else s)
        words[U(F * W) + j] = f
        words[U(FEATURE * W) + j] = f
        words[U(S * W) + j] = s
        words[U(FREE * W) + j] = free
