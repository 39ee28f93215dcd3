"""ODIN's leaky integrate-and-fire neuron with its calcium variable, bit for bit as its published RTL.

It is updated by events, not by steps; v has 8 unsigned bits, ca 3, the counter of its leak 5::

    excitatory      v <- min(255, v + w)            inhibitory  v <- max(0, v - w)
    time reference  v <- max(0, v - leak) if leak_en
    fires after every update if v >= threshold, the time reference included; then v <- 0

    ca (if ca_en)   + 1 at a spike (to 7), - 1 at every caleak-th time reference (to 0); both at once: unchanged
    flags           up = v >= thetamem and theta1 <= ca < theta3;  down = v < thetamem and theta1 <= ca < theta2

The flags, of the new v and ca, decide what the next spike of a source does to the synapse (SDSP).
Source: the published RTL of ODIN (ChFrenkel/ODIN @1781931), as arithmetic; docs/rtl.md says how it is verified.
"""

from __future__ import annotations

import numba

from simulator.base.arrays import I64

COLUMNS = (
    "leak_str", "leak_en", "thr", "ca_en", "thetamem", "theta1", "theta2", "theta3", "caleak", "v", "ca", "cacnt", "disable",
)  # fmt: skip
(LEAK_STR, LEAK_EN, THR, CA_EN, THETAMEM, THETA1, THETA2, THETA3, CALEAK, V, CA, CACNT, DISABLE) = range(13)
UP, DOWN = 1, 2  # bits of the flags


@numba.njit(cache=True, nogil=True)
def calcium(spike: bool, leak: bool, ca: int, by: int) -> int:
    """Return the calcium variable after an update; `by` is what a spike adds."""
    if spike and not leak:
        return min(7, ca + by)
    return ca - 1 if leak and not spike and ca > 0 else ca


@numba.njit(cache=True, nogil=True)
def leak_of(counter: int, period: int, on: bool) -> tuple[int, bool]:
    """Return the 5-bit counter of time references and whether calcium leaks now."""
    if not on or period == 0:
        return counter, False
    return (0, True) if counter == period - 1 else ((counter + 1) & 31, False)


@numba.njit(cache=True, nogil=True)
def flags(on: bool, above: bool, ca: int, theta1: int, theta2: int, theta3: int) -> int:
    """Return the SDSP flags, `UP` and `DOWN`."""
    if not on or ca < theta1:
        return 0
    return (UP if above and ca < theta3 else 0) | (DOWN if not above and ca < theta2 else 0)


@numba.njit(cache=True, nogil=True)
def update(n: I64, weight: int, inhibitory: bool, reference: bool) -> tuple[bool, int]:
    """Update a neuron by one event.

    Args:
        n: int64 [13], parameters and states in the order of `COLUMNS`, changed in place.
        weight: 0..7.
        inhibitory: sign of the event.
        reference: whether it is a time reference.

    Returns:
        Whether it fired, and its new flags.
    """
    if reference:
        v = max(0, n[V] - n[LEAK_STR]) if n[LEAK_EN] else n[V]
    else:
        v = max(0, n[V] - weight) if inhibitory else min(255, n[V] + weight)
    spike = v >= n[THR]
    n[V] = 0 if spike else v
    on = n[CA_EN] != 0
    n[CACNT], leaks = leak_of(n[CACNT], n[CALEAK], on and reference)
    if on:
        n[CA] = calcium(spike, leaks, n[CA], 1)
    return spike, flags(on, n[V] >= n[THETAMEM], n[CA], n[THETA1], n[THETA2], n[THETA3])
