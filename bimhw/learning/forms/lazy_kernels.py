"""Compiled loops (numba) of LAZY: work on a synapse only where its input is not 0; see `bimhw.learning.forms.lazy`.

Everything lies in blocks of W neurons, so that every inner loop runs over W lanes (as in `packed_kernels`, whose step of a trace
is used here too: a column of the propagator F moves like a trace without an input)::

    e      [M, H / W, words, W]            traces as of a synapse's last event: in (x y.. f) | delta (x y.. f) | c (y.. f)
    own    [H / W, words, W]               what neurons own, moved at every step: as ``neurons`` in `packed_kernels`
    f      [M + 1, H / W, n (n+1) / 2, W]  F of each live time, lower triangular, column by column
    a      [M + 1, H / W, n, W]            A of each live time
    waits  [M]                             the slot of f and a at which an input's synapses wait; -1: it has not fired yet
    live   [M + 2]                         the slots in use, then their number
    users  [M + 1]                         inputs that wait at a slot
    tally  [5]                             see `TALLY`
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bimhw.learning.forms.packed_kernels import (
    ABAR,
    ERROR,
    KEEP,
    MATHS,
    SLOPE,
    VALUES,
    C,
    Factors,
    Flags,
    Shape,
    U,
    W,
    derive,
    kernel_factors,
    own_traces,
    respond,
    with_gain,
)
from simulator.base.arrays import I64, AnyFloats

# what the loops count, each in blocks of W neurons: visits of events that bring W up to date, that catch e up, that add beta u;
# live propagators moved; live propagators that took an error signal
TALLY = ("materialised", "caught_up", "events", "moved", "learnt")
_MATERIALISED, _CAUGHT_UP, _EVENTS, _MOVED, _LEARNT = range(len(TALLY))


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def pending_change(change: AnyFloats, e: AnyFloats, at: np.uint64, a: AnyFloats, a_at: np.uint64, n: int) -> None:
    """Compute change [3 W] = A . e of the three ports, for W neurons of one input (W_c has no x)."""
    for port in range(3):
        first = 1 if port == 2 else 0
        for j in range(U(W)):
            change[U(port * W) + j] = 0
        for k in range(first, n):
            word, o = at + U((port * n + k - first) * W), U(port * W)
            for j in range(U(W)):
                change[o + j] += a[a_at + U(k * W) + j] * e[word + j]


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def catch_up(e: AnyFloats, at: np.uint64, f: AnyFloats, f_at: np.uint64, n: int) -> None:
    """Set e <- F e of the three ports, for W neurons of one input; last row first, so that it can be done in place."""
    for port in range(3):
        first = 1 if port == 2 else 0
        base = at + U((port * n - first) * W)
        for back in range(n - first):
            row = n - 1 - back
            word = base + U(row * W)
            for j in range(U(W)):
                e[word + j] *= f[f_at + U(_column(row, n) * W) + j]
            for k in range(first, row):
                source, entry = base + U(k * W), f_at + U((_column(k, n) + row - k) * W)
                for j in range(U(W)):
                    e[word + j] += f[entry + j] * e[source + j]


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _column(k: int, n: int) -> int:
    """Return where column k of a lower triangle stored by columns begins: at its diagonal entry."""
    return k * n - k * (k - 1) // 2


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def add_event(e: AnyFloats, at: np.uint64, beta: AnyFloats, value: np.floating, n: int) -> None:
    """Add e += beta u; beta lies as ``own``, whose third trace (A_log's) stands between those of delta and c."""
    for j in range(U(2 * n * W)):
        e[at + j] += beta[j] * value
    for j in range(U((n - 1) * W)):
        e[at + U(2 * n * W) + j] += beta[U(3 * n * W) + j] * value


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def move_propagator(f: AnyFloats, at: np.uint64, values: AnyFloats, k: Factors, shape: Shape) -> None:
    """Set F <- M F for W neurons: each column is a trace without an input, the first from x on, the next from behind it on."""
    n, zero = len(shape) + 1, f.dtype.type(0)
    for j in range(U(W)):
        abar, c = values[U(ABAR * W) + j], values[U(C * W) + j]
        keep, slope = values[U(KEEP * W) + j], values[U(SLOPE * W) + j]
        x = abar * f[at + j]
        f[at + j] = x
        respond(f, at + U(W) + j, c * x, keep, slope, k, shape)
        if len(shape) == 4:
            respond(f, at + U(n * W) + j, zero, keep, slope, k, shape)
        if len(shape) >= 3:
            respond(f, at + U(_column(n - 3, n) * W) + j, zero, keep, slope, k, (0, 0, 0))
        respond(f, at + U(_column(n - 2, n) * W) + j, zero, keep, slope, k, (0, 0))
        f[at + U(_column(n - 1, n) * W) + j] *= k[5]


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def receive(a: AnyFloats, a_at: np.uint64, f: AnyFloats, f_at: np.uint64, signal: AnyFloats, n: int) -> None:
    """Receive the signals eta delta [W] of W neurons: A += eta delta (last row of F)."""
    for k in range(n):
        entry = f_at + U((_column(k, n) + n - 1 - k) * W)
        for j in range(U(W)):
            a[a_at + U(k * W) + j] += signal[j] * f[entry + j]


@njit(cache=True, nogil=True, fastmath=MATHS)
def materialise(
    e: AnyFloats,
    a: AnyFloats,
    waits: I64,
    events: I64,
    weights: tuple[AnyFloats, ...],
    masks: tuple[Flags, ...],
    n: int,
    tally: I64,
) -> None:  # weights, masks: W_in, W_delta, W_c, each [H, M]; a mask [0, 0] keeps all
    """Apply W -= A . e for the inputs ``events``: due before W is read there."""
    hidden = weights[0].shape[0]
    blocks, words = (hidden + W - 1) // W, 3 * n - 1
    change = np.zeros(3 * W, e.dtype)
    for i in range(len(events)):
        column, slot = events[i], waits[events[i]]
        if slot < 0:
            continue
        tally[_MATERIALISED] += blocks
        for block in range(blocks):
            at, a_at = U((column * blocks + block) * words * W), U((slot * blocks + block) * n * W)
            pending_change(change, e, at, a, a_at, n)
            first = block * W
            for port in range(3):
                for h in range(first, min(first + W, hidden)):
                    if masks[port].shape[0] == 0 or masks[port][h, column]:
                        weights[port][h, column] -= change[port * W + h - first]


@njit(nogil=True, forceinline=True)
def _free_slot(users: I64) -> int:
    for slot in range(len(users)):
        if users[slot] == 0:
            return slot
    return -1  # cannot be: there is one slot more than there are inputs


@njit(nogil=True, forceinline=True)
def _reopen(waits: I64, live: I64, users: I64, events: I64, fresh: int) -> None:
    """Let the inputs that fired wait at the fresh slot; slots without users are no longer live."""
    for i in range(len(events)):
        if waits[events[i]] >= 0:
            users[waits[events[i]]] -= 1
        waits[events[i]] = fresh
    users[fresh] = len(events)
    kept, count = 0, live[-1]
    for i in range(count):
        if users[live[i]] > 0:
            live[kept] = live[i]
            kept += 1
    live[kept] = fresh
    live[-1] = kept + 1


@njit(nogil=True, fastmath=MATHS, forceinline=True)
def _open(f: AnyFloats, a: AnyFloats, at: int, n: int) -> None:
    """Set F = 1, A = 0 for W neurons of the slot-block number `at`."""
    size = n * (n + 1) // 2 * W
    f[at * size : (at + 1) * size] = 0
    a[at * n * W : (at + 1) * n * W] = 0
    for k in range(n):
        begin = at * size + _column(k, n) * W
        f[begin : begin + W] = 1


@njit(cache=True, nogil=True, fastmath=MATHS)
def lazy_step(
    e: AnyFloats,
    own: AnyFloats,
    f: AnyFloats,
    a: AnyFloats,
    waits: I64,
    live: I64,
    users: I64,
    tally: I64,
    u: AnyFloats,  # [M]
    events: I64,  # the inputs that are not 0
    given: tuple[AnyFloats, ...],  # this and the next five as in `packed_kernels.packed_step`, B = 1
    a_log: AnyFloats,
    direct: AnyFloats,
    consts: AnyFloats,
    flags: tuple[bool, ...],
    shape: Shape,
    rate: np.floating,  # learning rate; without a label the error signal is 0 and `labelled` false
    labelled: bool,
    single: AnyFloats,  # [5, H] gradients of what neurons own, overwritten
) -> None:
    """Run steps (2) to (6) after the forward step: F, e at the events, the fresh slot, A."""
    hidden, n = len(direct), len(shape) + 1
    blocks, words, own_words, size = (hidden + W - 1) // W, 3 * n - 1, 5 * n - 2, n * (n + 1) // 2
    values = np.zeros(VALUES * W, e.dtype)
    own_row, signal, beta = np.empty(5 * W, e.dtype), np.empty(W, e.dtype), np.empty(own_words * W, e.dtype)
    k, scaled = kernel_factors(consts), with_gain(flags, consts, len(shape))
    fresh = _free_slot(users) if len(events) else -1
    signals = np.zeros(blocks * W, e.dtype)
    for block in range(blocks):
        first = block * W
        count = min(W, hidden - first)
        derive(values, given, a_log, direct, consts, scaled, first, count)
        own_row[:] = 0
        own_traces(own, values, own_row, U(block * own_words * W), U(0), k, shape)
        for p in range(5):
            for j in range(count):
                single[p, first + j] = own_row[p * W + j]
        for j in range(count):
            signals[first + j] = rate * given[ERROR][0, first + j]
        for i in range(live[-1]):
            move_propagator(f, U((live[i] * blocks + block) * size * W), values, k, shape)
        if fresh < 0:
            continue
        beta[:] = 0  # the traces of an input that fires now for the first time
        own_traces(beta, values, own_row, U(0), U(0), k, shape)
        for i in range(len(events)):
            at = U((events[i] * blocks + block) * words * W)
            if waits[events[i]] >= 0:
                catch_up(e, at, f, U((waits[events[i]] * blocks + block) * size * W), n)
                tally[_CAUGHT_UP] += 1
            add_event(e, at, beta, u[events[i]], n)
        _open(f, a, fresh * blocks + block, n)
    tally[_EVENTS] += blocks * len(events)
    tally[_MOVED] += blocks * live[-1]
    if fresh >= 0:
        _reopen(waits, live, users, events, fresh)
    if not labelled:
        return
    tally[_LEARNT] += blocks * live[-1]
    for i in range(live[-1]):
        for block in range(blocks):
            for j in range(W):
                signal[j] = signals[block * W + j]
            at = live[i] * blocks + block
            receive(a, U(at * n * W), f, U(at * size * W), signal, n)
