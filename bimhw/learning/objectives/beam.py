"""Prefix beam search for CTC with a character n-gram (Graves & Jaitly 2014; Hannun et al. 2014).

The score of a string y is log p_CTC(y | x) + w log p_n-gram(y) + b |y|, where p_CTC sums over all paths that read y. A beam that
drops nothing finds the best string exactly.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from simulator.base.arrays import AnyFloats

Prefix = tuple[int, ...]
_FAR = 12.0  # nats below the best symbol of a step at which a symbol is left out


class NGram:
    """Interpolated Witten-Bell n-gram of symbols, see `bimhw.studies.baselines.ngram`.

    Args:
        texts: symbol sequences that counts are taken from, each by itself.
        symbols: V, size of the alphabet.
        order: looks at order - 1 symbols.
    """

    def __init__(self, texts: Iterable[Sequence[int]], symbols: int, order: int) -> None:
        self.symbols, self.order = symbols, order
        self._counts: dict[Prefix, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for text in texts:
            for at, symbol in enumerate(text):
                for length in range(min(order - 1, at) + 1):
                    self._counts[tuple(text[at - length : at])][symbol] += 1
        self._made: dict[Prefix, AnyFloats] = {}

    def log_p(self, history: Prefix) -> AnyFloats:
        """Return log p [V] of the next symbol."""
        recent = history[max(len(history) - self.order + 1, 0) :]
        if recent not in self._made:
            self._made[recent] = np.log(self._p(recent))
        return self._made[recent]

    def _p(self, history: Prefix) -> AnyFloats:
        shorter = self._p(history[1:]) if history else np.full(self.symbols, 1.0 / self.symbols)
        seen = self._counts.get(history)
        if seen is None:
            return shorter
        counts = np.zeros(self.symbols)
        counts[list(seen)] = list(seen.values())
        return np.asarray((counts + len(seen) * shorter) / (counts.sum() + len(seen)))


class Beam(NamedTuple):
    """Settings of the search for a string: strings kept a step, n-gram, its weight w, the bonus b of a symbol."""

    width: int
    model: NGram
    weight: float
    bonus: float


def beam_search(log_p: AnyFloats, blank: int, beam: Beam) -> list[int]:
    """Return the string of the best score.

    Args:
        log_p: of each step [T, C].
        blank: its symbol, which the n-gram does not have.
        beam: see `Beam`.
    """
    kept: dict[Prefix, tuple[float, float, float]] = {(): (0.0, -math.inf, 0.0)}  # paths that end in blank or not; w, b
    for step in log_p:
        near = [int(s) for s in np.flatnonzero(step >= step.max() - _FAR)]
        paths: dict[Prefix, list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        prior: dict[Prefix, float] = {}
        for prefix, (quiet, loud, added) in kept.items():
            either = np.logaddexp(quiet, loud)
            prior[prefix] = added
            for s in near:
                p = float(step[s])
                if s == blank:
                    paths[prefix][0] = np.logaddexp(paths[prefix][0], either + p)
                    continue
                repeats = bool(prefix) and prefix[-1] == s
                if repeats:
                    paths[prefix][1] = np.logaddexp(paths[prefix][1], loud + p)
                longer = (*prefix, s)
                paths[longer][1] = np.logaddexp(paths[longer][1], (quiet if repeats else either) + p)
                if longer not in prior:
                    prior[longer] = added + beam.weight * float(beam.model.log_p(prefix)[s]) + beam.bonus
        ranked = sorted(paths.items(), key=lambda item: -(np.logaddexp(item[1][0], item[1][1]) + prior[item[0]]))
        kept = {prefix: (quiet, loud, prior[prefix]) for prefix, (quiet, loud) in ranked[: beam.width]}
    return list(next(iter(kept)))
