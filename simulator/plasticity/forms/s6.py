"""SEQ and TR of an s6 layer: the backward sweep of `sweep`, through N states a neuron whose B and C all neurons share.

From l_q on (what lies behind it is that of `sweep`; A_n = -e^(A_log,n); x_old = x_n of the step before)::

    gD += l_q z
    each n:  p_C,n += l_q x_n      (summed over the neurons)      l_x = l_x,n + C_n l_q
             p_B,n += l_x G_n z    (summed over the neurons)      G = Delta (euler) | (Abar_n - 1)/A_n (zoh)
             p_d   += l_x (A_n Abar_n x_old + G' B_n z)           G' = 1 (euler) | Abar_n (zoh)
             p_z   += l_x G_n B_n
             gA_n  += l_x (Delta A_n Abar_n x_old [zoh: + (Delta Abar_n - G_n) B_n z])
             l_x,n <- Abar_n l_x
    p_z += D l_q;   p_d *= sigmoid(d)
    each event j:   G_in_ij += p_z u_j,   G_d_ij += p_d u_j    at the layer's neurons
                    G_B_nj += p_B,n u_j,  G_C_nj += p_C,n u_j  at the neurons that compute B and C: once, not once a channel

An event costs 2 H + 2 N additions instead of the (2 + 2 N) H that ports of every channel would take, and no word is kept by
synapse but the sums. History words a neuron and step: {Abar_n, x_n} of each state, Delta, sigmoid(d), z, psi, delta (2 N + 5);
a core keeps B and C once (2 N words a step).

Words (rounded to nearest): every l, l_q and l_x among them, and every product has the adjoint's width; G_n, A_n Abar_n x_old,
B_n z, the bracket of p_d and that of gA_n the history's; e^A_log and e^-A_log 15 fractional bits. The products of B and C are
rounded by neuron, so their sum over the channels is exact and the same for any mapping.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I64, Floats
from simulator.plasticity.decode import R_DT, R_SIG, R_STATES
from simulator.plasticity.forms.base import C_D
from simulator.plasticity.forms.record import R_M, R_S, R_V, R_Z, slope_and_keep
from simulator.plasticity.forms.sweep import back_to_q
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
    K_B,
    K_CN,
    K_DECAYED,
    K_DRIVE,
    K_DT,
    K_GAIN,
    K_PB,
    K_PCN,
    K_PRODUCT,
    K_Q,
    K_RATE,
    K_SIG,
    K_SLOPE,
    K_SUM,
    K_SUM_A,
    K_XN,
    put,
)

# Rows of a history word array [8 + 2 N, H] that differ from those of BIM-D (`words`); rows H_ABAR and H_X stay empty.
H_DT, H_SIG, H_STATES = H_C, H_G, 8


@numba.njit(cache=True, nogil=True)
def s6_history(rec, theta, hard, detached, surrogate, width, row, shared, words):  # type: ignore[no-untyped-def]
    """Fill the history words of a step (all but delta) from its record.

    Args:
        rec: float64 [8 + 4 N, H], see `decode`.
        theta, hard, detached, surrogate, width: as in `record.history_words`.
        row: float64 [8 + 2 N, H], filled; delta becomes 0.
        shared: float64 [2 N], filled with B and C.
        words: word table.
    """
    states = (rec.shape[0] - R_STATES) // 4
    for i in range(rec.shape[1]):
        psi, f = slope_and_keep(
            rec[R_V, i], rec[R_M, i], rec[R_S, i], theta[i], hard, detached, surrogate, width, words
        )
        row[H_PSI, i], row[H_F, i], row[H_DELTA, i] = psi, f, 0.0
        row[H_Z, i], row[H_DT, i] = put(rec[R_Z, i], H_Z, words), put(rec[R_DT, i], K_DT, words)
        row[H_SIG, i] = put(rec[R_SIG, i], K_SIG, words)
        for n in range(states):
            row[H_STATES + n, i] = put(rec[R_STATES + n, i], H_ABAR, words)
            row[H_STATES + states + n, i] = put(rec[R_STATES + states + n, i], H_X, words)
    for n in range(states):
        shared[n] = put(rec[R_STATES + 2 * states + n, 0], K_B, words)
        shared[states + n] = put(rec[R_STATES + 3 * states + n, 0], K_CN, words)


@numba.njit(cache=True, nogil=True)
def s6_sweep(
    hist: Floats, shared: Floats, order: I64, before: int, fresh: int, const: Floats, rates: Floats, psp: int,
    membrane: bool, zoh: bool, p: Floats, p_shared: Floats, g_skip: Floats, g_rates: Floats, words: Floats,
) -> None:  # fmt: skip
    """Sweep backward over an s6 layer.

    Args:
        hist: float64 [R, 8 + 2 N, H], ring of history words.
        shared: float64 [R, 2 N], B and C of each step in the ring.
        order: int64 [n], ring slots from the newest step to the oldest.
        before: slot of the step before the oldest one, -1: there was none (x is 0).
        fresh: the first `fresh` steps of `order` carry errors.
        const: float64 [8, H].
        rates: float64 [2, N, H], e^A_log and e^-A_log.
        psp: kernel.
        membrane: the readout reads the membrane.
        zoh: input gain of the zero-order hold.
        p: float64 [n, 2, H], filled with the port products p_z, p_d of each step.
        p_shared: float64 [n, 2 N], p_B and p_C, added to.
        g_skip: float64 [H], gradient of D, added to.
        g_rates: float64 [N, H], gradient of A_log, added to; [0, H]: not wanted.
        words: word table.
    """
    states, last = rates.shape[1], order.size - 1
    l_x = np.empty(states)
    for i in range(const.shape[1]):
        l_sb = l_v = l_i = l_r = 0.0
        l_x[:] = 0.0
        for s in range(order.size):
            w, bc = hist[order[s]], shared[order[s]]
            if s < fresh:
                l_sb = put(l_sb + w[H_DELTA, i], K_ADJOINT, words)
            q, l_sb, l_v, l_i, l_r = back_to_q(
                l_sb, l_v, l_i, l_r, w[H_PSI, i], w[H_F, i], const, i, psp, membrane, words
            )
            q, z, step = put(q, K_Q, words), w[H_Z, i], w[H_DT, i]
            g_skip[i] = put(g_skip[i] + put(q * z, K_PRODUCT + 3, words), K_SUM + 3, words)
            to_z, to_d = const[C_D, i] * q, 0.0
            for n in range(states):
                abar, x_new, b = w[H_STATES + n, i], w[H_STATES + states + n, i], bc[n]
                older = order[s + 1] if s < last else before
                x_old = hist[older, H_STATES + states + n, i] if older >= 0 else 0.0
                gain = put((1.0 - abar) * rates[1, n, i], K_GAIN, words) if zoh else step
                decayed, drive = put(-rates[0, n, i] * abar * x_old, K_DECAYED, words), put(b * z, K_DRIVE, words)
                kick = put(l_x[n] + bc[states + n] * q, K_XN, words)
                p_shared[s, states + n] += put(q * x_new, K_PCN, words)
                pull = kick * gain
                p_shared[s, n] += put(pull * z, K_PB, words)
                to_z += pull * b
                to_d += kick * put(decayed + (abar * drive if zoh else drive), K_SLOPE, words)
                if g_rates.shape[0]:
                    own = put(step * decayed + ((step * abar - gain) * drive if zoh else 0.0), K_RATE, words)
                    g_rates[n, i] = put(g_rates[n, i] + kick * own, K_SUM_A, words)
                l_x[n] = put(abar * kick, K_XN, words)
            p[s, 0, i] = put(to_z, K_PRODUCT, words)
            p[s, 1, i] = put(w[H_SIG, i] * to_d, K_PRODUCT + 1, words)
