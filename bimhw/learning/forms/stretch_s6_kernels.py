"""The loop of `stretch_kernels` for one ``s6`` layer."""

from __future__ import annotations

import numpy as np
from numba import njit

from bimhw.learning.forms.kernels import adam_step
from bimhw.learning.forms.packed_kernels import Shape
from bimhw.learning.forms.s6_kernels import packed_s6_step
from bimhw.learning.forms.stretch_kernels import delayed, project, readout
from bimhw.models.bim.elementary import exp_below, log1p_unit
from bimhw.models.bim.lanes import FEATURE, FREE, ROWS, V_PRE, S, U, W, fire, load, put, respond, store, take
from bimhw.models.bim.loops import Words
from simulator.base.arrays import I64, Array, Floats

# values of a step [B, H]; of each state [B, H, N]; parameters in the order of the arguments
_DELTA, _Z, _D, _ERROR, _KEEP, _SLOPE, _Q, _V_PRE, _S, _FREE = range(10)
_ABAR, _GAIN, _X_OLD, _X_NEW = range(4)
_DIRECT, _WO, _A_LOG = 4, 4, 5


@njit(nogil=True, forceinline=True)
def _select(values: Array, states: Array, b: Array, c: Array, x: Array, rate: Array, direct: Array, zoh: bool) -> None:
    """Move the selective states x [B, H, N] by a step: all that the traces need of them, and q."""
    for i in range(x.shape[0]):
        for h in range(x.shape[1]):
            d, z = np.float64(values[_D, i, h]), values[_Z, i, h]
            delta = log1p_unit(exp_below(-abs(d))) + max(d, 0.0)
            q = direct[h] * z
            for n in range(x.shape[2]):
                abar, old = exp_below(-rate[h, n] * delta), x[i, h, n]
                gain = -np.expm1(-rate[h, n] * delta) / rate[h, n] if zoh else delta
                new = abar * old + gain * (b[i, n] * z)
                states[_ABAR, i, h, n], states[_GAIN, i, h, n] = abar, gain
                states[_X_OLD, i, h, n], states[_X_NEW, i, h, n], x[i, h, n] = old, new, new
                q += c[i, n] * new
            values[_DELTA, i, h], values[_Q, i, h] = delta, q


@njit(nogil=True, forceinline=True)
def _membranes(values: Array, states: Words, consts: Array, psp: int, flags: tuple[bool, ...], rest: int) -> None:
    """Take q through kernel and membrane: V-, spikes, who was free to fire."""
    _, batch, hidden = values.shape
    words, flat, size = np.zeros(ROWS * W, consts.dtype), values.ravel(), batch * hidden
    for i in range(batch):
        for first in range(0, hidden, W):
            n, at = U(min(W, hidden - first)), U(i * hidden + first)
            take(words, FEATURE, flat, at + U(_Q * size), n)
            load(words, states, at, n)
            respond(words, consts, psp)
            fire(words, consts, flags[0], rest, flags[3])
            put(words, V_PRE, flat, at + U(_V_PRE * size), n)
            put(words, S, flat, at + U(_S * size), n)
            put(words, FREE, flat, at + U(_FREE * size), n)
            store(words, states, psp, rest, at, n)


@njit(nogil=True, error_model="numpy", forceinline=True)
def _slopes(values: Array, consts: Array, flags: tuple[bool, ...]) -> None:
    """Compute dV/dV- and what the trace of V- adds to E^f."""
    hard, detached, triangle, membrane = flags
    k_f, theta, width, one, zero = consts[6], consts[7], consts[8], consts.dtype.type(1), consts.dtype.type(0)
    for i in range(values.shape[1]):
        for h in range(values.shape[2]):
            m, pre = values[_FREE, i, h], values[_V_PRE, i, h]
            far = abs(pre - theta) / width
            psi = m * (max(one - far, zero) if triangle else one / ((one + far) * (one + far)))
            keep = m * (one - values[_S, i, h]) if hard else one
            if not detached:
                keep -= psi * (m * pre if hard else theta)
            values[_KEEP, i, h], values[_SLOPE, i, h] = keep, (one - k_f) * (one if membrane else psi)


@njit(nogil=True, forceinline=True)
def _distribute(rows: Array, shared: Array, single: Array, own: Words, weights: Words) -> None:
    """Write the gradients that the traces gave to where they go."""
    states = single.shape[1] - 1
    for port in range(2):
        weights[port][:] = rows[port, :, :-1]
        own[port][:] = rows[port, :, -1]
        weights[2 + port][:] = shared[:, port, :-1]
        own[2 + port][:] = shared[:, port, -1]
    own[_DIRECT][:] = single[:, states]
    weights[_A_LOG][:] = single[:, :states]


@njit(cache=True, nogil=True)
def learn_stretch_s6(
    x: Array,  # this and the next five as in `stretch_kernels.learn_stretch`, the state [B H N]
    targets: I64,
    past: Array,
    delays: I64,
    traces: Words,
    state: Array,
    states: Words,
    own: Words,  # b_in, b_delta [H], b_b, b_c [N], D [H]; parameters are updated
    weights: Words,  # W_in, W_delta [H, M], W_b, W_c [N, M], W_o [C, H], A_log [H, N]
    bias: Array,  # this and the next eight as in `learn_stretch`
    own_gradients: Words,
    weight_gradients: Words,
    bias_gradient: Array,
    vectors: Words,
    adam: tuple[float, float, float, int],
    rates: Floats,
    limit: float,
    consts: Array,
    flags: tuple[bool, ...],
    rest: int,
    shape: Shape,
    losses: Floats,
    zoh: bool,
) -> None:
    """Learn all steps."""
    batch, (hidden, n), fan_in, psp = x.shape[1], weights[_A_LOG].shape, weights[0].shape[1], len(shape) - 2
    u, values, kind = np.zeros((batch, fan_in), x.dtype), np.zeros((10, batch, hidden), x.dtype), x.dtype
    inner, b, c = np.zeros((4, batch, hidden, n), kind), np.zeros((batch, n), kind), np.zeros((batch, n), kind)
    error, single = np.zeros((batch, len(bias)), kind), np.zeros((hidden, n + 1), kind)
    rows, shared = np.zeros((2, hidden, fan_in + 1), kind), np.zeros((n, 2, fan_in + 1), kind)
    given = (inner[0], inner[1], inner[2], inner[3], b, c)
    neurons = (values[0], values[1], values[2], values[3], values[4], values[5])
    f, held, direct = states[4].reshape((batch, hidden)), state.reshape((batch, hidden, n)), own[_DIRECT]
    for t in range(len(x)):
        delayed(u, x, past, t, delays)
        project(u, weights[:4], own[:4], (values[_Z], values[_D], b, c))
        rate = np.exp(weights[_A_LOG])
        _select(values, inner, b, c, held, rate, direct, zoh)
        _membranes(values, states, consts, psp, flags, rest)
        _slopes(values, consts, flags)
        to, delta = weight_gradients[_WO], values[_ERROR]
        losses[t] = readout(f, weights[_WO], bias, targets[t], error, delta, to, bias_gradient, True)
        packed_s6_step(traces[0], traces[1], u, given, neurons, rate, direct, consts, zoh, shape, rows, shared, single)
        _distribute(rows, shared, single, own_gradients, weight_gradients)
        adam_step(vectors[0], vectors[1], vectors[2], vectors[3], adam[0], adam[1], rates[t], adam[3] + t + 1, adam[2])
        a_log = weights[_A_LOG]
        for h in range(hidden):
            for k in range(n):
                a_log[h, k] = min(max(a_log[h, k], -limit), limit)
