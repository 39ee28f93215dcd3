"""Language modelling on a stream: the next symbol at every step, online or by truncated BPTT, state carried along.

The text is cut into B equal streams that are read side by side. Symbols enter one-hot; axonal delay taps of the config let a
network see the last few. Scored are perplexity and bits per character from one sum
(`bimhw.tasks.sources.text.language_metrics`): the
test text in 16 streams with the state carried over, the first 50 symbols of each not scored; of WikiText every symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor

from bimhw.learning.checkpoints import Saved
from bimhw.learning.device import check_device, placed_on, torch_device
from bimhw.learning.loop import Batch, Loop
from bimhw.learning.methods import ByAutograd, ByRule, ClippedAdam, Clock
from bimhw.learning.objectives.classes import EachStep
from bimhw.learning.objectives.scoring import Forward, bim_forward, cut_streams, one_hot, one_hot_steps, score_corpus
from bimhw.learning.rules.registry import gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.threads import torch_threads
from bimhw.learning.updater import Updater, make_pruning
from bimhw.models.bim.config import BimConfig, config_to_json
from bimhw.models.bim.net import BimNet, Init
from bimhw.tasks.checks import check_judged, too_few
from bimhw.tasks.sources.text import Corpus, LanguageScore
from simulator.base.errors import InputError


class LanguageSettings(TrainSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to train on a text: `TrainSettings`, where ``epochs`` are passes and ``batch`` streams read side by side.

    Attributes:
        rule: an online rule, which updates at every symbol or block, or ``tbptt``: once a window by truncated BPTT.
        window: T of ``tbptt``.
        symbols: at most so many symbols of the text (0: all), to compare on equal data.
    """

    batch: int = 16
    epochs: int = 1
    lr: float = 0.008
    lr_end: float = 0.02
    window: int = 16
    symbols: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 1 or self.symbols < 0:
            raise InputError(
                "training setting window, symbols", f"are {self.window}, {self.symbols}", "Give at least 1 and 0"
            )
        if self.rule == "tbptt":
            self.check_autograd()
            return
        if not learning_rule(self.rule).online or not gradient_form(self.form).streams:
            raise InputError(
                f"rule {self.rule!r} in form {self.form!r}",
                "needs sequences with an end",
                "Texts learn by rtrl or tbptt",
            )


@dataclass(frozen=True, eq=False)
class LanguageResult:
    """A trained network with its score."""

    model: BimNet
    settings: LanguageSettings
    score: LanguageScore
    rates: tuple[float, ...]
    updates: int
    symbols: int
    memory_words: int
    seconds: float
    threads: int = 1
    device: str = "cpu"

    def summary(self) -> dict[str, Any]:
        """Return JSON-able facts of the run."""
        return {
            "config": msgspec.to_builtins(self.model.config),
            "settings": msgspec.to_builtins(self.settings),
            "bits_per_character": self.score.bits_per_character,
            "perplexity": self.score.perplexity,
            "nll_nats": self.score.nll_nats,
            "test_tokens": self.score.tokens,
            "test_characters": self.score.characters,
            "spike_rates": list(self.rates),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "updates": self.updates,
            "symbols": self.symbols,
            "memory_words": self.memory_words,
            "threads": self.threads,
            "device": self.device,
            "train_seconds": self.seconds,
        }


def language_config(corpus: Corpus, **options: Any) -> BimConfig:
    """Return the network of the level: 1 x 128, delta kernel, taps 0..3, spikes filtered with k_o = .5; options change it."""
    size = len(corpus.symbols)
    base: dict[str, Any] = {
        "n_in": size,
        "n_out": size,
        "hidden": (128,),
        "psp": "delta",
        "tau_m": 1.0,
        "k_o": 0.5,
        "input_delays": (0, 1, 2, 3),
    }
    return BimConfig(**(base | options))


_STRETCH = 256  # steps between two looks at the loss
LANGUAGE_INIT = Init(gain_in=5.0, delta_min=0.05, delta_max=1.0)


def train_language(
    corpus: Corpus,
    config: BimConfig | None = None,
    settings: LanguageSettings | None = None,
    init: Init = LANGUAGE_INIT,
    tuning: bool = False,
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
    saved: Saved | None = None,
    device: str = "cpu",
) -> LanguageResult:
    """Train a BIM network on a text and score it.

    Args:
        corpus: the text.
        config: the network; its ends must be the corpus's symbols.
        settings: the training.
        init: scales of the initial weights.
        tuning: train without the validation part and score on it, instead of the test part.
        progress: called with the number of steps done since the last call.
        threads: of torch; another number may sum in another order.
        saved: the checkpoint, where there is to be one.
        device: of the training, by torch's name; the text is scored on the CPU.

    Raises:
        InputError: config and corpus do not fit, no such device, a text too short for the streams, or the loss is no longer
            finite.
    """
    with torch_threads(threads):
        return _train(corpus, config, settings, init, tuning, progress or (lambda _: None), threads, saved, device)


def _train(
    corpus: Corpus,
    config: BimConfig | None,
    settings: LanguageSettings | None,
    init: Init,
    tuning: bool,
    progress: Callable[[int], None],
    threads: int,
    saved: Saved | None,
    device: str,
) -> LanguageResult:
    config, settings = config or language_config(corpus), settings or LanguageSettings()
    if not config.n_in == config.n_out == len(corpus.symbols):
        raise InputError(
            "model config", f"n_in {config.n_in}, n_out {config.n_out}", f"The text has {len(corpus.symbols)} symbols"
        )
    train, test = (corpus.train, corpus.validation) if tuning else (corpus.whole_train, corpus.test)
    check_judged(too_few(len(test), "symbols"), f"text {corpus.name}: test part")
    streams = cut_streams(train[: settings.symbols or None], settings.batch)
    check_device(settings, torch_device(device))
    net = BimNet(config, settings.seed, init)
    kept = saved and saved.open("bimhw.train/1", corpus.name, config_to_json(config), settings)
    with placed_on(net, torch_device(device)):
        loop = text_by_autograd(net, bim_forward(net), streams, config.n_in, settings)
        if settings.rule != "tbptt":
            loop = online_loop(net, streams, settings)
        loop.run(settings.epochs, progress, kept)
    rates: list[Tensor] = []
    score = score_corpus(bim_forward(net, rates), corpus, test)
    mean = torch.stack(rates).mean(0).tolist()
    return LanguageResult(
        net,
        settings,
        score,
        tuple(mean),
        loop.method.updates,
        settings.epochs * streams.numel(),
        loop.method.memory_words,
        sum(e.seconds for e in loop.history),
        threads,
        device,
    )


def windows(symbols: Tensor, window: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Return consecutive (inputs, next symbols) [window, B] of a pass; a shorter rest at the end is left out."""
    for start in range(0, len(symbols) - window, window):
        yield _pairs(symbols, start, window)


def _pairs(symbols: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    part = symbols[start : start + count + 1]
    return part[:-1], part[1:]


class TextBatches:
    """Stretches of a text in streams side by side, one after the other; the state goes on from one to the next.

    Args:
        symbols: [T, B].
        n_symbols: size of the alphabet.
        window: steps of a stretch.
        whole: only stretches of the whole length.
    """

    name = "text"

    def __init__(self, symbols: Tensor, n_symbols: int, window: int, whole: bool) -> None:
        self.symbols, self.n_symbols, self.window = symbols, n_symbols, window
        self.starts = range(0, len(symbols) - (window if whole else 1), window)
        if not self.starts:
            raise InputError("text", f"{len(symbols)} symbols a stream for windows of {window}", "Give a longer text")

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch[Tensor]]:
        """See `Source`; y [T, B] are the next symbols."""
        for start in self.starts[first:]:
            x, y = _pairs(self.symbols, start, self.window)
            yield Batch(one_hot(x, self.n_symbols), y, len(y), begins=start == 0, ends=False)


def online_loop(net: BimNet, symbols: Tensor, settings: LanguageSettings) -> Loop[Tensor]:
    """Return the loop of an online rule over streams [T, B]."""
    clock = Clock(settings.epochs * (len(symbols) - 1))
    updater = Updater(net, settings, clock.total, clock.share)
    source = TextBatches(
        symbols, net.config.n_in, one_hot_steps(_STRETCH, symbols.shape[1], net.config.n_in), whole=False
    )
    return Loop(ByRule(updater, EachStep(), clock), source, settings.lr)


def text_by_autograd(
    net: torch.nn.Module,
    forward: Forward,
    symbols: Tensor,
    n_symbols: int,
    settings: LanguageSettings,
    carry: bool = True,
) -> Loop[Tensor]:
    """Return the loop of truncated BPTT with Adam(.9, .99), gradients clipped to norm 1.

    Args:
        net: what is trained.
        forward: the same as `Forward`.
        symbols: [T, B].
        n_symbols: size of the alphabet.
        settings: window, passes, learning rate, pruning.
        carry: hand the state from window to window (not for attention without a cache).

    Raises:
        InputError: the text is shorter than a window.
    """
    source = TextBatches(symbols, n_symbols, settings.window, whole=True)
    total = settings.epochs * len(source.starts)
    pruned = make_pruning(net, settings) if isinstance(net, BimNet) else None
    descent = ClippedAdam(list(net.parameters()), settings.lr, settings.lr_end, total, pruned, settings.clip)
    return Loop(ByAutograd(net, forward, EachStep(), descent, carry, count=True), source, settings.lr)
