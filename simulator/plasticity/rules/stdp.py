"""Pairwise STDP in trace form, on the synapses from inputs u_j (pre) to spikes s_i (post).

The order inside one step is normative (post s_i, pre s_j; a pre trace, b post trace)::

    a_j *= e^(-1/tau_plus);   b_i *= e^(-1/tau_minus);   a_j += s_j
    Omega_ij += A_plus s_i a_j        (includes a pre and a post spike in one step: potentiation)
    Omega_ij -= A_minus s_j b_i       (b before this step's post spike)
    b_i += s_i
    nearest neighbour: a_j = s_j and b_i = s_i on a spike instead of +=

which is the double sum over all (nearest) pairs of W(t_post - t_pre) = A_plus e^(-d/tau_plus), d >= 0;
-A_minus e^(d/tau_minus), d < 0. Zero drift for uncorrelated spikes: A_minus = A_plus (1 - d-) / (d- (1 - d+)), d = e^(-1/tau).
"""

from __future__ import annotations

import math

import numba

from simulator.plasticity.words.words import K_OMEGA, K_POST, K_PRE, put


def balanced_a_minus(a_plus: float, tau_plus: float, tau_minus: float) -> float:
    """Return A_minus for which uncorrelated spike trains leave the weight where it is on average."""
    plus, minus = math.exp(-1 / tau_plus), math.exp(-1 / tau_minus)
    return a_plus * (1 - minus) / (minus * (1 - plus))


@numba.njit(cache=True, nogil=True)
def stdp_step(u, s, pre, post, omega, live, decay, amplitude, nearest, words):  # type: ignore[no-untyped-def]
    """Step the traces and Omega.

    Args:
        u: float64 [M], delivered pre-synaptic values (after axonal delays).
        s: float64 [H], post-synaptic spikes of the step.
        pre: float64 [M], trace a; updated.
        post: float64 [H], trace b; updated.
        omega: float64 [M, H]; updated.
        live: uint8 [M, H], 0 where there is no synapse.
        decay: float64 [2], e^(-1/tau_plus), e^(-1/tau_minus).
        amplitude: float64 [2], A_plus, A_minus.
        nearest: nearest-neighbour pairing.
        words: word table.

    Returns:
        (trace words written, synaptic words written).
    """
    written = 0
    for j in range(u.size):
        kept = pre[j] * decay[0]
        pre[j] = put(u[j] if nearest and u[j] != 0.0 else kept + u[j], K_PRE, words)
    for i in range(s.size):
        post[i] = put(post[i] * decay[1], K_POST, words)
    for j in range(u.size):
        for i in range(s.size):
            if live[j, i] and (u[j] != 0.0 or (s[i] != 0.0 and pre[j] != 0.0)):
                change = amplitude[0] * s[i] * pre[j] - amplitude[1] * u[j] * post[i]
                omega[j, i] = put(omega[j, i] + change, K_OMEGA, words)
                written += 1
    for i in range(s.size):
        if s[i] != 0.0:
            post[i] = put(s[i] if nearest else post[i] + s[i], K_POST, words)
    return u.size + s.size, written
