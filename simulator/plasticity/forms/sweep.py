"""SEQ and TR: the same gradient by a backward sweep over each neuron's own history; no synaptic traces.

Honest name: back-propagation through time confined inside the neuron (local in space, a history of K steps in time).
Forward, a neuron stores per step the words {Abar, c, psi, g, x_new, z, delta} (f where the reset needs it) and its core
the list of input events. Backward, for t = newest .. oldest, all l start at 0 (the order is normative)::

    l_sb += delta(t);   l_V- = f l_V + h l_sb
    alpha  l_rr = rho l_r + b l_I + P_Vr l_V-;   l_q = lc l_rr;   l_r = l_rr;   l_I = rho l_I + P_VI l_V-
    exp    l_II = rho l_I + P_VI l_V-;           l_q = lc l_II;   l_I = l_II
    delta  l_q = lc l_V-
    l_V = kap l_V-;   l_sb = k l_sb
    pC = l_q x_new;   gD += l_q z;   l_x += c l_q;   pW = (1 - Abar) l_x + D l_q;   pd = g l_x;   l_x = Abar l_x
    each event j of step t:   G_in_ij += pW u_j,   G_d_ij += pd u_j,   G_c_ij += pC u_j      (binary: three adds)

Work: `simulator.plasticity.operations`. SEQ sweeps a whole sequence once, TR every K steps over the
newest K + L of which only the newest K carry errors (L >= 3..4 / Delta_min for 2 %).
"""

from __future__ import annotations

import numba

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
    K_ADJOINT,
    K_PRODUCT,
    K_SUM,
    put,
)


@numba.njit(cache=True, nogil=True)
def back_to_q(l_sb, l_v, l_i, l_r, psi, f, const, i, psp, membrane, words):  # type: ignore[no-untyped-def]
    """Go one step back through readout filter, reset and kernel of neuron i: (l_q, l_sb, l_V, l_I, l_r)."""
    k_o = const[C_K, i]
    h = (1.0 - k_o) if membrane else (1.0 - k_o) * psi
    v = f * l_v + h * l_sb
    if psp == ALPHA:
        rr = const[C_RHO, i] * l_r + const[C_B, i] * l_i + const[C_P_VR, i] * v
        l_i = put(const[C_RHO, i] * l_i + const[C_P_VI, i] * v, K_ADJOINT + 2, words)
        l_r = put(rr, K_ADJOINT + 3, words)
        q = const[C_LC, i] * l_r
    elif psp == EXP:
        l_i = put(const[C_RHO, i] * l_i + const[C_P_VI, i] * v, K_ADJOINT + 2, words)
        q = const[C_LC, i] * l_i
    else:
        q = const[C_LC, i] * v
    l_v = put(const[C_KAP, i] * v, K_ADJOINT + 1, words)
    return q, put(k_o * l_sb, K_ADJOINT, words), l_v, l_i, l_r


@numba.njit(cache=True, nogil=True)
def sweep(hist, order, fresh, const, psp, membrane, p, g_skip, words):  # type: ignore[no-untyped-def]
    """Sweep backward over a layer.

    Args:
        hist: float64 [R, 8, H], ring of history words.
        order: int64 [n], ring slots from the newest step to the oldest.
        fresh: the first `fresh` steps of `order` carry errors (TR); n for all.
        const: float64 [8, H].
        psp: kernel.
        membrane: the readout reads the membrane.
        p: float64 [n, 3, H], filled with the port products pW, pd, pC of each step.
        g_skip: float64 [H], gradient of D, added to.
        words: word table.
    """
    n = const.shape[1]
    for i in range(n):
        l_sb = l_v = l_i = l_r = l_x = 0.0
        for s in range(order.size):
            w = hist[order[s]]
            if s < fresh:
                l_sb = put(l_sb + w[H_DELTA, i], K_ADJOINT, words)
            q, l_sb, l_v, l_i, l_r = back_to_q(
                l_sb, l_v, l_i, l_r, w[H_PSI, i], w[H_F, i], const, i, psp, membrane, words
            )
            p[s, 2, i] = put(q * w[H_X, i], K_PRODUCT + 2, words)
            g_skip[i] = put(g_skip[i] + put(q * w[H_Z, i], K_PRODUCT + 3, words), K_SUM + 3, words)
            x = l_x + w[H_C, i] * q
            p[s, 0, i] = put((1.0 - w[H_ABAR, i]) * x + const[C_D, i] * q, K_PRODUCT, words)
            p[s, 1, i] = put(w[H_G, i] * x, K_PRODUCT + 1, words)
            l_x = put(w[H_ABAR, i] * x, K_ADJOINT + 4, words)


@numba.njit(cache=True, nogil=True)
def replay(events, order, p, live, g, words, first=K_SUM):  # type: ignore[no-untyped-def]
    """Walk the stored events once: G_port,j += p_port u_j.

    Args:
        events: float64 [R, M1], inputs of each step in the ring, 0 = no event.
        order: int64 [n], ring slots.
        p: float64 [n, ports, H].
        live: uint8 [ports, M1, H].
        g: float64 [at least ports, M1, H], added to.
        words: word table.
        first: word class of the sums of port 0; the other ports' follow.

    Returns:
        synaptic operations done (an event at one synapse of one port), bias lines not counted.
    """
    done = 0
    lines, n = g.shape[1], g.shape[2]
    for s in range(order.size):
        for j in range(lines):
            u = events[order[s], j]
            if u == 0.0:
                continue
            for port in range(p.shape[1]):
                for i in range(n):
                    if live[port, j, i]:
                        g[port, j, i] = put(g[port, j, i] + p[s, port, i] * u, first + port, words)
                        if j < lines - 1:
                            done += 1
    return done
