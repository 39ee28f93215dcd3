"""Training of the baselines by BPTT: on tasks one update a batch of sequences, on texts by truncated BPTT."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.learning.averaging import averaged
from bimhw.learning.device import placed_on, torch_device
from bimhw.learning.evaluate import inputs
from bimhw.learning.loop import Loop
from bimhw.learning.methods import ByAutograd, ClippedAdam
from bimhw.learning.objectives.classes import Classes, TaskBatches
from bimhw.learning.objectives.language import LanguageSettings, text_by_autograd
from bimhw.learning.objectives.scoring import cut_streams, score_corpus
from bimhw.learning.objectives.words import word_symbols, words_by_autograd
from bimhw.models.words.config import EMBEDDING_WIDTH, make_clusters, readout_size
from bimhw.models.words.net import AdaptiveWords
from bimhw.studies.baselines.figures import Figures
from bimhw.studies.baselines.models import Sequencer, build, count
from bimhw.tasks.base import Task
from bimhw.tasks.metrics import decisions, figures_of
from bimhw.tasks.sources.text import Corpus, language_metrics
from simulator.base.arrays import F32, I32
from simulator.base.errors import InputError


class FitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A baseline's training on a task: width, Adam(.9, .99) with cosine decay to lr_end, gradients clipped to norm 1.

    The weights that are left are the mean over the share `average` of the updates, the last ones (0: the last weights).
    """

    hidden: int
    epochs: int = 8
    batch: int = 32
    lr: float = 0.004
    lr_end: float = 0.02
    average: float = 0.0
    seed: int = 0


def fit_task(name: str, task: Task, settings: FitSettings, device: str = "cpu") -> Figures:
    """Train a baseline on a task (on a device of torch) and judge it on the test split.

    Raises:
        InputError: no such baseline or device, or the loss is no longer finite.
    """
    model = build(name, task.n_in, task.n_classes, settings.hidden, settings.seed)
    source = TaskBatches(task, settings.batch, settings.seed, torch.zeros(1))
    total = settings.epochs * math.ceil(len(task.train) / settings.batch)
    with placed_on(model, torch_device(device)):
        adam = ClippedAdam(list(model.parameters()), settings.lr, settings.lr_end, max(total - 1, 1))
        descent = averaged(model, adam, settings.average, total)
        loop = Loop(ByAutograd(model, model, Classes(task), descent, count=True), source, settings.lr)
        loop.run(settings.epochs, lambda _: None)
    scores, rate = decide(model, task)
    figures = _work(loop, settings.epochs * len(task.train), rate, count(model))
    if task.unjudged:
        return figures
    accuracy = float((decisions(scores, task.test.y) == task.test.y).mean())
    return figures.judged(accuracy, figures_of(task, scores))


@torch.no_grad()
def decide(model: Sequencer, task: Task) -> tuple[F32, float | None]:
    """Return mean logits over the deciding steps [n, C] of the test split, and the spike rate of a spiking model."""
    decision, scores, rates = torch.from_numpy(task.decision_steps), [], []
    for start in range(0, len(task.test), 512):
        part = task.test.take(slice(start, start + 512))
        logits: Tensor = model(inputs(part, task, torch.zeros(1)))[0]
        scores.append(logits[decision].mean(0).numpy())
        if model.spikes is not None:
            rates.append(float(model.spikes.mean()))
    return np.concatenate(scores), float(np.mean(rates)) if rates else None


def fit_text(
    name: str, corpus: Corpus, hidden: int, settings: LanguageSettings, tuning: bool = False, device: str = "cpu"
) -> Figures:
    """Train a baseline on a text by truncated BPTT and score it as `bimhw.learning.objectives.language` does.

    A model that cannot carry its state (the Transformer) sees windows of `settings.window` symbols; it is scored on overlapping
    windows of that length, the second half of each. Words go through the same tables as those of a BIM network.

    Raises:
        InputError: no such baseline or device, a text too short, words for a model that carries no state, or the loss is no
            longer finite.
    """
    size, words, symbols = len(corpus.symbols), None, None
    ends = (size, size)
    if corpus.words:
        first, clusters = make_clusters(size, hidden)
        words = AdaptiveWords(EMBEDDING_WIDTH, first, clusters, settings.seed)
        symbols, ends = word_symbols(words), (EMBEDDING_WIDTH, readout_size(first, clusters))
    model = build(name, *ends, hidden, settings.seed)
    if words is not None and not model.carries:
        raise InputError(
            f"baseline {name!r}", "has no state to carry, and words are read in streams", "Take gru or lstm"
        )
    train, test = (corpus.train, corpus.validation) if tuning else (corpus.whole_train, corpus.test)
    streams = cut_streams(train[: settings.symbols or None], settings.batch)
    with placed_on(model, torch_device(device)), placed_on(words or nn.Identity(), torch_device(device)):
        if words is None:
            loop = text_by_autograd(model, model, streams, size, settings, carry=model.carries)
        else:
            loop = words_by_autograd(words, model, model, streams, settings)
        loop.run(settings.epochs, lambda _: None)
    if model.carries:
        score = score_corpus(model, corpus, test, symbols)
    else:
        score = language_metrics(*score_windows(model, test, size, settings.window), corpus.characters_per_token)
    rate = None if model.spikes is None else float(model.spikes.mean())
    seen = settings.epochs * streams.numel()
    figures = _work(loop, seen, rate, count(model) + (0 if words is None else count(words)))
    return replace(figures, bits_per_character=score.bits_per_character, perplexity=score.perplexity)


def _work(loop: Loop[Tensor], seen: int, rate: float | None, parameters: int) -> Figures:
    """Return the figures of a training before it is judged."""
    return Figures(
        rate=rate,
        parameters=parameters,
        updates=loop.method.updates,
        seen=seen,
        memory_words=loop.method.memory_words,
        seconds=sum(e.seconds for e in loop.history),
    )


WINDOWS = 64  # at once


@torch.no_grad()
def score_windows(model: Sequencer, ids: I32, n_symbols: int, window: int) -> tuple[float, int]:
    """Score windows that overlap by half, the later half scored: each symbol has half a window before it; (nats, symbols)."""
    half = window // 2
    starts = np.arange(0, len(ids) - window - 1, half)
    if len(starts) == 0:
        raise InputError("text", f"{len(ids)} symbols for windows of {window}", "Give a longer text")
    nll, tokens = 0.0, 0
    for first in range(0, len(starts), WINDOWS):
        at = starts[first : first + WINDOWS][None, :] + np.arange(window + 1)[:, None]
        symbols = torch.from_numpy(ids[at]).long()
        logits = model(functional.one_hot(symbols[:-1], n_symbols).float())[0][half:]
        y = symbols[1:][half:]
        nll += float(functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").double())
        tokens += y.numel()
    return nll, tokens
