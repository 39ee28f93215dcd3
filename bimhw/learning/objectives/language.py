"""Language modelling on a stream: the next symbol at every step, online or by truncated BPTT, state carried along.

The text is cut into B equal streams that are read side by side. Symbols enter one-hot; axonal delay taps of the config let a
network see the last few. Scored are perplexity and bits per character from one sum
(`bimhw.tasks.sources.text.language_metrics`): the
test text in 16 streams with the state carried over, the first 50 symbols of each not scored; of WikiText every symbol.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.nn import functional

from bimhw.learning.objectives.scoring import Forward, bim_forward, cut_streams, one_hot, score_corpus
from bimhw.learning.pruning import Mode
from bimhw.learning.rules.registry import gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.threads import torch_threads
from bimhw.learning.updater import Updater
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init
from bimhw.tasks.checks import check_judged
from bimhw.tasks.sources.text import Corpus, LanguageScore
from simulator.base.errors import InputError
from simulator.base.schedule import learning_rate


class LanguageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to train on a text.

    Attributes:
        rule: as in `bimhw.learning.settings.TrainSettings`, online: what learns updates at every symbol or block; ``tbptt``: once
            a window by truncated BPTT.
        form: of the gradient, as there.
        streams: B, read side by side.
        window: T of ``tbptt``.
        passes: over the text.
        lr: first learning rate.
        lr_end: last one as a fraction of the first (cosine).
        block: K of ``tr`` and ``blk``.
        lookback: L of ``tr``.
        lam: lambda of ``hybrid``.
        prune, prune_mode, prune_readout, prune_every: pruning while it learns online, as there.
        symbols: at most so many symbols of the text (0: all), to compare on equal data.
        seed: of the initial weights.
    """

    rule: str = "rtrl"
    form: str = "dense"
    streams: int = 16
    window: int = 16
    passes: int = 1
    lr: float = 0.008
    lr_end: float = 0.02
    block: int = 16
    lookback: int = 32
    lam: float = 0.5
    prune: float = 0.0
    prune_mode: Mode = "gated"
    prune_readout: bool = False
    prune_every: int = 10
    symbols: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("streams", "window", "passes", "block"):
            if getattr(self, name) < 1:
                raise InputError(f"language setting {name}", f"is {getattr(self, name)}, must be at least 1")
        if not (0 < self.lr < math.inf and 0 <= self.lr_end <= 1):
            raise InputError("language settings", f"lr {self.lr}, lr_end {self.lr_end}", "lr > 0, lr_end in [0, 1]")
        if self.rule == "tbptt":
            if self.prune:
                raise InputError("language setting prune", "does not go with rule tbptt", "Prune with an online rule")
            return
        checked = self.online()
        if not learning_rule(checked.rule).online or not gradient_form(checked.form).streams:
            raise InputError(
                f"rule {checked.rule!r} in form {checked.form!r}",
                "needs sequences with an end",
                "Texts learn by rtrl or tbptt",
            )
        msgspec.structs.force_setattr(self, "rule", checked.rule)
        msgspec.structs.force_setattr(self, "form", checked.form)

    def online(self) -> TrainSettings:
        """Return the settings of the online rule."""
        own = {name: getattr(self, name) for name in TrainSettings.__struct_fields__ if name in self.__struct_fields__}
        return TrainSettings(batch=self.streams, **own)


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

    def summary(self) -> dict[str, Any]:
        """JSON-able facts of the run."""
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
            "train_seconds": self.seconds,
        }


def language_config(corpus: Corpus, **options: Any) -> BimConfig:
    """The network of the level: 1 x 128, delta kernel, taps of 0..3 steps, spikes filtered with k_o = .5; options change it."""
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


LANGUAGE_INIT = Init(gain_in=5.0, delta_min=0.05, delta_max=1.0)


def train_language(
    corpus: Corpus,
    config: BimConfig | None = None,
    settings: LanguageSettings | None = None,
    init: Init = LANGUAGE_INIT,
    tuning: bool = False,
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
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

    Raises:
        InputError: config and corpus do not fit, a text too short for the streams, or the loss is no longer finite.
    """
    with torch_threads(threads):
        return _train(corpus, config, settings, init, tuning, progress or (lambda _: None), threads)


def _train(
    corpus: Corpus,
    config: BimConfig | None,
    settings: LanguageSettings | None,
    init: Init,
    tuning: bool,
    progress: Callable[[int], None],
    threads: int,
) -> LanguageResult:
    config, settings = config or language_config(corpus), settings or LanguageSettings()
    if not config.n_in == config.n_out == len(corpus.symbols):
        raise InputError(
            "model config", f"n_in {config.n_in}, n_out {config.n_out}", f"The text has {len(corpus.symbols)} symbols"
        )
    train, test = (corpus.train, corpus.validation) if tuning else (corpus.whole_train, corpus.test)
    check_judged(len(test), "symbols", f"text {corpus.name}: test part")
    streams = cut_streams(train[: settings.symbols or None], settings.streams)
    net = BimNet(config, settings.seed, init)
    start = time.perf_counter()
    run = _tbptt if settings.rule == "tbptt" else _online
    updates, words = run(net, streams, settings, progress)
    seconds = time.perf_counter() - start
    rates: list[Tensor] = []
    score = score_corpus(bim_forward(net, rates), corpus, test)
    mean = torch.stack(rates).mean(0).tolist()
    return LanguageResult(
        net, settings, score, tuple(mean), updates, settings.passes * streams.numel(), words, seconds, threads
    )


def windows(symbols: Tensor, window: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Consecutive (inputs, next symbols) [window, B] of a pass; a shorter rest at the end is left out."""
    for start in range(0, len(symbols) - window, window):
        yield _pairs(symbols, start, window)


def detached(state: Any) -> Any:
    """A state (tensors in any nesting of tuples) cut off from the graph."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, tuple):
        parts = [detached(s) for s in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state


def _pairs(symbols: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    part = symbols[start : start + count + 1]
    return part[:-1], part[1:]


def _online(
    net: BimNet, symbols: Tensor, settings: LanguageSettings, progress: Callable[[int], None]
) -> tuple[int, int]:
    total, words, done = settings.passes * (len(symbols) - 1), 0, 0
    updater = Updater(net, settings.online(), total, lambda: done / total)
    size = net.config.n_in
    for _ in range(settings.passes):
        learner = updater.learner(symbols.shape[1])
        for start in range(0, len(symbols) - 1, 256):
            x, y = _pairs(symbols, start, 256)
            for u, target in zip(one_hot(x, size), y, strict=True):
                done += 1
                result = updater.observe(learner, u, target)
            _check_finite(result.loss, settings)
            progress(len(y))
        words = max(words, learner.memory_words)
    if updater.pruner is not None:
        updater.pruner.finish()
    return updater.updates, words


def _tbptt(
    net: BimNet, symbols: Tensor, settings: LanguageSettings, progress: Callable[[int], None]
) -> tuple[int, int]:
    return fit_tbptt(bim_forward(net), list(net.parameters()), symbols, net.config.n_in, settings, progress)


def fit_tbptt(
    forward: Forward,
    parameters: list[torch.nn.Parameter],
    symbols: Tensor,
    n_symbols: int,
    settings: LanguageSettings,
    progress: Callable[[int], None],
    carry: bool = True,
) -> tuple[int, int]:
    """Truncated BPTT with Adam(.9, .99), gradients clipped to norm 1; returns (updates, words kept for one backward pass).

    Args:
        forward: the model.
        parameters: what is trained.
        symbols: [T, B].
        n_symbols: size of the alphabet.
        settings: window, passes, learning rate.
        progress: called with steps done.
        carry: hand the state from window to window (not for attention without a cache).

    Raises:
        InputError: the loss is no longer finite, or the text is shorter than a window.
    """
    trained = [p for p in parameters if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=settings.lr, betas=(0.9, 0.99))
    total = settings.passes * max(1, len(range(0, len(symbols) - settings.window, settings.window)))
    updates, words = 0, 0
    for _ in range(settings.passes):
        state: Any = None
        for x, y in windows(symbols, settings.window):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(settings.lr, settings.lr_end, updates / total)
            with saved_words(active=words == 0) as counter:
                logits, state = forward(one_hot(x, n_symbols), state if carry else None)
                loss = functional.cross_entropy(logits.flatten(0, 1), y.flatten())
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            state, updates, words = detached(state), updates + 1, max(words, counter.words)
            _check_finite(float(loss.detach()), settings)
            progress(len(y))
    if updates == 0:
        raise InputError(
            "text", f"{len(symbols)} symbols a stream for windows of {settings.window}", "Give a longer text"
        )
    return updates, words


class saved_words:
    """Counts the words that autograd keeps for the backward pass, each stored tensor once; does nothing where not active."""

    def __init__(self, active: bool = True) -> None:
        self._seen: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda t: t) if active else None

    def __enter__(self) -> saved_words:
        if self._hooks is not None:
            self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._hooks is not None:
            self._hooks.__exit__(*error)

    @property
    def words(self) -> int:
        """Elements of all tensors kept."""
        return sum(self._seen.values())

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self._seen[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
        return tensor


def _check_finite(loss: float | None, settings: LanguageSettings) -> None:
    if loss is not None and not math.isfinite(loss):
        raise InputError("training on text", f"diverged (loss {loss})", f"Lower the learning rate (now {settings.lr})")
