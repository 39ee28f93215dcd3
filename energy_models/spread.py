"""Sums of items with their range and their word, for each figure of a report and each group of a grouping.

A word is the weakest quality among the constants that make up 1 % of a sum or more. A power is multiplied by a modelled time, so
its item is never better than scaled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
import numpy as np

from simulator.base.arrays import Floats
from simulator.chips.quantity import Quantity

WEAKEST = ("measured", "simulated", "fitted", "scaled", "assumed", "unverified")  # last: trusted least
TELLS = 0.01  # share of a sum from which an item decides its word
UNKNOWN = "unknown"


class Priced(Protocol):
    """Summand: so many operations of one constant."""

    @property
    def count(self) -> float:
        """Number of operations."""

    @property
    def constant(self) -> Quantity:
        """Energy of one."""


class Spread(msgspec.Struct, frozen=True):
    """A figure with its range and its word; unknown constants are in none of the three.

    Attributes:
        low, nominal, high: from the stated ranges of the constants.
        word: a quality, or ``unknown`` where nothing known is in the sum.
    """

    low: float
    nominal: float
    high: float
    word: str

    def as_json(self) -> dict[str, float | str]:
        """Return plain values for JSON."""
        return {"low": self.low, "nominal": self.nominal, "high": self.high, "word": self.word}

    def over(self, count: float) -> Spread | None:
        """Return the figure of one of `count`; None of 0."""
        return Spread(self.low / count, self.nominal / count, self.high / count, self.word) if count else None


def weakest(words: Iterable[str]) -> str:
    """Return the word that is trusted least; ``unknown`` without one."""
    return max(words, key=WEAKEST.index, default=UNKNOWN)


def word_of(constant: Quantity) -> str:
    """Return the word of an item with this constant."""
    return weakest((constant.quality, "scaled" if constant.unit == "mW" else "measured"))


def trust(items: Iterable[Priced]) -> str:
    """Return the word of a sum of items."""
    return spread(items).word


def spread(items: Iterable[Priced]) -> Spread:
    """Return the sum of items [pJ]."""
    found = list(items)
    return spreads_by(found, [np.array([i.count]) for i in found], ("sum",))["sum"]


def spreads_by(items: Sequence[Priced], counts: Sequence[Floats], names: Sequence[str]) -> dict[str, Spread]:
    """Return the sum of each group [pJ].

    Args:
        items: of a report.
        counts: of each item in each group, [groups].
        names: of the groups.
    """
    return _spreads(names, [n[:, None] * _ends(i.constant) for i, n in zip(items, counts, strict=True)], items)


def _ends(c: Quantity) -> Floats:
    """Low, nominal and high value; 0 where nothing is known."""
    nominal = c.value or 0.0
    return np.array([nominal if c.low is None else c.low, nominal, nominal if c.high is None else c.high])


def _spreads(names: Sequence[str], rows: Sequence[Floats], items: Sequence[Priced]) -> dict[str, Spread]:
    """Sum [groups, low nominal high] over items and find the word of each group."""
    if not rows:
        return {name: Spread(0.0, 0.0, 0.0, UNKNOWN) for name in names}
    each = np.stack(rows)  # [items, groups, 3]
    sums, nominal = each.sum(axis=0), each[:, :, 1]
    rank = np.array([WEAKEST.index(word_of(i.constant)) for i in items])[:, None]
    told = np.where((nominal > 0) & (nominal >= TELLS * sums[:, 1]), rank, -1).max(axis=0)
    words = [UNKNOWN if k < 0 else WEAKEST[k] for k in told]
    return {n: Spread(float(s[0]), float(s[1]), float(s[2]), w) for n, s, w in zip(names, sums, words, strict=True)}
