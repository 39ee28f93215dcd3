"""Language modelling on a stream: the next symbol at every step, online or by truncated BPTT, state carried along.

The text is cut into B equal streams that are read side by side. Symbols enter one-hot; axonal delay taps of the config let a
network see the last few. Scored are perplexity and bits per character from one sum
(`bimhw.tasks.sources.text.language_metrics`): the
test text in 16 streams with the state carried over, the first 50 symbols of each not scored; of WikiText every symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor

from bimhw.learning.averaging import averaged
from bimhw.learning.checkpoints import Saved
from bimhw.learning.device import check_device, placed_on, torch_device
from bimhw.learning.dropout import dropped
from bimhw.learning.loop import Loop
from bimhw.learning.methods import ByAutograd, ClippedAdam, Clock
from bimhw.learning.objectives.blocks import ByBlocks
from bimhw.learning.objectives.classes import EachStep
from bimhw.learning.objectives.scoring import Forward, bim_forward, cut_streams, one_hot_symbols, score_corpus
from bimhw.learning.objectives.text_batches import STRETCH, TextBatches
from bimhw.learning.objectives.text_settings import LanguageSettings as LanguageSettings
from bimhw.learning.objectives.words import check_words, word_symbols, words_loop
from bimhw.learning.threads import torch_threads
from bimhw.learning.updater import Updater, make_pruning
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init
from bimhw.models.registry import config_to_json
from bimhw.models.words.config import EMBEDDING_WIDTH, SHORTLIST, WordsConfig, make_clusters, readout_size
from bimhw.models.words.net import WordNet
from bimhw.tasks.checks import check_judged, too_few
from bimhw.tasks.sources.text import Corpus, LanguageScore
from simulator.base.errors import InputError


@dataclass(frozen=True, eq=False)
class LanguageResult:
    """A trained network with its score."""

    model: BimNet | WordNet
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


_BASE: dict[str, Any] = {
    "hidden": (128,),
    "psp": "delta",
    "tau_m": 1.0,
    "k_o": 0.5,
    "input_delays": (0, 1, 2, 3),
}


_WORD_ENDS = _BASE | {"n_out": 1, "input_delays": (0, 1), "input_scale": 2.0**-6}


def language_config(corpus: Corpus, **options: Any) -> BimConfig:
    """Return the network of the level: 1 x 128, delta kernel, taps 0..3, spikes filtered with k_o = .5; options change it."""
    size = len(corpus.symbols)
    return BimConfig(**({"n_in": size, "n_out": size} | _BASE | options))


def words_config(
    corpus: Corpus, embedding: int = EMBEDDING_WIDTH, shortlist: int = SHORTLIST, **options: Any
) -> WordsConfig:
    """Return the same network with taps 0 and 1 between the tables of a vocabulary.

    Args:
        corpus: of words.
        embedding: width of a word's vector.
        shortlist: most frequent words, each with a score of its own.
        options: fields of `BimConfig` that differ.
    """
    shape = BimConfig(**(_WORD_ENDS | {"n_in": embedding} | options))
    first, clusters = make_clusters(len(corpus.symbols), shape.n_features, shortlist)
    core = msgspec.structs.replace(shape, n_out=readout_size(first, clusters))
    return WordsConfig(shortlist=first, clusters=clusters, core=core)


LANGUAGE_INIT = Init(gain_in=5.0, delta_min=0.05, delta_max=1.0)
WORDS_INIT = Init(gain_in=1.0, delta_min=0.05, delta_max=1.0)


def train_language(
    corpus: Corpus,
    config: BimConfig | WordsConfig | None = None,
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
    config: BimConfig | WordsConfig | None,
    settings: LanguageSettings | None,
    init: Init,
    tuning: bool,
    progress: Callable[[int], None],
    threads: int,
    saved: Saved | None,
    device: str,
) -> LanguageResult:
    config, settings = config or _config_of(corpus), settings or LanguageSettings()
    check_symbols(config, len(corpus.symbols))
    train, test = (corpus.train, corpus.validation) if tuning else (corpus.whole_train, corpus.test)
    check_judged(too_few(len(test), "symbols"), f"text {corpus.name}: test part")
    streams = cut_streams(train[: settings.symbols or None], settings.batch)
    check_device(settings, torch_device(device))
    if isinstance(config, WordsConfig):
        check_words(settings)
    net = (
        WordNet(config, settings.seed, init) if isinstance(config, WordsConfig) else BimNet(config, settings.seed, init)
    )
    kept = saved and saved.open("bimhw.train/2", corpus.name, config_to_json(config), settings)
    with placed_on(net, torch_device(device)):
        loop = _loop(net, streams, settings)
        loop.run(settings.epochs, progress, kept)
    rates: list[Tensor] = []
    core, words = (net.core, word_symbols(net.words)) if isinstance(net, WordNet) else (net, None)
    score = score_corpus(bim_forward(core, rates), corpus, test, words)
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


def _config_of(corpus: Corpus) -> BimConfig | WordsConfig:
    return words_config(corpus) if corpus.words else language_config(corpus)


def check_symbols(config: BimConfig | WordsConfig, size: int) -> None:
    """Raise `InputError` unless a network reads and predicts so many symbols."""
    ends = (config.vocabulary,) * 2 if isinstance(config, WordsConfig) else (config.n_in, config.n_out)
    if ends != (size, size):
        raise InputError("model config", f"reads {ends[0]} symbols, predicts {ends[1]}", f"The text has {size} symbols")


def _loop(net: BimNet | WordNet, streams: Tensor, settings: LanguageSettings) -> Loop[Tensor]:
    if isinstance(net, WordNet):
        return words_loop(net, streams, settings)
    if settings.rule != "tbptt":
        return online_loop(net, streams, settings)
    return text_by_autograd(net, bim_forward(net), streams, net.config.n_in, settings)


def online_loop(net: BimNet, symbols: Tensor, settings: LanguageSettings) -> Loop[Tensor]:
    """Return the loop of an online rule over streams [T, B]."""
    clock = Clock(settings.epochs * (len(symbols) - 1))
    updater = Updater(net, settings, clock.total, clock.share)
    one_hot = one_hot_symbols(net.config.n_in)
    source = TextBatches(symbols, one_hot.encode, one_hot.steps(STRETCH, symbols.shape[1]), whole=False)
    return Loop(ByBlocks(updater, clock), source, settings.lr)


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
        settings: window, passes, learning rate, dropout, pruning.
        carry: hand the state from window to window (not for attention without a cache).

    Raises:
        InputError: the text is shorter than a window.
    """
    source = TextBatches(symbols, one_hot_symbols(n_symbols).encode, settings.window, whole=True)
    total = settings.epochs * len(source.starts)
    pruned = make_pruning(net, settings) if isinstance(net, BimNet) else None
    parameters = list(net.parameters())
    one_pass = parameters[0].device.type in ("cpu", "cuda")
    adam = ClippedAdam(parameters, settings.lr, settings.lr_end, total, pruned, settings.clip, one_pass=one_pass)
    descent = averaged(net, adam, settings.average, total)
    forward = dropped(net, forward, settings)
    return Loop(ByAutograd(net, forward, EachStep(), descent, carry, count=True), source, settings.lr)
