"""Fused loops (numba) of the dense traces of an ``s6`` layer: one pass over the memory per step.

Same equations as `bimhw.learning.forms.traces`, which is their plain twin in the tests; the layout follows `packed_kernels`:
blocks of W numbers, all words of W synapses as consecutive blocks, at constant distances::

    synapses  [H, B, M1 / W, words, W]   words: of each state  x_in x_delta x_b | b (y.. f) | c (y.. f)
                                                then           in (y.. f) | delta (y.. f)
    own       [H, B, words]              words: of each state  a_log (x y.. f);  then D (y.. f)
    y.. is v (delta kernel), i v (exp), r i v (alpha); biases are the column behind the inputs, whose input is 1
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bimhw.learning.forms.packed_kernels import (
    MATHS,
    Factors,
    Shape,
    U,
    W,
    kernel_factors,
    respond,
    respond_apart,
)
from bimhw.models.bim.elementary import exp_below, exp_below_single
from simulator.base.arrays import AnyFloats


def block_words(states: int, words: int) -> int:
    """Return the words of a synapse: of all states and ports."""
    return states * (3 + 2 * words) + 2 * words


def own_words(states: int, words: int) -> int:
    """Return the words of a neuron's own parameters."""
    return states * (1 + words) + words


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _state(
    e: AnyFloats,
    u: AnyFloats,
    row: AnyFloats,
    sums: AnyFloats,
    g: np.uint64,
    q: np.uint64,
    o: np.uint64,
    n: tuple[np.floating, ...],
    r: tuple[np.floating, ...],
    k: Factors,
    shape: Shape,
) -> None:
    """Step what W synapses hold of one state; add to the sums over states, and the gradients of W_b and W_c to `row`."""
    abar, to_z, to_d, to_b, c, x_new = n
    error, keep, slope = r
    port = len(shape) * W
    for j in range(U(W)):
        w = u[q + j]
        x = abar * e[g + j] + to_z * w
        e[g + j] = x
        sums[j] += c * x
        x = abar * e[g + U(W) + j] + to_d * w
        e[g + U(W) + j] = x
        sums[U(W) + j] += c * x
        x = abar * e[g + U(2 * W) + j] + to_b * w
        e[g + U(2 * W) + j] = x
        row[o + j] += error * respond(e, g + U(3 * W) + j, c * x, keep, slope, k, shape)
        row[o + U(W) + j] += error * respond(e, g + U(3 * W + port) + j, x_new * w, keep, slope, k, shape)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _sums(
    e: AnyFloats,
    row: AnyFloats,
    sums: AnyFloats,
    g: np.uint64,
    o: np.uint64,
    r: tuple[np.floating, ...],
    k: Factors,
    shape: Shape,
) -> None:
    """Step what W synapses hold behind the sums over states: the columns of W_in and W_delta."""
    error, keep, slope = r
    port = len(shape) * W
    for j in range(U(W)):
        row[o + j] += error * respond(e, g + j, sums[j], keep, slope, k, shape)
        row[o + U(W) + j] += error * respond(e, g + U(port) + j, sums[U(W) + j], keep, slope, k, shape)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _many(
    e: AnyFloats,
    u: AnyFloats,
    row: AnyFloats,
    sums: AnyFloats,
    at: np.uint64,
    u_at: np.uint64,
    values: AnyFloats,
    straight: np.floating,
    r: tuple[np.floating, ...],
    k: Factors,
    shape: Shape,
) -> None:
    """Step all synapses of one neuron with several states in one sequence."""
    states, group = len(values), (3 + 2 * len(shape)) * W
    size, wide = states * group + 2 * len(shape) * W, (2 + 2 * states) * W
    for block in range(U(len(row) // wide)):
        g, o, q = at + block * U(size), block * U(wide), u_at + block * U(W)
        for j in range(U(W)):
            sums[j] = straight * u[q + j]
            sums[U(W) + j] = 0
        for n in range(states):
            v = (values[n, 0], values[n, 1], values[n, 2], values[n, 3], values[n, 4], values[n, 5])
            _state(e, u, row, sums, g + U(n * group), q, o + U((2 + 2 * n) * W), v, r, k, shape)
        _sums(e, row, sums, g + U(states * group), o, r, k, shape)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _alone(
    e: AnyFloats,
    u: AnyFloats,
    row: AnyFloats,
    at: np.uint64,
    u_at: np.uint64,
    n: tuple[np.floating, ...],
    r: tuple[np.floating, ...],
    k: Factors,
    shape: Shape,
) -> None:
    """Step all synapses of one neuron with one state in one sequence: the same as `_state` and `_sums`, in one loop."""
    abar, to_z, to_d, to_b, c, x_new, straight = n
    error, keep, slope = r
    port = len(shape) * W
    size = (3 + 4 * len(shape)) * W
    for block in range(U(len(row) // (4 * W))):
        g, o, q = at + block * U(size), block * U(4 * W), u_at + block * U(W)
        y = g + U(3 * W)
        for j in range(U(W)):
            w = u[q + j]
            x = abar * e[g + j] + to_z * w
            e[g + j] = x
            row[o + j] += error * respond(e, y + U(2 * port) + j, c * x + straight * w, keep, slope, k, shape)
            x = abar * e[g + U(W) + j] + to_d * w
            e[g + U(W) + j] = x
            row[o + U(W) + j] += error * respond(e, y + U(3 * port) + j, c * x, keep, slope, k, shape)
            x = abar * e[g + U(2 * W) + j] + to_b * w
            e[g + U(2 * W) + j] = x
            row[o + U(2 * W) + j] += error * respond(e, y + j, c * x, keep, slope, k, shape)
            row[o + U(3 * W) + j] += error * respond(e, y + U(port) + j, x_new * w, keep, slope, k, shape)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _own(
    e: AnyFloats,
    at: np.uint64,
    values: AnyFloats,
    z: np.floating,
    r: tuple[np.floating, ...],
    k: Factors,
    shape: Shape,
    out: AnyFloats,
) -> None:
    """Step a neuron's A_log (one a state) and D in one sequence; add the gradients to out [N + 1]."""
    error, keep, slope = r
    states, words, one = len(values), len(shape) + 1, U(1)
    for n in range(states):
        t = at + U(n * words)
        x = values[n, 0] * e[t] + values[n, 6]
        e[t] = x
        out[n] += error * respond_apart(e, t + one, one, values[n, 4] * x, keep, slope, k, shape)
    out[states] += error * respond_apart(e, at + U(states * words), one, z, keep, slope, k, shape)


@njit(nogil=True, error_model="numpy", forceinline=True)
def _sigmoid(d: AnyFloats, out: AnyFloats) -> None:
    """Fill [B, H]."""
    for i in range(d.shape[0]):
        if out.itemsize == 4:
            for h in range(d.shape[1]):
                single = np.float32(d[i, h])
                e, one = exp_below_single(-abs(single)), np.float32(1)
                out[i, h] = (one if single > np.float32(0) else e) / (one + e)
        else:
            for h in range(d.shape[1]):
                wide = np.float64(d[i, h])
                small = exp_below(-abs(wide))
                out[i, h] = (1.0 if wide > 0 else small) / (1.0 + small)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _values(
    given: tuple[AnyFloats, ...],
    own: tuple[AnyFloats, ...],
    rate: AnyFloats,
    zoh: bool,
    gain: np.floating,
) -> AnyFloats:
    """Return [H, B, N, 7]: Abar, what an input adds to x by W_in, W_delta and W_b, c, x, what A_log adds to x."""
    abar, to_x, x_old, x_new, b, c = given
    delta, zs, d = own
    batch, hidden, states = abar.shape
    out, sig = np.empty((hidden, batch, states, 7), abar.dtype), np.empty((batch, hidden), abar.dtype)
    _sigmoid(d, sig)
    one = sig.dtype.type(1)
    for h in range(hidden):
        for i in range(batch):
            for n in range(states):
                a, grow, input_, z, values = abar[i, h, n], to_x[i, h, n], b[i, n], zs[i, h], out[h, i, n]
                decay = -rate[h, n] * a * x_old[i, h, n]
                values[0], values[1], values[3] = a, grow * input_, grow * z
                values[2] = (decay + (a if zoh else one) * input_ * z) * sig[i, h]
                values[4], values[5] = c[i, n] * gain, x_new[i, h, n] * gain
                values[6] = delta[i, h] * decay + ((delta[i, h] * a - grow) * input_ * z if zoh else one - one)
    return out


@njit(cache=True, nogil=True, fastmath=MATHS, forceinline=True)
def packed_s6_step(
    e: AnyFloats,  # synapses, flat, updated
    own: AnyFloats,  # neurons, flat, updated
    u: AnyFloats,  # [B, M]
    given: tuple[AnyFloats, ...],  # Abar, G, x_old, x_new: [B, H, N]; b, c: [B, N]
    neurons: tuple[AnyFloats, ...],  # Delta, z, d, dL/df, dV/dV-, what the trace of V- adds to E^f: [B, H]
    rate: AnyFloats,  # [H, N] exp(A_log)
    direct: AnyFloats,  # [H]
    consts: AnyFloats,  # [9]: as in `packed_kernels.packed_step`
    zoh: bool,
    shape: Shape,  # a tuple, one entry per word of y.. f
    rows: AnyFloats,  # [2, H, M1] gradients of W_in, W_delta with their biases, overwritten
    shared: AnyFloats,  # [N, 2, M1] gradients of W_b, W_c with their biases, overwritten
    single: AnyFloats,  # [H, N + 1] gradients of A_log, D, overwritten
) -> None:
    """Move all traces of a layer by one step and take the step's gradient."""
    batch, fan_in = u.shape
    hidden, states, words = rate.shape[0], rate.shape[1], len(shape)
    blocks = fan_in // W + 1
    flat = np.zeros(batch * blocks * W, e.dtype)
    for i in range(batch):
        for j in range(fan_in):
            flat[i * blocks * W + j] = u[i, j]
        flat[i * blocks * W + fan_in] = 1
    group = (3 + 2 * words) * W
    size = states * group + 2 * words * W
    own_size, sums = states * (1 + words) + words, np.empty(2 * W, e.dtype)
    row = np.empty(blocks * (2 + 2 * states) * W, e.dtype)
    total = np.zeros(blocks * 2 * states * W, e.dtype)
    k = kernel_factors(consts)
    gain = consts[2] * consts[5] if words == 2 else consts[5]
    table = _values(given, neurons[:3], rate, zoh, gain)
    single[:] = 0
    for h in range(hidden):
        row[:] = 0
        straight = direct[h] * gain
        for i in range(batch):
            values, r = table[h, i], (neurons[3][i, h], neurons[4][i, h], neurons[5][i, h])
            _own(own, U((h * batch + i) * own_size), values, neurons[1][i, h] * gain, r, k, shape, single[h])
            at, q = U((h * batch + i) * blocks * size), U(i * blocks * W)
            if states == 1:
                a = values[0]
                _alone(e, flat, row, at, q, (a[0], a[1], a[2], a[3], a[4], a[5], straight), r, k, shape)
            else:
                _many(e, flat, row, sums, at, q, values, straight, r, k, shape)
        for block in range(blocks):
            first, o = block * W, block * (2 + 2 * states) * W
            for j in range(min(W, fan_in + 1 - first)):
                rows[0, h, first + j] = row[o + j]
                rows[1, h, first + j] = row[o + W + j]
            t = block * 2 * states * W
            for j in range(2 * states * W):
                total[t + j] += row[o + 2 * W + j]
    for block in range(blocks):
        wide = min(W, fan_in + 1 - block * W)
        for n in range(2 * states):
            t = (block * 2 * states + n) * W
            for j in range(wide):
                shared[n // 2, n % 2, block * W + j] = total[t + j]
