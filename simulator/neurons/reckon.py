"""ReckOn's neurons, bit for bit as its published RTL: leak with stochastic rounding, the trace decays, the saturating sums.

u: 16 bits, signed; alpha: 16 bits, 15 of them fraction; p = u alpha::

    leaked u' = floor(p / 2^15) + r        r = 1 if p mod 2^15 >= random 15 bits and the result is not 0 (bits 15..30 of p)
    fires if the *old* u >= threshold;     u <- u' - threshold, or 0 with a hard reset; else u <- u'

without rounding up for alpha = 1 or without stochastic rounding. Traces decay likewise by alpha, the output trace and the
outputs by kappa with 7 bits of fraction. Sums saturate in the order of the events.

Source: the published RTL of ReckOn (ChFrenkel/ReckOn @5e5c0be), as arithmetic; docs/rtl.md says how it is verified.
"""

from __future__ import annotations

import numba

from simulator.neurons.n1 import wrap16

ALPHA_FRAC = 15
KAPPA_FRAC = 7


@numba.njit(cache=True, nogil=True)
def leaked(x: int, factor: int, fraction: int, word: int, bits: int, stochastic: bool) -> int:
    """Return x factor / 2^fraction, rounded down or up at random.

    Args:
        x: state before.
        factor: decay with `fraction` fractional bits.
        fraction: fractional bits.
        word: random bits, `fraction` of them.
        bits: bits of the stored result.
        stochastic: whether rounding up happens at all.
    """
    product = x * factor
    kept = product >> fraction
    up = stochastic and factor != 1 << fraction and product & ((1 << fraction) - 1) >= word
    return kept + (1 if up and kept & ((1 << bits) - 1) else 0)


@numba.njit(cache=True, nogil=True)
def after_step(u: int, kept: int, threshold: int, hard: bool) -> tuple[int, bool]:
    """Return u after the step that leaked it to `kept`, and whether the neuron fired."""
    if u < threshold:
        return wrap16(kept), False
    return (0 if hard else wrap16(wrap16(kept) - threshold)), True


@numba.njit(cache=True, nogil=True)
def saturated16(x: int) -> int:
    """Return x within 16 signed bits."""
    return min(max(x, -32768), 32767)
