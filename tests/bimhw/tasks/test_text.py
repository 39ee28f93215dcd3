"""Texts and the n-gram: hand-counted splits and probabilities, the known figures of the packaged text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.studies.baselines.ngram import witten_bell_nll
from bimhw.tasks.checks import utf8_lines
from bimhw.tasks.sources.text import (
    character_corpus,
    language_metrics,
    normalise,
    packaged_text,
    wikitext,
    words,
)
from simulator.base.errors import InputError


def test_packaged_extract_reproduces_the_known_ngrams() -> None:
    """Counts and figures of the trial on the same file (bits a character, orders 5 and 6)."""
    corpus = character_corpus(packaged_text("enwiki"), "low", "enwiki")
    assert len(corpus.symbols) == 37
    assert (len(corpus.whole_train), len(corpus.test)) == (608607, 67623)
    for order, bpc in [(2, 3.518), (6, 2.224)]:
        nats = witten_bell_nll(corpus.whole_train, corpus.test, 37, order).mean()
        assert abs(nats / math.log(2) - bpc) < 6e-4


def plain_witten_bell(train: list[int], test: list[int], v: int, order: int) -> list[float]:
    """Compute the recursion as it is written, with dictionaries."""
    count: dict[tuple[int, ...], int] = {}
    for n in range(1, order + 1):
        for i in range(n - 1, len(train)):
            gram = tuple(train[i - n + 1 : i + 1])
            count[gram] = count.get(gram, 0) + 1

    def p(h: tuple[int, ...], w: int) -> float:
        lower = p(h[1:], w) if h else 1.0 / v
        after = [count[(*h, x)] for x in range(v) if (*h, x) in count]
        if not after:
            return lower
        return (count.get((*h, w), 0) + len(after) * lower) / (sum(after) + len(after))

    return [-math.log(p(tuple(test[max(0, i - order + 1) : i]), w)) for i, w in enumerate(test)]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda v: st.tuples(
            st.just(v),
            st.lists(st.integers(0, v - 1), min_size=1, max_size=40),
            st.lists(st.integers(0, v - 1), min_size=1, max_size=20),
            st.integers(1, 5),
        )
    )
)
def test_ngram_equals_the_written_recursion(case: tuple[int, list[int], list[int], int]) -> None:
    v, train, test, order = case
    got = witten_bell_nll(np.array(train), np.array(test), v, order)
    np.testing.assert_allclose(got, plain_witten_bell(train, test, v, order), rtol=1e-12, atol=1e-14)


def test_ngram_probabilities_sum_to_one() -> None:
    train = np.array([0, 1, 2, 0, 1, 1, 0, 2, 2, 1])
    for context in ([0, 1], [2, 0], [1, 1]):
        total = sum(math.exp(-witten_bell_nll(train, np.array([*context, w]), 3, 3)[-1]) for w in range(3))
        assert abs(total - 1) < 1e-12


def test_ngram_refuses() -> None:
    for train, test, order in [([0], [0], 0), ([], [0], 1), ([0], [3], 1)]:
        with pytest.raises(InputError):
            witten_bell_nll(np.array(train, int), np.array(test, int), 2, order)


def test_alphabets() -> None:
    text = "Ab  Ç9\n(x)!"
    assert normalise(text, "low") == "ab -0 (x)-"
    assert normalise(text, "az") == "ab x"
    assert normalise(text, "raw") == text
    with pytest.raises(InputError, match="low, az, raw"):
        normalise(text, "latin")


def test_character_corpus_decodes_to_the_text() -> None:
    text = "the quick brown fox; jumps (over) 12 'lazy' dogs. " * 30
    corpus = character_corpus(text)
    ids = np.concatenate([corpus.train, corpus.validation, corpus.test])
    assert "".join(corpus.symbols[i] for i in ids) == normalise(text, "low")
    assert len(corpus.validation) == math.ceil(len(corpus.whole_train) / 10)


def test_one_sum_gives_both_figures() -> None:
    score = language_metrics(nll_nats=1000.0, tokens=200, characters_per_token=5.0)
    assert score.perplexity == pytest.approx(math.exp(5))
    assert score.bits_per_character == pytest.approx(1000 / math.log(2) / 1000)
    with pytest.raises(InputError, match="no token"):
        language_metrics(0.0, 0)


def write_wiki(folder: Path, **texts: str) -> Path:
    (folder / "wikitext-103").mkdir()
    for split, text in texts.items():
        (folder / "wikitext-103" / f"wiki.{split}.tokens").write_text(text, encoding="utf-8")
    return folder


def test_wikitext_words(tmp_path: Path) -> None:
    path = write_wiki(tmp_path, train=" \n = A = \n a b a \n", valid=" b a \n", test=" a zzz \n \n")
    corpus = wikitext(path, level="word")
    index = {s: i for i, s in enumerate(corpus.symbols)}
    assert corpus.test.tolist() == [index["a"], index["<unk>"], index["<eos>"], index["<eos>"]]
    assert corpus.characters_per_token == len(" a zzz \n \n") / 4
    assert len(wikitext(path, level="word", vocabulary=2).symbols) == 3


def test_wikitext_official_token_count(shared: Path) -> None:
    """The test file that WikiText-2 and WikiText-103 share: 245,569 tokens, the valid file 217,646."""
    folder = shared / "data" / "sets" / "wikitext-2"
    assert sum(1 for _ in words(utf8_lines(folder / "wiki.test.tokens"))) == 245_569
    assert sum(1 for _ in words(utf8_lines(folder / "wiki.valid.tokens"))) == 217_646
    mini = wikitext(shared / "data" / "sets" / "formats" / "wikitext_mini")
    assert mini.test.max() < len(mini.symbols)
    assert len(mini.whole_train) == len(mini.train)


def test_wikitext_refuses(tmp_path: Path) -> None:
    path = write_wiki(tmp_path, train="a\n", test="a\n")
    with pytest.raises(InputError, match=r"wiki.valid.tokens is not there"):
        wikitext(path)
    (path / "wikitext-103" / "wiki.valid.tokens").write_bytes(b"\xff\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        wikitext(path)
    (path / "wikitext-103" / "wiki.valid.tokens").write_text(" \n")
    with pytest.raises(InputError, match="is empty"):
        wikitext(path)
    (path / "wikitext-103" / "wiki.valid.tokens").write_text("a\n")
    with pytest.raises(InputError, match="char or word"):
        wikitext(path, level="byte")
    with pytest.raises(InputError, match="does not exist"):
        wikitext(tmp_path / "no")
