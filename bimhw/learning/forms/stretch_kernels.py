"""A compiled loop (numba) over many steps of exact online learning: one ``diag`` layer, softmax readout, Adam at every step.

A step is, in this order: input through the delay taps, ports, neurons, readout and its error, gradients with the traces
(`packed_kernels.packed_step`), Adam. `bimhw.learning.forms.rtrl.RtrlLearner` and `bimhw.learning.updater.Updater` do the same one
call after another and are its twin in the tests.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bimhw.learning.forms.kernels import adam_step
from bimhw.learning.forms.packed_kernels import MATHS, Shape, packed_step
from bimhw.models.bim.lanes import (
    ABAR,
    DELTA,
    DIRECT,
    FREE,
    RATE,
    ROWS,
    V_PRE,
    X_OLD,
    S,
    U,
    W,
    X,
    Z,
    fire,
    load,
    put,
    respond,
    select,
    store,
    take,
)
from bimhw.models.bim.loops import Number, Words
from simulator.base.arrays import I64, Array, Floats

# the values of a step as `packed_step` takes them: first those that the neurons give, then ports and error
_GIVEN = 11
_FIRST_PORT, _ERROR = 7, 10
# parameters and their gradients, in the order of the arguments
_B_IN, _B_DELTA, _A_LOG, _B_C, _D, _W_IN, _WO, _BO = 0, 1, 2, 3, 4, 5, 8, 9


@njit(nogil=True, forceinline=True)
def delayed(u: Array, x: Array, past: Array, t: int, delays: I64) -> None:
    """Fill u [B, M] with the inputs of step t through the delay taps; past [depth, B, n] is newest first."""
    width = x.shape[2]
    for i in range(u.shape[0]):
        for k in range(len(delays)):
            source = x[t - delays[k], i] if t >= delays[k] else past[delays[k] - t - 1, i]
            for j in range(width):
                u[i, k * width + j] = source[j]


@njit(nogil=True, fastmath={"contract"}, forceinline=True)
def project(u: Array, weights: Words, biases: Words, out: Words) -> None:
    """Write the values of the ports, each [B, R], by the inputs that are not 0, ascending, the bias last."""
    batch, fan_in = u.shape
    found, events = np.empty((batch, fan_in), np.int64), np.zeros(batch, np.int64)
    for i in range(batch):
        for m in range(fan_in):
            found[i, events[i]] = m
            events[i] += u[i, m] != 0
    for port in range(len(out)):
        for h in range(out[port].shape[1]):
            row, bias = weights[port][h], biases[port][h]
            for i in range(batch):
                total = bias - bias
                for e in range(events[i]):
                    total += u[i, found[i, e]] * row[found[i, e]]
                out[port][i, h] = total + bias


@njit(nogil=True, forceinline=True)
def _neurons(
    given: Array, states: Words, x: Array, own: Words, consts: Array, psp: int, flags: tuple[bool, ...], rest: int
) -> None:
    """Move all neurons by a step, from ports to spikes; write what `packed_step` needs of them."""
    _, batch, hidden = given.shape
    words, flat, size = np.zeros(ROWS * W, consts.dtype), given.ravel(), batch * hidden
    rate = np.exp(own[0])
    for first in range(0, hidden, W):
        n = U(min(W, hidden - first))
        take(words, RATE, rate, U(first), n)
        take(words, DIRECT, own[1], U(first), n)
        for i in range(batch):
            at = U(i * hidden + first)
            for row in range(3):
                take(words, Z + row, flat, at + U((_FIRST_PORT + row) * size), n)
            take(words, X, x, at, n)
            load(words, states, at, n)
            select(words)
            respond(words, consts, psp)
            fire(words, consts, flags[0], rest, flags[3])
            for row, of in enumerate((DELTA, ABAR, X_OLD, X, V_PRE, S, FREE)):
                put(words, of, flat, at + U(row * size), n)
            put(words, X, x, at, n)
            store(words, states, psp, rest, at, n)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _softmax(logits: Array, target: int, share: Number) -> Number:
    """Turn logits [C] into share (softmax - one-hot); return -log softmax of the target."""
    top, total = logits.max(), logits[0] - logits[0]
    nats = top - logits[target]
    for c in range(len(logits)):
        logits[c] = np.exp(logits[c] - top)
        total += logits[c]
    for c in range(len(logits)):
        logits[c] *= share / total
    logits[target] -= share
    return nats + np.log(total)


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def readout(
    f: Array,
    weight: Array,
    bias: Array,
    targets: I64,
    error: Array,
    delta: Array,
    g_weight: Array,
    g_bias: Array,
    fresh: bool,
) -> Number:
    """Return the mean loss of features [B, H]; write dL/df [B, H]; add to the readout's gradients, which begin `fresh` at 0."""
    batch, share = f.shape[0], f.dtype.type(1 / f.shape[0])
    loss = share - share
    delta[:] = 0
    if fresh:
        g_weight[:], g_bias[:] = 0, 0
    for i in range(batch):
        for c in range(len(bias)):
            total, row, features = bias[c], weight[c], f[i]
            for h in range(len(features)):
                total += row[h] * features[h]
            error[i, c] = total
        loss += _softmax(error[i], targets[i], share)
        for c in range(len(bias)):
            e, row, features, below, own = error[i, c], weight[c], f[i], delta[i], g_weight[c]
            g_bias[c] += e
            for h in range(len(features)):
                own[h] += e * features[h]
            for h in range(len(features)):
                below[h] += e * row[h]
    return loss * share


@njit(cache=True, nogil=True)
def learn_stretch(
    x: Array,  # [T, B, n] inputs
    targets: I64,  # [T, B] classes
    past: Array,  # [depth, B, n] inputs before, newest first
    delays: I64,
    traces: Words,  # synapses and neurons of `packed_step`, updated
    state: Array,  # [B H] x, updated
    states: Words,  # r, i, v, ref, f: each [B H], updated
    own: Words,  # b_in, b_delta, a_log, b_c, D: each [H]; parameters are updated
    weights: Words,  # W_in, W_delta, W_c [H, M], W_o [C, H]
    bias: Array,  # of the readout [C]
    own_gradients: Words,  # where they go: views of the gradient vector
    weight_gradients: Words,
    bias_gradient: Array,
    vectors: Words,  # values, gradient, both moments: each [P]
    adam: tuple[float, float, float, int],  # both decays, eps, updates before
    rates: Floats,  # [T] learning rates
    limit: float,  # A_log stays in [-limit, limit]
    consts: Array,  # as in `packed_step`
    flags: tuple[bool, ...],
    rest: int,  # refractory steps
    shape: Shape,
    losses: Floats,  # [T] out
) -> None:
    """Learn all steps."""
    batch, hidden, fan_in, psp = x.shape[1], len(own[0]), weights[0].shape[1], len(shape) - 2
    u, given = np.zeros((batch, fan_in), x.dtype), np.zeros((_GIVEN, batch, hidden), x.dtype)
    error, single = np.zeros((batch, len(bias)), x.dtype), np.zeros((5, hidden), x.dtype)
    rows = (
        given[0],
        given[1],
        given[2],
        given[3],
        given[4],
        given[5],
        given[6],
        given[7],
        given[8],
        given[9],
        given[10],
    )
    f, ports, to_ports = states[4].reshape((batch, hidden)), weights[:3], weight_gradients[:3]
    for t in range(len(x)):
        delayed(u, x, past, t, delays)
        project(u, ports, (own[_B_IN], own[_B_DELTA], own[_B_C]), rows[_FIRST_PORT:_ERROR])
        _neurons(given, states, state, (own[_A_LOG], own[_D]), consts, psp, flags, rest)
        to, delta = weight_gradients[3], given[_ERROR]
        losses[t] = readout(f, weights[3], bias, targets[t], error, delta, to, bias_gradient, True)
        packed_step(traces[0], traces[1], u, rows, own[_A_LOG], own[_D], consts, flags, shape, to_ports, single)
        for p in range(5):
            own_gradients[p][:] = single[p]
        values, g, first, second = vectors
        adam_step(values, g, first, second, adam[0], adam[1], rates[t], adam[3] + t + 1, adam[2])
        for h in range(hidden):
            own[_A_LOG][h] = min(max(own[_A_LOG][h], -limit), limit)
