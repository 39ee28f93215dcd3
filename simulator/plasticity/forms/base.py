"""Exact RTRL of BIM-D inside a neuron, dense form: every eligibility trace of every synapse at every step.

Of neuron i and its synapse j (port in, d, c; input u_j; E^y = dy_i/dw_ij; all factors are words of the neuron's history)::

    in   E^x <- Abar E^x + (1 - Abar) u_j    E^q = c E^x + D u_j
    d    E^x <- Abar E^x + g u_j             E^q = c E^x               g = -a Abar (x_old - z) sig(d)
    c                                        E^q = x_new u_j
    D                                        E^q = z                   (one a neuron; biases: a line with u = 1)
    alpha  E^rr = E^r + lc E^q;  E^V- = kap E^V + P_VI E^I + P_Vr E^rr;  E^I <- b E^rr + rho E^I;  E^r <- rho E^rr
    exp    E^II = E^I + lc E^q;  E^V- = kap E^V + P_VI E^II;             E^I <- rho E^II
    delta  E^V- = kap E^V + lc E^q
    E^V <- f E^V-      E^sb <- k E^sb + h E^V-,   h = (1 - k) psi  (readout on the membrane: h = 1 - k)
    G_ij += delta_i E^sb_ij

Source: forward sensitivity of the model's recurrence; exact for frozen weights (equal to BPTT). Letters: M1 lines
(inputs and a bias), H neurons.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.plasticity.words.words import (
    H_ABAR,
    H_C,
    H_DELTA,
    H_F,
    H_G,
    H_PSI,
    H_X,
    H_Z,
    K_SUM,
    K_TRACE,
    put,
)

DELTA, EXP, ALPHA = 0, 1, 2
KERNELS = {"delta": DELTA, "exp": EXP, "alpha": ALPHA}
# Rows of a layer's constants [8, H].
C_KAP, C_RHO, C_P_VI, C_P_VR, C_B, C_LC, C_K, C_D = range(8)
PARTS_OF = {DELTA: (0, 3, 4), EXP: (0, 2, 3, 4), ALPHA: (0, 1, 2, 3, 4)}


@numba.njit(cache=True, nogil=True)
def _chain(e, port, line, i, eq, h, hist, const, psp, words):  # type: ignore[no-untyped-def]
    """Go from E^q to E^sb of one synapse: kernel, reset, readout filter."""
    k = K_TRACE + 5 * port
    kap_v = const[C_KAP, i] * e[port, 3, line, i]
    if psp == ALPHA:
        rr = e[port, 1, line, i] + const[C_LC, i] * eq
        current = e[port, 2, line, i]
        v = kap_v + const[C_P_VI, i] * current + const[C_P_VR, i] * rr
        e[port, 2, line, i] = put(const[C_B, i] * rr + const[C_RHO, i] * current, k + 2, words)
        e[port, 1, line, i] = put(const[C_RHO, i] * rr, k + 1, words)
    elif psp == EXP:
        current = e[port, 2, line, i] + const[C_LC, i] * eq
        v = kap_v + const[C_P_VI, i] * current
        e[port, 2, line, i] = put(const[C_RHO, i] * current, k + 2, words)
    else:
        v = kap_v + const[C_LC, i] * eq
    e[port, 3, line, i] = put(hist[H_F, i] * v, k + 3, words)
    sb = put(const[C_K, i] * e[port, 4, line, i] + h * v, k + 4, words)
    e[port, 4, line, i] = sb
    return sb


@numba.njit(cache=True, nogil=True)
def dense_step(e, g, u, hist, const, live, psp, membrane, labelled, words):  # type: ignore[no-untyped-def]
    """Step all traces of a layer, and the gradient sums where the step is labelled.

    Args:
        e: float64 [4, 5, M1, H], traces by port (in, d, c, D: its line 0 only) and part; updated.
        g: float64 [4, M1, H], gradient sums; updated.
        u: float64 [M1], inputs of the step, the last one 1 (bias).
        hist: float64 [8, H], history words of the step.
        const: float64 [8, H], constants of the layer.
        live: uint8 [3, M1, H], 0 where there is no synapse.
        psp: kernel.
        membrane: the readout reads the membrane.
        labelled: accumulate delta E^sb.
        words: word table.
    """
    dense_step_at(e, g, u, hist, const, live, psp, membrane, labelled, words, np.arange(e.shape[2]))


@numba.njit(cache=True, nogil=True)
def dense_step_at(e, g, u, hist, const, live, psp, membrane, labelled, words, at):  # type: ignore[no-untyped-def]
    """Do as `dense_step` for the lines `at` alone, int64 [any], whose first is 0."""
    n = e.shape[3]
    for j in at:  # neurons inside: they lie side by side in memory
        for i in range(n):
            h = (1.0 - const[C_K, i]) if membrane else (1.0 - const[C_K, i]) * hist[H_PSI, i]
            abar, c, delta = hist[H_ABAR, i], hist[H_C, i], hist[H_DELTA, i]
            if live[0, j, i]:
                x = put(abar * e[0, 0, j, i] + (1.0 - abar) * u[j], K_TRACE, words)
                e[0, 0, j, i] = x
                sb = _chain(e, 0, j, i, c * x + const[C_D, i] * u[j], h, hist, const, psp, words)
                if labelled:
                    g[0, j, i] = put(g[0, j, i] + delta * sb, K_SUM, words)
            if live[1, j, i]:
                x = put(abar * e[1, 0, j, i] + hist[H_G, i] * u[j], K_TRACE + 5, words)
                e[1, 0, j, i] = x
                sb = _chain(e, 1, j, i, c * x, h, hist, const, psp, words)
                if labelled:
                    g[1, j, i] = put(g[1, j, i] + delta * sb, K_SUM + 1, words)
            if live[2, j, i]:
                sb = _chain(e, 2, j, i, hist[H_X, i] * u[j], h, hist, const, psp, words)
                if labelled:
                    g[2, j, i] = put(g[2, j, i] + delta * sb, K_SUM + 2, words)
    for i in range(n):
        h = (1.0 - const[C_K, i]) if membrane else (1.0 - const[C_K, i]) * hist[H_PSI, i]
        sb = _chain(e, 3, 0, i, hist[H_Z, i], h, hist, const, psp, words)
        if labelled:
            g[3, 0, i] = put(g[3, 0, i] + hist[H_DELTA, i] * sb, K_SUM + 3, words)
