"""BLK: exact on endless streams with one dense pass of the traces per K steps.

Per neuron a propagator S (the product of the step matrices M over the block) and a row A; per synapse the carried trace
e = (E^x, E^r, E^I, E^V, E^sb) as of the block's start. M is lower triangular, its columns (kq: response to a kick in q)::

    kq = lc (0, rho, b, f P_Vr, h P_Vr) (alpha) | lc (0, -, rho, f P_VI, h P_VI) (exp) | lc (0, -, -, f, h) (delta)
    x: Abar ((1, 0..) + c kq)    r: kq / lc    I: (0, 0, rho, f P_VI, h P_VI)    V: (.., f kap, h kap)    sb: k

    start  S = 1, A = 0;     each step  S <- M S;  A += delta S[sb, :]
    block end, in this order:
      (i)   G_ij += A . e_ij;   e_ij <- S e_ij
      (ii)  the backward sweep of `sweep` over the block with l = 0 and Y = 1: for each event j of step t
            G += p u_j,  e_ij += (Y beta(t)) u_j;  then Y <- Y M(t)
      (iii) the weight update
    beta: in (1 - Abar) X + D kq,  d  g X,  c  x_new kq,  D  z kq;   X = (1, 0..) + c kq

K = 1 is dense RTRL, K = T is SEQ. A bias is a line with an event at every step.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.plasticity.forms.base import ALPHA, C_B, C_D, C_K, C_KAP, C_LC, C_P_VI, C_P_VR, C_RHO, EXP
from simulator.plasticity.words.words import (
    H_ABAR,
    H_C,
    H_DELTA,
    H_F,
    H_G,
    H_PSI,
    H_X,
    H_Z,
    K_CARRY,
    K_DEFERRED,
    K_INJECTED,
    K_SUM,
    K_TRACE,
    put,
)


@numba.njit(cache=True, nogil=True)
def _step_matrix(w, i, const, psp, membrane, m, kq):  # type: ignore[no-untyped-def]
    """Fill m [5, 5] and kq [5] of neuron i from its history words w [8, H]."""
    m[:] = 0.0
    kq[:] = 0.0
    k_o, f, lc = const[C_K, i], w[H_F, i], const[C_LC, i]
    h = (1.0 - k_o) if membrane else (1.0 - k_o) * w[H_PSI, i]
    if psp == ALPHA:
        kq[1], kq[2] = const[C_RHO, i], const[C_B, i]
        kq[3], kq[4] = f * const[C_P_VR, i], h * const[C_P_VR, i]
        for r in range(5):
            m[r, 1] = kq[r]
        m[2, 2], m[3, 2], m[4, 2] = const[C_RHO, i], f * const[C_P_VI, i], h * const[C_P_VI, i]
    elif psp == EXP:
        kq[2], kq[3], kq[4] = const[C_RHO, i], f * const[C_P_VI, i], h * const[C_P_VI, i]
        for r in range(5):
            m[r, 2] = kq[r]
    else:
        kq[3], kq[4] = f, h
    for r in range(5):
        kq[r] *= lc
        m[r, 0] = w[H_ABAR, i] * w[H_C, i] * kq[r]
    m[0, 0] += w[H_ABAR, i]
    m[3, 3], m[4, 3], m[4, 4] = f * const[C_KAP, i], h * const[C_KAP, i], k_o


@numba.njit(cache=True, nogil=True)
def _product(a, b, first, words, out):  # type: ignore[no-untyped-def]
    """Compute out = a b for lower triangular [5, 5], stored as the words from class `first` on."""
    for r in range(5):
        for c in range(r + 1):
            total = 0.0
            for k in range(c, r + 1):
                total += a[r, k] * b[k, c]
            out[r, c] = put(total, first + 5 * r + c, words)


@numba.njit(cache=True, nogil=True)
def forward(w, const, psp, membrane, labelled, s, a, words):  # type: ignore[no-untyped-def]
    """Step the block's propagators: S <- M S, A += delta S[sb, :].

    Args:
        w: float64 [8, H], history words of the step.
        const: float64 [8, H].
        psp: kernel.
        membrane: the readout reads the membrane.
        labelled: the step carries an error.
        s: float64 [H, 5, 5], updated.
        a: float64 [H, 5], updated.
        words: word table.
    """
    m, kq, out = np.zeros((5, 5)), np.zeros(5), np.zeros((5, 5))
    for i in range(const.shape[1]):
        _step_matrix(w, i, const, psp, membrane, m, kq)
        _product(m, s[i], K_CARRY, words, out)
        s[i] = out
        if labelled:
            for part in range(5):
                a[i, part] = put(a[i, part] + w[H_DELTA, i] * out[4, part], K_DEFERRED + part, words)


@numba.njit(cache=True, nogil=True)
def carry(e, g, s, a, live, words):  # type: ignore[no-untyped-def]
    """Block end (i): G += A . e, e <- S e for every synapse; shapes as in `rtrl.dense_step`, s [H, 5, 5], a [H, 5]."""
    old = np.zeros(5)
    for port in range(4):
        for j in range(e.shape[2] if port < 3 else 1):
            for i in range(e.shape[3]):
                if port < 3 and not live[port, j, i]:
                    continue
                total = 0.0
                for part in range(5):
                    old[part] = e[port, part, j, i]
                    total += a[i, part] * old[part]
                g[port, j, i] = put(g[port, j, i] + total, K_SUM + port, words)
                for r in range(5):
                    moved = 0.0
                    for part in range(r + 1):
                        moved += s[i, r, part] * old[part]
                    e[port, r, j, i] = put(moved, K_TRACE + 5 * port + r, words)


@numba.njit(cache=True, nogil=True)
def inject(hist, events, order, const, psp, membrane, live, e, words):  # type: ignore[no-untyped-def]
    """Block end (ii), the traces' part: e += (Y beta(t)) u_j for each event, newest step first.

    Returns:
        int64 [3], events at one synapse of each port, bias lines not counted.
    """
    m, kq, out = np.zeros((5, 5)), np.zeros(5), np.zeros((5, 5))
    beta, x = np.zeros((4, 5)), np.zeros(5)
    done, lines = np.zeros(3, np.int64), e.shape[2]
    for i in range(const.shape[1]):
        y = np.eye(5)
        for t in range(order.size):
            w = hist[order[t]]
            _step_matrix(w, i, const, psp, membrane, m, kq)
            for part in range(5):
                x[part] = w[H_C, i] * kq[part]
            x[0] += 1.0
            for part in range(5):
                beta[0, part] = (1.0 - w[H_ABAR, i]) * x[part] + const[C_D, i] * kq[part]
                beta[1, part] = w[H_G, i] * x[part]
                beta[2, part] = w[H_X, i] * kq[part]
                beta[3, part] = w[H_Z, i] * kq[part]
            for port in range(4):
                for r in range(4, -1, -1):
                    total = 0.0
                    for part in range(r + 1):
                        total += y[r, part] * beta[port, part]
                    beta[port, r] = put(total, K_INJECTED + 5 * port + r, words)
            for j in range(lines):
                u = events[order[t], j]
                if u == 0.0:
                    continue
                for port in range(3):
                    if live[port, j, i]:
                        for r in range(5):
                            k = K_TRACE + 5 * port + r
                            e[port, r, j, i] = put(e[port, r, j, i] + beta[port, r] * u, k, words)
                        if j < lines - 1:
                            done[port] += 1
            for r in range(5):
                e[3, r, 0, i] = put(e[3, r, 0, i] + beta[3, r], K_TRACE + 15 + r, words)
            _product(y, m, K_CARRY, words, out)
            for r in range(5):
                for part in range(5):
                    y[r, part] = out[r, part]
    return done
