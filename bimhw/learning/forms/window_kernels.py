"""A compiled loop (numba) over many windows of TR: one ``diag`` layer, softmax readout, Adam after every K steps.

A window is K steps forward, then the sweep of `adjoint` over the newest K + L of them. All that a neuron's sweep reads lies
together, W neurons side by side, and so do the weights of an input; both stay in the cache of a core::

    ring    [H / W, B, K + L, ROWS, W]              a step's words; step t lies at t mod (K + L)
    values  [H / W, M + 1, 3, W] | [H / W, 2, W] | [C, H] | [C]    ports (biases: input M), A_log and D, readout

`bimhw.learning.forms.seq.SweepLearner` and `bimhw.learning.updater.Updater` do the same one call after another.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bimhw.learning.forms import sweep_kernels as back
from bimhw.learning.forms.kernels import adam_step
from bimhw.learning.forms.stretch_kernels import delayed, readout
from bimhw.models.bim import lanes
from bimhw.models.bim.lanes import U, W, take
from bimhw.models.bim.loops import Words
from simulator.base.arrays import I64, Array, Floats

# what the ring keeps of a step
ERROR, PSI, ABAR, C, Z, SIG, X_OLD, X_NEW, DELTA, D, V_PRE, S, FREE, ROWS = range(14)
_FROM = (lanes.ABAR, lanes.C, lanes.Z, lanes.X_OLD, lanes.X, lanes.DELTA, lanes.D, lanes.V_PRE, lanes.S, lanes.FREE)
_TO = (ABAR, C, Z, X_OLD, X_NEW, DELTA, D, V_PRE, S, FREE)
_BACK_TO = (back.PSI, back.ABAR, back.C, back.Z, back.D, back.X_OLD, back.X_NEW, back.DELTA)
_BACK_FROM = (PSI, ABAR, C, Z, SIG, X_OLD, X_NEW, DELTA)


@njit(nogil=True, forceinline=True)
def _events(u: Array, found: I64, events: I64) -> int:
    """List the inputs [B, M] that are not 0, ascending; return how many there are."""
    total = 0
    for i in range(len(u)):
        count = 0
        for m in range(u.shape[1]):
            found[i, count] = m
            count += u[i, m] != 0
        events[i] = count
        total += count
    return total


@njit(nogil=True, fastmath={"contract"}, forceinline=True)
def _ports(words: Array, table: Array, u: Array, found: I64, events: int) -> None:
    """Write the values of the three ports: inputs that are not 0, ascending, the bias last."""
    to = U(lanes.Z * W)
    for j in range(U(3 * W)):
        words[to + j] = 0
    for e in range(events):
        w, row = u[found[e]], table[found[e]]
        for j in range(U(3 * W)):
            words[to + j] += w * row[j]
    row = table[len(table) - 1]
    for j in range(U(3 * W)):
        words[to + j] += row[j]


@njit(nogil=True, error_model="numpy", forceinline=True)
def slopes(ring: Array, at: np.uint64, consts: Array, triangle: bool) -> None:
    """Write of a step in the ring m psi(V- - theta) and sigmoid(d) = dDelta/dd."""
    theta, width, one, zero = consts[7], consts[8], consts.dtype.type(1), consts.dtype.type(0)
    for j in range(U(W)):
        far, m = abs(ring[at + U(V_PRE * W) + j] - theta) / width, ring[at + U(FREE * W) + j]
        steep, wide = one - far, one / ((one + far) * (one + far))
        ring[at + U(PSI * W) + j] = m * ((steep if steep > zero else zero) if triangle else wide)
    back.logistic(ring, at + U(D * W), at + U(SIG * W))


@njit(nogil=True, forceinline=True)
def _step(
    ring: Array,  # [H / W, B, K + L, ROWS W]
    slot: int,
    ports: Array,  # [H / W, M + 1, 3 W]
    own: Array,  # [H / W, 2 W]
    u: Array,
    found: I64,
    events: I64,
    x: Array,
    states: Words,
    consts: Array,
    psp: int,
    flags: tuple[bool, ...],
    rest: int,
) -> None:
    """Move all neurons by a step, from inputs to spikes; keep in the ring what the sweep needs."""
    batch, hidden = len(u), len(x) // len(u)
    words = np.zeros(lanes.ROWS * W, consts.dtype)
    for block in range(len(ports)):
        first = block * W
        n = U(min(W, hidden - first))
        for j in range(U(W)):
            words[U(lanes.RATE * W) + j] = np.exp(own[block, j])
            words[U(lanes.DIRECT * W) + j] = own[block, U(W) + j]
        for i in range(batch):
            at = U(i * hidden + first)
            _ports(words, ports[block], u[i], found[i], events[i])
            take(words, lanes.X, x, at, n)
            lanes.load(words, states, at, n)
            lanes.select(words)
            lanes.respond(words, consts, psp)
            lanes.fire(words, consts, flags[0], rest, flags[3])
            lanes.put(words, lanes.X, x, at, n)
            lanes.store(words, states, psp, rest, at, n)
            held = ring[block, i, slot]
            for row in range(len(_FROM)):
                to, of = U(_TO[row] * W), U(_FROM[row] * W)
                for j in range(U(W)):
                    held[to + j] = words[of + j]
            slopes(held, U(0), consts, flags[2])


@njit(nogil=True, forceinline=True)
def _signal(ring: Array, slot: int, delta: Array) -> None:
    """Keep dL/df [B, H] of the newest step."""
    for block in range(ring.shape[0]):
        first = block * W
        for i in range(len(delta)):
            for j in range(min(W, delta.shape[1] - first)):
                ring[block, i, slot, ERROR * W + j] = delta[i, first + j]


@njit(nogil=True, forceinline=True)
def _resets(words: Array, held: Array, detached: bool) -> None:
    """Write of a hard reset dV/dV- without the spike's part, and dV/ds."""
    one = words.dtype.type(1)
    for j in range(U(W)):
        m, s, pre = held[U(FREE * W) + j], held[U(S * W) + j], held[U(V_PRE * W) + j]
        words[U(back.KEEP * W) + j] = m * (one - s)
        words[U(back.BY_SPIKE * W) + j] = words.dtype.type(0) if detached else -m * pre


@njit(nogil=True, fastmath={"contract"}, forceinline=True)
def _scatter(g: Array, words: Array, u: Array, found: I64, events: int) -> None:
    """Add what a step gives to the gradients [M + 1, 3 W] of its inputs and biases."""
    of = U(back.P_IN * W)
    for e in range(events):
        w, row = u[found[e]], g[found[e]]
        for j in range(U(3 * W)):
            row[j] += w * words[of + j]
    row = g[len(g) - 1]
    for j in range(U(3 * W)):
        row[j] += words[of + j]


@njit(nogil=True, forceinline=True)
def _sweep(
    ring: Array,
    newest: int,
    steps: int,
    labelled: int,
    own: Array,
    g_ports: Array,
    g_own: Array,
    u: Array,  # [K + L, B, M], this and the next two at the slots of the ring
    found: I64,
    events: I64,
    consts: Array,
    psp: int,
    flags: tuple[bool, ...],
) -> None:
    """Sweep back over `steps` steps, of which the newest `labelled` have an error signal; write the gradients."""
    (blocks, batch, size, _), spikes = ring.shape, not flags[1]
    words, sums, one = np.zeros(back.ROWS * W, consts.dtype), np.zeros(2 * W, np.float64), consts.dtype.type(1)
    words[back.KEEP * W : (back.KEEP + 1) * W] = 1
    words[back.BY_SPIKE * W : (back.BY_SPIKE + 1) * W] = -consts[7]
    for block in range(blocks):
        sums[:], g_ports[block] = 0, 0
        for j in range(U(W)):
            words[U(back.RATE * W) + j] = np.exp(own[block, j])
            words[U(back.DIRECT * W) + j] = own[block, U(W) + j]
        for i in range(batch):
            words[back.X * W : (back.F + 1) * W] = 0
            for age in range(steps):
                slot = (newest - age) % size
                held = ring[block, i, slot]
                if age < labelled:
                    take(words, back.SIGNAL, held, U(ERROR * W), U(W))
                else:
                    words[back.SIGNAL * W : (back.SIGNAL + 1) * W] = 0
                for row in range(len(_BACK_TO)):
                    take(words, _BACK_TO[row], held, U(_BACK_FROM[row] * W), U(W))
                for j in range(U(W)):
                    words[U(back.GAIN * W) + j] = one - words[U(back.ABAR * W) + j]
                if flags[0]:
                    _resets(words, held, flags[1])
                back.neuron(words, consts, spikes, flags[3])
                back.kernel(words, consts, psp)
                back.select(words, sums)
                _scatter(g_ports[block], words, u[slot, i], found[slot, i], events[slot, i])
        for j in range(2 * W):
            g_own[block, j] = sums[j]


@njit(cache=True, nogil=True)
def learn_windows(
    x: Array,  # [T, B, n] inputs, T a multiple of K
    targets: I64,  # [T, B] classes
    past: Array,  # [depth, B, n] inputs before, newest first
    delays: I64,
    ring: Array,  # [H / W, B, K + L, ROWS W], updated
    u: Array,  # [K + L, B, M] inputs through the taps, updated
    kept: int,  # steps in ring and u, from slot 0 on
    window: tuple[int, int],  # K, L
    state: Array,  # [B H] x, updated
    states: Words,  # r, i, v, ref, f: each [B H], updated
    vectors: Words,  # values, gradient, both moments, laid out as above
    sizes: tuple[int, int],  # numbers of the ports and of A_log and D together
    learns_rate: bool,  # A_log is learnt
    adam: tuple[float, float, float, int],  # both decays, eps, updates before
    rates: Floats,  # [T / K] learning rates
    limit: float,  # A_log stays in [-limit, limit]
    consts: Array,  # as in `packed_step`
    psp: int,
    flags: tuple[bool, ...],
    rest: int,  # refractory steps
    losses: Floats,  # [T] out
    swept: I64,  # [2] steps and inputs that were not 0, summed over the sweeps, updated
) -> None:
    """Learn all windows."""
    (size, batch, fan_in), blocks, hidden = u.shape, len(ring), len(state) // x.shape[1]
    found, events = np.zeros((size, batch, fan_in), np.int64), np.zeros((size, batch), np.int64)
    seen = np.zeros(size, np.int64)
    ports, own, weight, bias = _views(vectors[0], sizes, blocks, hidden)
    g_ports, g_own, g_weight, g_bias = _views(vectors[1], sizes, blocks, hidden)
    error, delta = np.zeros((batch, len(bias)), x.dtype), np.zeros((batch, hidden), x.dtype)
    for slot in range(kept):
        seen[slot] = _events(u[slot], found[slot], events[slot])
        for block in range(blocks):
            for i in range(batch):
                slopes(ring[block, i, slot], U(0), consts, flags[2])
    for t in range(len(x)):
        now, done = kept + t, (t + 1) // window[0]
        slot = now % size
        delayed(u[slot], x, past, t, delays)
        seen[slot] = _events(u[slot], found[slot], events[slot])
        _step(ring, slot, ports, own, u[slot], found[slot], events[slot], state, states, consts, psp, flags, rest)
        fresh, f = t % window[0] == 0, states[4].reshape((batch, hidden))
        losses[t] = readout(f, weight, bias, targets[t], error, delta, g_weight, g_bias, fresh)
        _signal(ring, slot, delta)
        if done * window[0] != t + 1:
            continue
        steps = min(now + 1, size)
        _sweep(ring, now, steps, window[0], own, g_ports, g_own, u, found, events, consts, psp, flags)
        swept[0] += steps
        swept[1] += seen.sum()
        if not learns_rate:
            g_own[:, :W] = 0
        values, g, first, second = vectors
        adam_step(values, g, first, second, adam[0], adam[1], rates[done - 1], adam[3] + done, adam[2])
        for block in range(blocks):
            for j in range(W):
                own[block, j] = min(max(own[block, j], -limit), limit)


@njit(nogil=True, forceinline=True)
def _views(vector: Array, sizes: tuple[int, int], blocks: int, hidden: int) -> tuple[Array, Array, Array, Array]:
    """Return what lies in a vector: ports [H / W, M + 1, 3 W], A_log and D [H / W, 2 W], readout [C, H], [C]."""
    rest = vector[sizes[1] :]
    classes = len(rest) // (hidden + 1)
    ports = vector[: sizes[0]].reshape((blocks, sizes[0] // (3 * W * blocks), 3 * W))
    own = vector[sizes[0] : sizes[1]].reshape((blocks, 2 * W))
    return ports, own, rest[: classes * hidden].reshape((classes, hidden)), rest[classes * hidden :]
