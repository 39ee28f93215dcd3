"""Prefix beam search by brute force over all paths; the n-gram against its vectorised twin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bimhw.learning.objectives.beam import Beam, NGram, beam_search
from bimhw.learning.objectives.utterances import by_length
from bimhw.studies.baselines.ngram import witten_bell_nll

BLANK = 3


def test_n_gram_is_the_one_of_the_tables() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 5, 200), rng.integers(0, 6, 50)
    for order in (1, 2, 4):
        model = NGram([train.tolist()], 6, order)
        mine = [-model.log_p(tuple(test[:i].tolist()))[s] for i, s in enumerate(test)]
        np.testing.assert_allclose(mine, witten_bell_nll(train, test, 6, order), rtol=1e-12)
        assert np.exp(model.log_p((1, 2, 3))).sum() == pytest.approx(1)


@pytest.mark.parametrize("weight, bonus", [(0.0, 0.0), (0.7, 0.3), (2.0, -1.0)])
def test_a_wide_beam_finds_the_best_string(weight: float, bonus: float) -> None:
    model = NGram([[0, 1, 2, 0, 1, 1], [1, 0, 2]], 3, 3)
    for seed in range(5):
        logits = np.random.default_rng(seed).normal(size=(5, 4))
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        scores: dict[tuple[int, ...], float] = {}
        for path in itertools.product(range(4), repeat=5):
            read = tuple(s for s, _ in itertools.groupby(path) if s != BLANK)
            p = float(sum(log_p[t, s] for t, s in enumerate(path)))
            scores[read] = np.logaddexp(scores.get(read, -np.inf), p)
        for read in scores:
            prior = sum(model.log_p(read[:i])[s] for i, s in enumerate(read))
            scores[read] += weight * prior + bonus * len(read)
        best = max(scores, key=lambda read: scores[read])
        assert tuple(beam_search(log_p, BLANK, Beam(1000, model, weight, bonus))) == best


def test_batches_hold_similar_lengths_and_every_sequence_once() -> None:
    lengths = np.random.default_rng(0).integers(10, 400, 1003)
    order = by_length(lengths, 8, np.random.default_rng(1))
    assert sorted(order) == list(range(1003))
    padded = sum(8 * lengths[order[at : at + 8]].max() for at in range(0, 1000, 8))
    assert padded < 1.1 * lengths.sum()
    assert np.array_equal(order, by_length(lengths, 8, np.random.default_rng(1)))
    assert not np.array_equal(order, by_length(lengths, 8, np.random.default_rng(2)))
