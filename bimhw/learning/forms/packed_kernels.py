"""Fused loops (numba) of the dense traces of a ``diag`` layer: one pass over the memory per step.

Same equations as `bimhw.learning.forms.traces`, which is their plain twin in the tests; the gradient of the step is
taken in the same pass, so the error signal must be known before the traces move (it is: it depends on the forward step alone).

Traces lie in blocks of W numbers, all words of a synapse triple (or of a neuron) as consecutive blocks, so that a loop over W
lanes has constant distances between all that it reads and writes. Only then does the compiler prove that they do not overlap and
uses vector instructions (measured: 0.12 ms against 0.39 ms a step at B=32, M=32, H=128, float32)::

    synapses  [H, B, M / W, words, W]        words: in (x y.. f) | delta (x y.. f) | c (y.. f)
    neurons   [H / W, B, words, W]           words: b_in, b_delta, a_log (x y.. f) | b_c, D (y.. f)
    y.. is v (delta kernel), i v (exp), r i v (alpha)

The kernel's shape arrives as a tuple with one entry per word of y.. f: its length is part of its type, so that each PSP kernel is
compiled with its own constants.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.base.arrays import AnyFloats, Bools

Flags = Bools
Factors = tuple[np.floating, np.floating, np.floating, np.floating, np.floating, np.floating]
Scaled = tuple[bool, bool, bool, bool, np.floating]
Shape = tuple[int, ...]

W = 16
U = np.uint64  # signed indices would be checked for being negative, which stops vectorisation
MATHS = {"contract", "reassoc", "nsz", "arcp"}

# per-neuron values of a step, in blocks of W neurons: as given, then derived
GIVEN = 11  # Delta, Abar, x_old, x_new, V-, s, m, z, d, c, dL/df
_DELTA, ABAR, _X_OLD, _X_NEW, _V_PRE, _S, _M, _Z, _D, C, ERROR = range(GIVEN)
_GAIN, _TO_D, _TO_A, KEEP, SLOPE, _DIRECT, _RATE, _SIG, VALUES = range(GIVEN, GIVEN + 9)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def respond(
    e: AnyFloats, at: np.uint64, q: np.floating, keep: np.floating, slope: np.floating, k: Factors, shape: Shape
) -> np.floating:
    """Move the words y.. f at `at`, W apart, by the trace q of the current; the new f."""
    return respond_apart(e, at, U(W), q, keep, slope, k, shape)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def respond_apart(
    e: AnyFloats,
    at: np.uint64,
    far: np.uint64,
    q: np.floating,
    keep: np.floating,
    slope: np.floating,
    k: Factors,
    shape: Shape,
) -> np.floating:
    """Do as `respond`, the words `far` apart."""
    kap, rho, p_vi, p_vr, b, k_f = k
    if len(shape) == 2:
        at_v, pre = at, kap * e[at] + q
    elif len(shape) == 3:
        now = e[at] + q
        at_v = at + far
        pre = kap * e[at_v] + p_vi * now
        e[at] = rho * now
    else:
        now, current = e[at] + q, e[at + far]
        at_v = at + far + far
        pre = kap * e[at_v] + p_vi * current + p_vr * now
        e[at] = rho * now
        e[at + far] = b * now + rho * current
    e[at_v] = keep * pre
    f: np.floating = k_f * e[at_v + far] + slope * pre
    e[at_v + far] = f
    return f


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _synapses(
    e: AnyFloats,
    u: AnyFloats,
    row: AnyFloats,
    at: np.uint64,
    u_at: np.uint64,
    n: tuple[np.floating, ...],
    k: Factors,
    shape: Shape,
) -> None:
    """Step all synapses of one neuron in one sequence; add the step's gradient to `row`."""
    abar, gain, to_d, keep, slope, direct, c, x_new, error = n
    port = (len(shape) + 1) * W
    triple = 3 * port - W
    for block in range(U(len(row) // (3 * W))):
        t, o, q = at + block * U(triple), block * U(3 * W), u_at + block * U(W)
        for j in range(U(W)):
            w = u[q + j]
            x = abar * e[t + j] + gain * w
            e[t + j] = x
            row[o + j] += error * respond(e, t + U(W) + j, c * x + direct * w, keep, slope, k, shape)
            x = abar * e[t + U(port) + j] + to_d * w
            e[t + U(port) + j] = x
            row[o + U(W) + j] += error * respond(e, t + U(port + W) + j, c * x, keep, slope, k, shape)
            row[o + U(2 * W) + j] += error * respond(e, t + U(2 * port) + j, x_new * w, keep, slope, k, shape)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def own_traces(
    e: AnyFloats, values: AnyFloats, row: AnyFloats, a: np.uint64, v: np.uint64, k: Factors, shape: Shape
) -> None:
    """Advance what W neurons own (biases, A_log, D) in one sequence; add the step's gradient to `row`."""
    port = (len(shape) + 1) * W
    for j in range(U(W)):
        p, t = v + j, a + j
        abar, c = values[p + U(ABAR * W)], values[p + U(C * W)]
        keep, slope, error = values[p + U(KEEP * W)], values[p + U(SLOPE * W)], values[p + U(ERROR * W)]
        x = abar * e[t] + values[p + U(_GAIN * W)]
        e[t] = x
        q = c * x + values[p + U(_DIRECT * W)]
        row[j] += error * respond(e, t + U(W), q, keep, slope, k, shape)
        x = abar * e[t + U(port)] + values[p + U(_TO_D * W)]
        e[t + U(port)] = x
        row[j + U(W)] += error * respond(e, t + U(port + W), c * x, keep, slope, k, shape)
        x = abar * e[t + U(2 * port)] + values[p + U(_TO_A * W)]
        e[t + U(2 * port)] = x
        row[j + U(2 * W)] += error * respond(e, t + U(2 * port + W), c * x, keep, slope, k, shape)
        x_new, z = values[p + U(_X_NEW * W)], values[p + U(_Z * W)]
        row[j + U(3 * W)] += error * respond(e, t + U(3 * port), x_new, keep, slope, k, shape)
        row[j + U(4 * W)] += error * respond(e, t + U(4 * port - W), z, keep, slope, k, shape)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def derive(
    values: AnyFloats,
    given: tuple[AnyFloats, ...],
    a_log: AnyFloats,
    direct: AnyFloats,
    consts: AnyFloats,
    flags: Scaled,
    first: int,
    count: int,
) -> None:
    """Fill `values` with what the traces of W neurons need, in all sequences."""
    hard, detached, triangle, membrane, scale = flags
    k_f, theta, width = consts[6:]
    one, zero = consts.dtype.type(1), consts.dtype.type(0)
    for i in range(given[0].shape[0]):
        at = U(i * VALUES * W)
        for row in range(GIVEN):
            for j in range(count):
                values[i * VALUES * W + row * W + j] = given[row][i, first + j]
        for j in range(U(count)):
            p = at + j
            rate = np.exp(a_log[first + j])
            values[p + U(_RATE * W)] = rate
            values[p + U(_DIRECT * W)] = direct[first + j] * scale
            # A_log = 0: Abar = sigmoid(-d)
            abar = values[p + U(ABAR * W)]
            values[p + U(_SIG * W)] = one - abar if rate == one else one / (one + np.exp(-values[p + U(_D * W)]))
        for j in range(U(W)):
            p = at + j
            abar, z, m = values[p + U(ABAR * W)], values[p + U(_Z * W)], values[p + U(_M * W)]
            v_pre = values[p + U(_V_PRE * W)]
            through = values[p + U(_RATE * W)] * abar * (z - values[p + U(_X_OLD * W)])  # dx/dDelta
            values[p + U(_GAIN * W)] = one - abar
            values[p + U(_TO_D * W)] = through * values[p + U(_SIG * W)]
            values[p + U(_TO_A * W)] = through * values[p + U(_DELTA * W)]
            far = abs(v_pre - theta) / width
            psi = m * (max(one - far, zero) if triangle else one / ((one + far) * (one + far)))
            keep = m * (one - values[p + U(_S * W)]) if hard else one
            if not detached:
                keep -= psi * (m * v_pre if hard else theta)
            values[p + U(KEEP * W)] = keep
            values[p + U(SLOPE * W)] = (one - k_f) * (one if membrane else psi)
            values[p + U(C * W)] *= scale
            values[p + U(_X_NEW * W)] *= scale
            values[p + U(_Z * W)] = z * scale


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def kernel_factors(consts: AnyFloats) -> Factors:
    """Return the constants' factors that `respond` takes."""
    return (consts[0], consts[1], consts[2], consts[3], consts[4], consts[6])


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def with_gain(flags: tuple[bool, ...], consts: AnyFloats, words: int) -> Scaled:
    """Return the flags that `derive` takes: those given and what scales the current."""
    gain = consts[2] * consts[5] if words == 2 else consts[5]
    return (flags[0], flags[1], flags[2], flags[3], gain)


@njit(cache=True, nogil=True, fastmath=MATHS, forceinline=True)
def packed_step(
    e: AnyFloats,  # synapses, flat, updated
    own: AnyFloats,  # neurons, flat, updated
    u: AnyFloats,  # [B, M]
    given: tuple[AnyFloats, ...],  # Delta, Abar, x_old, x_new, V-, s, m, z, d, c, dL/df: each [B, H]
    a_log: AnyFloats,  # [H]
    direct: AnyFloats,  # [H]
    consts: AnyFloats,  # [9]: kap, rho, p_vi, p_vr, b, gain c, k of f, theta, surrogate width
    flags: tuple[bool, ...],  # bools: hard reset, detached reset, triangle surrogate, membrane feature
    shape: Shape,  # a tuple, one entry per word of y.. f
    ports: tuple[AnyFloats, ...],  # gradients of W_in, W_delta, W_c: each [H, M], overwritten
    single: AnyFloats,  # [5, H] gradients of b_in, b_delta, a_log, b_c, D, overwritten
) -> None:
    """Move all traces of a layer by one step and take the step's gradient."""
    batch, fan_in = u.shape
    hidden, blocks, words = len(direct), (fan_in + W - 1) // W, len(shape)
    inputs = np.zeros((batch, blocks * W), e.dtype)
    for i in range(batch):
        for j in range(fan_in):
            inputs[i, j] = u[i, j]
    flat = inputs.ravel()
    values = np.zeros(batch * VALUES * W, e.dtype)
    row, own_row = np.empty(blocks * 3 * W, e.dtype), np.empty(5 * W, e.dtype)
    k = kernel_factors(consts)
    scaled = with_gain(flags, consts, words)
    for first in range(0, hidden, W):
        count = min(W, hidden - first)
        derive(values, given, a_log, direct, consts, scaled, first, count)
        own_row[:] = 0
        for i in range(batch):
            at = U((first // W * batch + i) * (5 * words + 3) * W)
            own_traces(own, values, own_row, at, U(i * VALUES * W), k, shape)
        for p in range(5):
            for j in range(count):
                single[p, first + j] = own_row[p * W + j]
        for h in range(first, first + count):
            row[:] = 0
            for i in range(batch):
                v = i * VALUES * W + h - first
                n = (
                    values[v + ABAR * W],
                    values[v + _GAIN * W],
                    values[v + _TO_D * W],
                    values[v + KEEP * W],
                    values[v + SLOPE * W],
                    values[v + _DIRECT * W],
                    values[v + C * W],
                    values[v + _X_NEW * W],
                    values[v + ERROR * W],
                )
                at = U((h * batch + i) * blocks * (3 * words + 2) * W)
                _synapses(e, flat, row, at, U(i * blocks * W), n, k, shape)
            for p in range(3):
                for block in range(blocks):
                    at_in, o = block * W, (3 * block + p) * W
                    for j in range(min(W, fan_in - at_in)):
                        ports[p][h, at_in + j] = row[o + j]
