"""Optimisers that fit a core: SGD (no word), and RMS with one second-moment word per neuron and port.

    v <- v + (1 - beta) (mean_j g_ij^2 - v);      step_ij = -lr g_ij / sqrt(v / (1 - beta^n) + eps^2)

A neuron's synapses at one port are one row; a bias, a skip weight D are rows of one. Exact in wide words; on the chip v is a
32-bit word with a static binary point, 1/sqrt comes from a table of 256 entries over a mantissa in [1, 4), and the factor
lr sqrt(1 - beta^n) is one word that the host (or a counter) gives.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import Floats

TABLE_BITS = 8
_MANTISSA_BITS = 15
SECOND_MOMENT_BITS = 32


@lru_cache(maxsize=1)
def inverse_root_table() -> Floats:
    """Return 1/sqrt(m) at the middle of 256 cells of m in [1, 4), 15 fractional bits."""
    n = 2**TABLE_BITS
    m = 1 + 3 * (np.arange(n) + 0.5) / n
    return np.asarray(np.round(2.0**_MANTISSA_BITS / np.sqrt(m)) / 2.0**_MANTISSA_BITS)


@numba.njit(cache=True, nogil=True)
def _inverse_root(v: Any, table: Any) -> Any:
    mantissa, exponent = math.frexp(v)  # v = mantissa 2^exponent, mantissa in [0.5, 1)
    odd = exponent % 2
    m = mantissa * 2.0 ** (2 - odd)  # in [1, 4)
    cell = min(int((m - 1.0) * (table.size / 3.0)), table.size - 1)
    return math.ldexp(table[cell], -((exponent - 2 + odd) // 2))


@numba.njit(cache=True, nogil=True)
def _scales(g: Any, v: Any, mix: float, corrected: float, eps: float, lsb: float, table: Any, out: Any) -> Any:
    """Advance v [H] with the mean squares of g [M, H], fill out [H]; returns the largest word seen."""
    peak = 0.0
    factor = math.floor(math.sqrt(corrected) * 32768.0 + 0.5) / 32768.0
    for i in range(v.size):
        square = 0.0
        for j in range(g.shape[0]):
            square += g[j, i] * g[j, i]
        square /= g.shape[0]
        moved = v[i] + mix * (square - v[i])
        peak = max(peak, moved, square)
        if lsb == 0.0:
            v[i] = moved
            out[i] = 1.0 / (math.sqrt(moved / corrected) + eps)
        else:
            v[i] = min(math.floor(moved / lsb + 0.5), 4294967295.0) * lsb
            out[i] = _inverse_root(max(v[i], lsb), table) * factor
    return peak


class Rms:
    """Second-moment words of one group of rows.

    Args:
        rows: number of rows.
        beta: decay.
        eps: added (in quadrature) to the root; the chip's smallest word takes its place there.
        wide: no rounding, exact root.

    Attributes:
        v: float64 [rows].
        lsb: unit of v (0: wide).
    """

    def __init__(self, rows: int, beta: float, eps: float, wide: bool, lsb: float = 0.0) -> None:
        self.v, self.beta, self.eps, self.wide, self.lsb = np.zeros(rows), beta, eps, wide, lsb
        self.peak = 0.0
        self._mix = 1 - beta if wide else round((1 - beta) * 2**16) / 2**16

    def scale(self, g: Floats, count: int, rows: slice = slice(None)) -> Floats:
        """Advance the words of some rows with the gradient g [M, rows]; the factor of the `count`-th update (from 1)."""
        out = np.empty(g.shape[1])
        corrected = 1 - self.beta**count
        lsb = 0.0 if self.wide else self.lsb
        peak = _scales(g, self.v[rows], self._mix, corrected, self.eps, lsb, inverse_root_table(), out)
        self.peak = max(self.peak, float(peak))
        return out
