"""Lempel-Ziv complexity of spike trains, and classes by the nearest mean complexity (Rudnicka et al. 2025, arXiv:2508.11674).

c(n) is the number of phrases of the sequential parsing of Lempel & Ziv (1976): a phrase is the shortest prefix of what is left
that does not occur in all that came before it (its own beginning included). C = c(n) log2(n) / n tends to the entropy rate of an
ergodic source, in bits a symbol. Kaspar & Schuster (1987): c("0001101001000101") = 6 (0 | 001 | 10 | 100 | 1000 | 101).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.base.arrays import I64, U8, Floats
from simulator.base.errors import InputError

Bits = U8


def lz76(train: Sequence[int] | str | npt.NDArray[np.generic]) -> int:
    """Return c(n), the number of phrases of a sequence of symbols.

    The search runs over a byte string, so that a phrase's first occurrence is found by the C library.
    """
    symbols = _bytes(train)
    n, start, phrases = len(symbols), 0, 0
    while start < n:
        size = 1
        while start + size <= n and symbols.find(symbols[start : start + size], 0, start + size - 1) >= 0:
            size += 1
        phrases += 1
        start += size
    return phrases


def lz_complexity(train: Sequence[int] | str | npt.NDArray[np.generic]) -> float:
    """Return C = c(n) log2(n) / n in bits a symbol.

    Raises:
        InputError: fewer than two symbols.
    """
    n = len(train)
    if n < 2:
        raise InputError("spike train", f"has {n} symbols, its complexity needs two or more")
    return float(lz76(train) * np.log2(n) / n)


@dataclass(frozen=True, eq=False)
class NearestComplexity:
    """A readout: the class whose mean complexity is nearest to that of a train.

    Attributes:
        labels: class labels, ascending.
        means: mean complexity of each class.
    """

    labels: I64
    means: Floats

    @classmethod
    def fit(cls, trains: Bits, labels: I64) -> NearestComplexity:
        """Fit class means to trains [samples, steps].

        Raises:
            InputError: no samples, or as many labels as samples are missing.
        """
        if len(trains) != len(labels) or not len(trains):
            raise InputError("trains", f"are {len(trains)} with {len(labels)} labels", "Give one label for each")
        c = np.array([lz_complexity(t) for t in trains])
        known = np.unique(labels)
        return cls(known, np.array([c[labels == k].mean() for k in known]))

    def predict(self, trains: Bits) -> I64:
        """Return the class of each train."""
        c = np.array([lz_complexity(t) for t in trains])
        out: I64 = self.labels[np.abs(c[:, None] - self.means).argmin(1)]
        return out


def _bytes(train: Sequence[int] | str | npt.NDArray[np.generic]) -> bytes:
    if isinstance(train, str):
        return train.encode()
    return np.asarray(train).astype(np.uint8).tobytes()
