"""Words of the learning engine: which there are, how wide, with which binary point.

A word holds ``k 2^-frac`` with an integer ``|k| <= limit``. Kernels keep words as float64 that are such multiples: every
product of two words of at most 24 bits and every sum of such products is exact in 53 bits, so the kernels compute what
integer arithmetic with the same shifts computes (tests compare them with plain Python integers). A word class without a
binary point (*wide*) is not rounded, and its largest magnitude is recorded, from which `calibrated` chooses binary points.
Rounding is to nearest, ties up: ``floor(x + 1/2)``; never towards -inf (a floor bias accumulates in the sweep).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import Floats

# Rows of a word table.
LSB, INVERSE, LIMIT, PEAK, SATURATED = range(5)

HISTORY = ("abar", "c", "psi", "g", "x", "z", "delta", "f")
ADJOINT = ("l_sb", "l_v", "l_i", "l_r", "l_x")
PRODUCT = ("p_in", "p_d", "p_c", "p_D")
PARTS = ("x", "r", "i", "v", "sb")
PORTS = ("in", "d", "c", "D")

_TRACES = tuple(f"e_{port}_{part}" for port in PORTS for part in PARTS)
_CARRY = tuple(f"s_{row}_{column}" for row in PARTS for column in PARTS)
_DEFERRED = tuple(f"a_{part}" for part in PARTS)
_INJECTED = tuple(f"y_{port}_{part}" for port in PORTS for part in PARTS)
_SUMS = tuple(f"g_{port}" for port in PORTS)
_STDP = ("pre", "post", "omega", "feature")
# Of s6 only: history words; what the sweep makes of them (see `s6_sweep`); adjoints and products; sums.
HISTORY_S6 = ("dt", "sig", "b_n", "c_n")
ENTRIES_S6 = ("m_gain", "m_decayed", "m_drive", "m_slope", "m_rate")
ADJOINT_S6, SUMS_S6 = ("l_q", "l_xn", "p_b", "p_cn"), ("g_bc", "g_a")
NAMES = HISTORY + ADJOINT + PRODUCT + _TRACES + _CARRY + _DEFERRED + _INJECTED + _SUMS + _STDP
NAMES += HISTORY_S6 + ENTRIES_S6 + ADJOINT_S6 + SUMS_S6
INDEX = {name: k for k, name in enumerate(NAMES)}

H_ABAR, H_C, H_PSI, H_G, H_X, H_Z, H_DELTA, H_F = range(8)
K_ADJOINT, K_PRODUCT = INDEX["l_sb"], INDEX["p_in"]
K_TRACE, K_CARRY, K_DEFERRED, K_INJECTED = INDEX["e_in_x"], INDEX["s_x_x"], INDEX["a_x"], INDEX["y_in_x"]
K_SUM, K_PRE, K_POST, K_OMEGA, K_FEATURE = (INDEX[n] for n in ("g_in", "pre", "post", "omega", "feature"))

K_DT, K_SIG, K_B, K_CN = (INDEX[n] for n in HISTORY_S6)
K_GAIN, K_DECAYED, K_DRIVE, K_SLOPE, K_RATE = (INDEX[n] for n in ENTRIES_S6)
K_Q, K_XN, K_PB, K_PCN, K_SUM_BC, K_SUM_A = (INDEX[n] for n in ADJOINT_S6 + SUMS_S6)

_UNSIGNED = ("abar", "psi", "pre", "post", "dt", "sig")
_ONE_BITS = ("abar", "psi", "sig")  # in [0, 1]: all bits are fractional


def wide() -> Floats:
    """Return a word table [5, words] without rounding."""
    table = np.zeros((5, len(NAMES)))
    table[LIMIT] = np.inf
    return table


def narrow(fracs: Mapping[str, int], bits: Mapping[str, int]) -> Floats:
    """Return a word table of these binary points and widths; names absent in `fracs` stay wide."""
    table = wide()
    for name, frac in fracs.items():
        k = INDEX[name]
        signed = 0 if name in _UNSIGNED else 1
        table[LSB, k], table[INVERSE, k] = 2.0**-frac, 2.0**frac
        table[LIMIT, k] = (2.0 ** (bits[name] - signed) - 1) * 2.0**-frac
    return table


def calibrated(table: Floats, bits: Mapping[str, int], headroom: Mapping[str, float]) -> dict[str, int]:
    """Return the binary point of each word class that was used: the finest that holds ``headroom`` x the largest magnitude."""
    out = {}
    for name, k in INDEX.items():
        if name not in bits:
            continue
        if name in _ONE_BITS:
            out[name] = bits[name]
            continue
        peak = float(table[PEAK, k]) * headroom.get(name, 1.0)
        usable = bits[name] - (0 if name in _UNSIGNED else 1)
        out[name] = usable - math.frexp(peak)[1] if peak > 0 else usable
    return out


def widths(trace: int, history: int, adjoint: int, accumulator: int) -> dict[str, int]:
    """Return the bits of each word class.

    Args:
        trace: synaptic eligibility traces, STDP traces.
        history: per-neuron history and block propagators.
        adjoint: backward words and port products.
        accumulator: gradient sums and Omega.
    """
    of = dict.fromkeys(HISTORY + HISTORY_S6 + ENTRIES_S6, history) | dict.fromkeys(
        ADJOINT + PRODUCT + ADJOINT_S6, adjoint
    )
    of |= dict.fromkeys(_TRACES, trace) | dict.fromkeys(_CARRY + _DEFERRED + _INJECTED, max(history, adjoint))
    return (
        of
        | dict.fromkeys(_SUMS + SUMS_S6, accumulator)
        | {"pre": trace, "post": trace, "omega": accumulator, "feature": trace}
    )


@numba.njit(cache=True, nogil=True)
def put(x: Any, k: int, table: Floats) -> Any:
    """Store `x` as the word class `k`: rounded to nearest, saturated (counted); wide classes record the largest |x|."""
    lsb = table[LSB, k]
    if lsb == 0.0:
        size = abs(x)
        if size > table[PEAK, k]:
            table[PEAK, k] = size
        return x
    r = np.floor(x * table[INVERSE, k] + 0.5) * lsb
    limit = table[LIMIT, k]
    if r > limit:
        table[SATURATED, k] += 1.0
        return limit
    if r < -limit:
        table[SATURATED, k] += 1.0
        return -limit
    return r


@numba.njit(cache=True, nogil=True)
def put_all(x: Any, k: int, table: Floats) -> None:
    """Apply `put` to every element of x [n], in place."""
    for i in range(x.size):
        x[i] = put(x[i], k, table)
