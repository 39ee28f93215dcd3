"""The dense traces in narrow words, one line of synapses at a time: the same bits as `rtrl.dense_step`, in vector loops.

Every port is one form, x <- A x + B u, q = C x + Q u, so one loop serves all (a term that a port lacks is an exact 0).

A trace word is rounded to nearest, floor(x + 1/2), or stochastically, floor(x + r) with r uniform in [0, 1): the 16 bits of r
are Philox4x32-10(counter = (chip step, line, stream + 256 (20 layer + 5 port + part), neuron // 8), key = seed), half-word
neuron % 8. Logical numbers only, so the traces do not depend on the mapping.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I64, U8, U64, Floats
from simulator.plasticity.forms.base import ALPHA, C_B, C_D, C_K, C_KAP, C_LC, C_P_VI, C_P_VR, C_RHO, DELTA, EXP
from simulator.plasticity.words.rounding import fill_uniform
from simulator.plasticity.words.words import (
    H_ABAR,
    H_C,
    H_DELTA,
    H_F,
    H_G,
    H_PSI,
    H_X,
    H_Z,
    INVERSE,
    K_SUM,
    K_TRACE,
    LIMIT,
    LSB,
    SATURATED,
)


@numba.njit(cache=True, nogil=True)
def _line(e, a, b, c, q, u, live, hist, const, h, psp, words, k, r):  # type: ignore[no-untyped-def]
    """Step the traces [5, H] of one line; classes k..k+4 of the word table; r [5, H] is added before the floor."""
    n = e.shape[1]
    lx, lr, li, lv, ls = words[LSB, k], words[LSB, k + 1], words[LSB, k + 2], words[LSB, k + 3], words[LSB, k + 4]
    ix, ir, ii, iv, js = (
        words[INVERSE, k],
        words[INVERSE, k + 1],
        words[INVERSE, k + 2],
        words[INVERSE, k + 3],
        words[INVERSE, k + 4],
    )
    mx, mr, mi, mv, ms = (
        words[LIMIT, k],
        words[LIMIT, k + 1],
        words[LIMIT, k + 2],
        words[LIMIT, k + 3],
        words[LIMIT, k + 4],
    )
    nx = nr = ni = nv = ns = 0
    for i in range(n):
        on = np.float64(live[i])
        x = np.floor((a[i] * e[0, i] + b[i] * u) * ix + r[0, i]) * lx * on
        over = x > mx or x < -mx
        nx += 1 if over else 0
        x = mx if x > mx else (-mx if x < -mx else x)
        e[0, i] = x
        eq = c[i] * x + q[i] * u
        if psp == ALPHA:
            rr = e[1, i] + const[C_LC, i] * eq
            current = e[2, i]
            v = const[C_KAP, i] * e[3, i] + const[C_P_VI, i] * current + const[C_P_VR, i] * rr
            y = np.floor((const[C_B, i] * rr + const[C_RHO, i] * current) * ii + r[2, i]) * li * on
            over = y > mi or y < -mi
            ni += 1 if over else 0
            e[2, i] = mi if y > mi else (-mi if y < -mi else y)
            y = np.floor((const[C_RHO, i] * rr) * ir + r[1, i]) * lr * on
            over = y > mr or y < -mr
            nr += 1 if over else 0
            e[1, i] = mr if y > mr else (-mr if y < -mr else y)
        elif psp == EXP:
            current = e[2, i] + const[C_LC, i] * eq
            v = const[C_KAP, i] * e[3, i] + const[C_P_VI, i] * current
            y = np.floor((const[C_RHO, i] * current) * ii + r[2, i]) * li * on
            over = y > mi or y < -mi
            ni += 1 if over else 0
            e[2, i] = mi if y > mi else (-mi if y < -mi else y)
        else:
            v = const[C_KAP, i] * e[3, i] + const[C_LC, i] * eq
        y = np.floor((hist[H_F, i] * v) * iv + r[3, i]) * lv * on
        over = y > mv or y < -mv
        nv += 1 if over else 0
        e[3, i] = mv if y > mv else (-mv if y < -mv else y)
        y = np.floor((const[C_K, i] * e[4, i] + h[i] * v) * js + r[4, i]) * ls * on
        over = y > ms or y < -ms
        ns += 1 if over else 0
        e[4, i] = ms if y > ms else (-ms if y < -ms else y)
    words[SATURATED, k] += nx
    words[SATURATED, k + 1] += nr
    words[SATURATED, k + 2] += ni
    words[SATURATED, k + 3] += nv
    words[SATURATED, k + 4] += ns


@numba.njit(cache=True, nogil=True)
def _sum(g, delta, sb, live, words, k):  # type: ignore[no-untyped-def]
    """Add g <- g + delta E^sb of one line, as words of class k."""
    lsb, inverse, limit, over = words[LSB, k], words[INVERSE, k], words[LIMIT, k], 0
    for i in range(g.size):
        y = np.floor((g[i] + delta[i] * sb[i]) * inverse + 0.5) * lsb if live[i] else g[i]
        over += 1 if y > limit or y < -limit else 0
        g[i] = limit if y > limit else (-limit if y < -limit else y)
    words[SATURATED, k] += over


@numba.njit(cache=True, nogil=True)
def _draw_traces(r: Floats, noise: U64, line: int, port: int, psp: int) -> None:
    """Draw the random numbers of one line's traces at a port (only of the words that the kernel has)."""
    seed, step, stream, left = noise[1], noise[2], noise[3], np.int64(noise[4])
    for part in range(5):
        if (part != 1 or psp == ALPHA) and (part != 2 or psp != DELTA):
            fill_uniform(r[part], seed, step, line, stream + np.uint64(256 * (5 * port + part)), left)


@numba.njit(cache=True, nogil=True)
def dense_lines(
    e: Floats, g: Floats, u: Floats, hist: Floats, const: Floats, live: U8, psp: int,
    membrane: bool, labelled: bool, words: Floats, noise: U64, numbers: I64,
) -> None:  # fmt: skip
    """Do as `base.dense_step` for narrow words, for some lines of synapses; arguments as there, traces e as [4, M1, 5, H].

    Args:
        noise: uint64 [5]: 1 for stochastic rounding (0: to nearest), seed, chip step, stream of the layer, number of the
            first neuron.
        numbers: of the lines; the first of them is line 0.
    """
    dense_lines_at(e, g, u, hist, const, live, psp, membrane, labelled, words, noise, numbers, np.arange(numbers.size))


@numba.njit(cache=True, nogil=True)
def dense_lines_at(
    e: Floats, g: Floats, u: Floats, hist: Floats, const: Floats, live: U8, psp: int, membrane: bool,
    labelled: bool, words: Floats, noise: U64, numbers: I64,
    at: I64,
) -> None:  # fmt: skip
    """Do as `dense_lines`, with line numbers[j] of the layer at place at[j] of the arrays."""
    n = e.shape[3]
    zero, one, h, rest = np.zeros(n), np.ones(n, np.uint8), np.empty(n), np.empty(n)
    r, stochastic = np.full((5, n), 0.5), noise[0] != 0
    for i in range(n):
        h[i] = (1.0 - const[C_K, i]) if membrane else (1.0 - const[C_K, i]) * hist[H_PSI, i]
        rest[i] = 1.0 - hist[H_ABAR, i]
    for k in range(numbers.size):
        j = at[k]
        x = u[j]
        for port in range(3):
            a = hist[H_ABAR] if port < 2 else zero
            b = rest if port == 0 else (hist[H_G] if port == 1 else zero)
            c = hist[H_C] if port < 2 else zero
            q = const[C_D] if port == 0 else (zero if port == 1 else hist[H_X])
            if stochastic:
                _draw_traces(r, noise, numbers[k], port, psp)
            _line(e[port, j], a, b, c, q, x, live[port, j], hist, const, h, psp, words, K_TRACE + 5 * port, r)
        if labelled:
            for port in range(3):
                _sum(g[port, j], hist[H_DELTA], e[port, j, 4], live[port, j], words, K_SUM + port)
    if stochastic:
        _draw_traces(r, noise, 0, 3, psp)
    _line(e[3, 0], zero, zero, zero, hist[H_Z], 1.0, one, hist, const, h, psp, words, K_TRACE + 15, r)
    if labelled:
        _sum(g[3, 0], hist[H_DELTA], e[3, 0, 4], one, words, K_SUM + 3)
