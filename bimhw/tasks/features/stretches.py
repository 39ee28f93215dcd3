"""A text as samples for a chip: stretches side by side, each read from rest, the next symbol wanted at every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bimhw.tasks.sources.text import SKIPPED, TEST_STREAMS, Corpus, Ids, LanguageScore, language_metrics
from simulator.base.arrays import I8, I64, Floats
from simulator.base.errors import InputError

LONGEST = 8192  # steps of a stretch; longer texts are read in part


@dataclass(frozen=True, eq=False)
class Stretches:
    """Stretches of a text.

    Attributes:
        name: of the text.
        x: one-hot payloads int8 [S, T, V].
        y: next symbols [S, T].
        characters_per_token: of the text.
        whole: whether all of the text is in them.
    """

    name: str
    x: I8
    y: I64
    characters_per_token: float
    whole: bool

    def __len__(self) -> int:
        return len(self.y)

    def take(self, n: int) -> Stretches:
        """Return the first n."""
        return Stretches(self.name, self.x[:n], self.y[:n], self.characters_per_token, self.whole and n == len(self))

    def score(self, logits: Floats) -> LanguageScore:
        """Return bits per character and perplexity of logits [S, T, V]; the first `SKIPPED` symbols of a stretch are not scored.

        Raises:
            InputError: no step is left to score.
        """
        kept, wanted = logits[:, SKIPPED:].astype(np.float64), self.y[:, SKIPPED:]
        top = kept.max(axis=-1, keepdims=True)
        of_wanted = np.take_along_axis(kept, wanted[..., None], axis=-1)[..., 0]
        nats = np.log(np.exp(kept - top).sum(axis=-1)) + top[..., 0] - of_wanted
        return language_metrics(float(nats.sum()), nats.size, self.characters_per_token)

    def hits(self, logits: Floats) -> float:
        """Share of the scored steps at which the likeliest symbol is the right one."""
        return float((logits[:, SKIPPED:].argmax(axis=-1) == self.y[:, SKIPPED:]).mean())


def scored_stretches(corpus: Corpus) -> Stretches:
    """Return the test part in as many streams as training scores it in (`objectives.language.score_text`), from their starts.

    Raises:
        InputError: a text too short to be scored.
    """
    return _cut(corpus, corpus.test, _length(corpus))


def training_stretches(corpus: Corpus) -> Stretches:
    """Return as many stretches of the training part as the test part has, of the same length."""
    ids = corpus.whole_train
    return _cut(corpus, ids, min(_length(corpus), len(ids) // TEST_STREAMS))


def _length(corpus: Corpus) -> int:
    length = min(len(corpus.test) // TEST_STREAMS, LONGEST + 1)
    if length <= SKIPPED + 1:
        raise InputError(
            f"text {corpus.name!r}",
            f"gives {length} symbols to each of {TEST_STREAMS} stretches, of which the first {SKIPPED} are not scored",
            "Give a longer text",
        )
    return length


def _cut(corpus: Corpus, ids: Ids, length: int) -> Stretches:
    own = len(ids) // TEST_STREAMS
    symbols = ids[: own * TEST_STREAMS].reshape(TEST_STREAMS, own)[:, :length].astype(np.int64)
    x = np.eye(len(corpus.symbols), dtype=np.int8)[symbols[:, :-1]]
    return Stretches(corpus.name, x, symbols[:, 1:], corpus.characters_per_token, own == length)
