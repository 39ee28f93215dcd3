"""Optimisers that fit a core: SGD (no word), and RMS with one second-moment word per neuron and port.

    v <- v + (1 - beta) (mean_j g_ij^2 - v);      step_ij = -lr g_ij / sqrt(v / (1 - beta^n) + eps^2)

A neuron's synapses at one port are one row; a bias, a skip weight D are rows of one. Exact in wide words; on the chip v is a
32-bit word with a static binary point, 1/sqrt comes from a table of 256 entries over a mantissa in [1, 4), and the factor
lr sqrt(1 - beta^n) is one word that the host (or a counter) gives.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TABLE_BITS = 8
_MANTISSA_BITS = 15
SECOND_MOMENT_BITS = 32


@lru_cache(maxsize=1)
def inverse_root_table() -> Floats:
    """1/sqrt(m) at the middle of 256 cells of m in [1, 4), 15 fractional bits."""
    n = 2**TABLE_BITS
    m = 1 + 3 * (np.arange(n) + 0.5) / n
    return np.asarray(np.round(2.0**_MANTISSA_BITS / np.sqrt(m)) / 2.0**_MANTISSA_BITS)


def inverse_root(v: Floats) -> Floats:
    """1/sqrt(v) for v > 0 by the table: v = m 4^e with m in [1, 4), result table(m) 2^-e (relative error <= 0.3 %)."""
    mantissa, exponent = np.frexp(v)  # v = mantissa 2^exponent, mantissa in [0.5, 1)
    odd = exponent % 2
    m = np.ldexp(mantissa, 2 - odd)  # in [1, 4)
    half = (exponent - 2 + odd) // 2
    cell = np.minimum(((m - 1) * (2**TABLE_BITS / 3)).astype(np.int64), 2**TABLE_BITS - 1)
    return np.asarray(np.ldexp(inverse_root_table()[cell], -half))


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

    def scale(self, mean_square: Floats, count: int) -> Floats:
        """Advance the words with the rows' mean squared gradients; the factor of the `count`-th update (from 1) [rows]."""
        v = self.v + self._mix * (mean_square - self.v)
        self.peak = max(self.peak, float(v.max(initial=0.0)), float(mean_square.max(initial=0.0)))
        corrected = 1 - self.beta**count
        if self.wide:
            self.v = v
            return np.asarray(1.0 / (np.sqrt(v / corrected) + self.eps))
        limit = (2.0**SECOND_MOMENT_BITS - 1) * self.lsb
        self.v = np.minimum(np.floor(v / self.lsb + 0.5) * self.lsb, limit)
        factor = round(np.sqrt(corrected) * 2**15) / 2**15
        return np.asarray(inverse_root(np.maximum(self.v, self.lsb)) * factor)
