"""Catalyst N1's neurons, bit for bit as its published RTL: ``n1_lif`` and ``n1_cuba``.

One step of a neuron, `acc` the sum of what arrived (24 bits, wrapping), all words signed integers::

    n1_lif    x = low16(v) + acc - leak          v <- x if low16(v) + acc > leak, else rest
    n1_cuba   x = v - D(v, dv) + u + bias        u <- u - D(u, du) + acc    (or + D(acc, du) with scale_u)
    both      in refractory: v <- rest, count - 1;    x >= threshold: a spike, v <- rest, count <- refractory
              v <- min(max(v, v_min), v_max)
    payload   low16(v) + acc - leak - threshold, limited to 1..255

where D(a, d) = floor(a d / 4096), one more away from zero if there was a remainder: for a negative product the floor is one
more already, so that D(-1, 1) = -2. bias = mantissa (13 bits, signed) << exponent (3 bits). A CUBA neuron in refractory with
``decays`` set keeps its membrane: v <- v - D(v, dv) - bias (the bias is subtracted). u goes on in any case.

Source: the published RTL of Catalyst N1 (catalyst-n1 @fbfd2e5), as arithmetic; docs/rtl.md says how it is verified. Noise,
dendrites, trees and homeostasis are of the core (`simulator.machines.n1`), not of these models.
"""

from __future__ import annotations

import numba

_WRAP24 = 1 << 23
_LOW16 = 1 << 15


@numba.njit(cache=True, nogil=True)
def wrap24(x: int) -> int:
    """Return x in 24 bits, two's complement."""
    return ((x + _WRAP24) & (2 * _WRAP24 - 1)) - _WRAP24


@numba.njit(cache=True, nogil=True)
def wrap16(x: int) -> int:
    """Return x in 16 bits, two's complement."""
    return ((x + _LOW16) & (2 * _LOW16 - 1)) - _LOW16


@numba.njit(cache=True, nogil=True)
def decay(a: int, d: int) -> int:
    """Return D(a, d): floor(a d / 4096), one more away from zero if there was a remainder."""
    product = a * d
    quotient = product >> 12
    if product & 4095:
        quotient += 1 if a >= 0 else -1
    return quotient


@numba.njit(cache=True, nogil=True)
def bias_of(word: int) -> int:
    """Return the bias of a 16-bit word: mantissa (13 bits, signed) << exponent (3 bits), in 24 bits."""
    return wrap24(((((word >> 3) & 0x1FFF) ^ 0x1000) - 0x1000) << (word & 7))


@numba.njit(cache=True, nogil=True)
def payload_of(v: int, acc: int, leak: int, threshold: int) -> int:
    """Return the payload of a spike from the membrane before the step."""
    return min(max(wrap24(wrap16(v) + acc - leak - threshold), 1), 255)


@numba.njit(cache=True, nogil=True)
def lif(v: int, held: int, acc: int, leak: int, rest: int, threshold: int, refractory: int) -> tuple[int, int, bool]:
    """Update one LIF neuron; returns v before its limits, the refractory count, and whether it fired."""
    if held > 0:
        return rest, held - 1, False
    total = wrap24(wrap16(v) + acc)
    x = wrap24(total - leak)
    if x >= threshold:
        return rest, refractory, True
    return (x if total > leak else rest), held, False


@numba.njit(cache=True, nogil=True)
def cuba(
    v: int, u: int, held: int, acc: int, rest: int, threshold: int, refractory: int, dv: int, du: int, bias: int,
    decays: bool, scale_u: bool, noise_v: int, noise_u: int,
) -> tuple[int, int, int, bool]:  # fmt: skip
    """Update one CUBA neuron; returns v before its limits, u, the refractory count, and whether it fired."""
    less = decay(v, dv)
    after = wrap24(u - decay(u, du) + (decay(acc, du) if scale_u else acc) + noise_u)
    x = wrap24(v - less + u + bias + noise_v)
    if held > 0:
        return (wrap24(v - less - bias + noise_v) if decays else rest), after, held - 1, False
    if x >= threshold:
        return rest, after, refractory, True
    return x, after, held, False


@numba.njit(cache=True, nogil=True)
def limited(v: int, v_min: int, v_max: int) -> int:
    """Return v within the neuron's limits."""
    return min(max(v, v_min), v_max)
