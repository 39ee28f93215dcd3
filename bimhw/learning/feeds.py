"""Streams of texts and of connected digits, for `bimhw.learning.stream`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from bimhw.learning.heeded import check_heeded
from bimhw.learning.objectives.ctc import SYMBOLS, CtcSettings, Strings, decode, string_drawer
from bimhw.learning.objectives.language import check_symbols
from bimhw.learning.objectives.language_recipe import language_recipe
from bimhw.learning.objectives.scoring import bim_forward, cut_streams, one_hot, score_corpus
from bimhw.learning.objectives.speech import speech_plan
from bimhw.learning.recipe import recipe
from bimhw.learning.stream import Shown, StreamTrainer
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init
from bimhw.tasks.base import Task
from bimhw.tasks.sources.connected import digit_errors
from bimhw.tasks.sources.fsdd import SpokenDigits
from bimhw.tasks.sources.text import Corpus
from bimhw.tasks.sources.transcripts import Transcribed
from simulator.base.arrays import F32, I64
from simulator.base.errors import InputError


class TextStream:
    """A text read again and again in lanes side by side; the label of a symbol is the next one.

    Args:
        corpus: the text.
        lanes: parallel lanes, each with a part of its own.
    """

    def __init__(self, corpus: Corpus, lanes: int) -> None:
        if corpus.words:
            raise InputError(f"text {corpus.name}", "is of words, whose tables learn in passes", "Leave --stream out")
        self.corpus, self.name = corpus, corpus.name
        self.symbols = cut_streams(corpus.whole_train, lanes)

    def at(self, t: int, like: Tensor) -> Shown:
        """See `Feed`."""
        place = t % (len(self.symbols) - 1)
        return one_hot(self.symbols[place], len(self.corpus.symbols)).to(like), self.symbols[place + 1]

    def check(self, config: BimConfig) -> None:
        """See `Feed`."""
        check_symbols(config, len(self.corpus.symbols))

    def judge(self, net: BimNet) -> dict[str, float | None]:
        """See `Feed`."""
        score = score_corpus(bim_forward(net), self.corpus, self.corpus.test)
        return {"bits_per_character": score.bits_per_character, "perplexity": score.perplexity}


class DigitStream:
    """Strings of spoken digits, drawn anew without an end, one after another in each lane; every step has its label.

    A set of `CtcSettings.strings` strings is dealt to the lanes; each set takes as many steps as the first.

    Args:
        data: the recordings.
        settings: seed, strings of a set, lanes (``batch``).
    """

    name = "connected-digits"

    def __init__(self, data: SpokenDigits, settings: CtcSettings) -> None:
        more = {"strings": max(settings.strings, settings.batch)}
        self.settings = msgspec.structs.replace(settings, **more)
        self._draw, self.test = string_drawer(data, self.settings)
        self.n_in = self.test.inputs[0].shape[1]
        self._number, self._lanes = 0, self._dealt(self._draw(0))
        self.steps = min(len(x) for x, _ in self._lanes)

    def _dealt(self, strings: Strings) -> list[tuple[F32, I64]]:
        n = self.settings.batch
        return [(np.concatenate(strings.inputs[lane::n]), np.concatenate(strings.labels[lane::n])) for lane in range(n)]

    def at(self, t: int, like: Tensor) -> Shown:
        """See `Feed`; a lane that is shorter than the first set begins its strings again."""
        number, step = divmod(t, self.steps)
        if number != self._number:
            self._number, self._lanes = number, self._dealt(self._draw(number))
        u, y = zip(*((x[step % len(x)], labels[step % len(x)]) for x, labels in self._lanes), strict=True)
        return torch.from_numpy(np.stack(u)).to(like), torch.tensor(np.stack(y))

    def check(self, config: BimConfig) -> None:
        """See `Feed`."""
        have, need = (config.n_in, config.n_out), (self.n_in, SYMBOLS)
        if have != need:
            raise InputError("model config", f"has {have[0]} inputs and {have[1]} outputs", f"Digits need {need}")

    def judge(self, net: BimNet) -> dict[str, float | None]:
        """See `Feed`."""
        found = decode(bim_forward(net), self.test.inputs, self.settings.smooth)
        return {"word_error_rate": digit_errors(self.test.digits, found).rate}


def stream_of(
    source: Task | Corpus | SpokenDigits | Transcribed, seed: int, options: Mapping[str, object]
) -> StreamTrainer:
    """Return what learns a task, a text or connected digits as a stream, from the options of `bimhw train`.

    Raises:
        InputError: transcribed utterances, words, an unknown or unread option, or a rule that needs sequences with an end.
    """
    trainer = _stream_of(source, seed, options)
    for name in ("epochs", "lr_end", "lr_course"):
        if options.get(name) is not None:
            raise InputError(f"option {name!r}", "is ignored by a stream, which has no end", "Leave it out")
    return trainer


def _stream_of(
    source: Task | Corpus | SpokenDigits | Transcribed, seed: int, options: Mapping[str, Any]
) -> StreamTrainer:
    if isinstance(source, Task):
        plan = recipe(source, seed=seed, **options)
        check_heeded(options, plan.settings)
        if not isinstance(plan.config, BimConfig) or not isinstance(plan.init, Init | None):
            raise InputError(
                f"family {options['family']!r}", "does not learn online", "--stream is for BIM networks only"
            )
        return StreamTrainer(source, plan.config, plan.settings, plan.init)
    if isinstance(source, Corpus):
        config, settings, init = language_recipe(source, seed, **options)
        check_heeded(options, settings)
        feed = TextStream(source, settings.batch)
        assert isinstance(config, BimConfig)  # of symbols
        return StreamTrainer(feed, config, settings, init)
    if not isinstance(source, SpokenDigits):
        raise InputError(
            f"a stream of {source.name}", "has no label at a step: transcripts are learnt by CTC", "Leave --stream out"
        )
    named = {"rule": "rtrl"} | {k: v for k, v in options.items() if v is not None}
    fields, of_strings = speech_plan(source, seed, **named)
    digits = DigitStream(source, of_strings)
    return StreamTrainer(digits, BimConfig(n_in=digits.n_in, n_out=SYMBOLS, **fields), of_strings)
