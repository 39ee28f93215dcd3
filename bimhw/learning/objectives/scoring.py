"""Scores of language models: nats of a text read in parallel streams, the state carried over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bimhw.learning.forms.bptt import run_compiled
from bimhw.models.bim.net import BimNet
from bimhw.tasks.sources.text import SKIPPED, TEST_STREAMS, Corpus, Ids, LanguageScore, language_metrics
from simulator.base.errors import InputError

# (inputs [T, B, V] one-hot, state or None) -> (logits [T, B, V], state)
Carried = Any  # state of a model, tensors in any nesting of tuples; None: the zero state
Forward = Callable[[Tensor, Carried], tuple[Tensor, Carried]]


def bim_forward(net: BimNet, rates: list[Tensor] | None = None) -> Forward:
    """Return a BIM network as `Forward`; the spike rates of each call are appended to `rates`."""

    def forward(x: Tensor, state: Carried) -> tuple[Tensor, Carried]:
        run = run_compiled(net, x, state) if torch.is_grad_enabled() else net.run(x, state)
        if rates is not None:
            rates.append(torch.stack([s.detach().mean() for s in run.spikes]))
        return run.logits, run.state

    return forward


def cut_streams(ids: Ids, streams: int) -> Tensor:
    """Cut [n] into [n // streams, streams] (time first); the rest at the end is dropped.

    Raises:
        InputError: fewer than two symbols a stream.
    """
    length = len(ids) // streams
    if length < 2:
        raise InputError("text", f"{len(ids)} symbols for {streams} streams", "Give a longer text or fewer streams")
    return torch.from_numpy(np.ascontiguousarray(ids[: length * streams].reshape(streams, length).T)).long()


def one_hot(symbols: Tensor, size: int) -> Tensor:
    """Return [.., ] indices as [.., size] floats; an index below 0 is silence."""
    if int(symbols.min()) >= 0:
        return functional.one_hot(symbols, size).float()
    return functional.one_hot(symbols.clamp(min=0), size).float() * (symbols >= 0).unsqueeze(-1)


_ONE_HOT = 2**26  # values that are held at once


def one_hot_steps(most: int, streams: int, size: int) -> int:
    """Return how many steps are taken at once, so that large vocabularies fit into memory; at most `most`."""
    return max(1, min(most, _ONE_HOT // (streams * size)))


def score_corpus(forward: Forward, corpus: Corpus, ids: Ids) -> LanguageScore:
    """Score a part of a corpus: all of it where the parts are official, else as `score_text` does.

    Args:
        forward: the model.
        corpus: gives the symbols, and how its parts are scored.
        ids: the part.

    Raises:
        InputError: a part too short for the streams.
    """
    nll, tokens = (score_whole if corpus.official else score_text)(forward, ids, len(corpus.symbols))
    return language_metrics(nll, tokens, corpus.characters_per_token)


@torch.no_grad()
def score_text(
    forward: Forward, ids: Ids, n_symbols: int, streams: int = TEST_STREAMS, skip: int = SKIPPED, chunk: int = 512
) -> tuple[float, int]:
    """Return (nats, scored symbols) of a text, read in streams; the first symbols of each are not scored.

    Raises:
        InputError: streams not longer than `skip`.
    """
    symbols = cut_streams(ids, streams)
    if len(symbols) <= skip + 1:
        raise InputError(
            "text", f"{len(symbols)} symbols a stream, the first {skip} are not scored", "Give a longer text"
        )
    weights = torch.ones(len(symbols) - 1, streams, dtype=torch.bool)
    weights[:skip] = False
    return _score(forward, symbols[:-1], symbols[1:], weights, n_symbols, chunk)


@torch.no_grad()
def score_whole(
    forward: Forward, ids: Ids, n_symbols: int, streams: int = TEST_STREAMS, warm: int = SKIPPED, chunk: int = 512
) -> tuple[float, int]:
    """Return (nats, symbols) of a text whose every symbol is scored once.

    Each stream begins `warm` symbols before its first scored one. Before the first symbol of the text there is silence.
    """
    length = -(-len(ids) // streams)
    place = np.arange(-warm, length)[:, None] + length * np.arange(streams)[None, :]  # of the symbol that is predicted
    scored = (np.arange(-warm, length)[:, None] >= 0) & (place < len(ids))
    padded = np.concatenate([np.full(warm + 1, -1, np.int64), ids, np.full(length * streams - len(ids), -1, np.int64)])
    inputs, targets = (torch.from_numpy(padded[place + warm + shift]).long() for shift in (0, 1))
    return _score(forward, inputs, targets.clamp(min=0), torch.from_numpy(scored), n_symbols, chunk)


def _score(
    forward: Forward, inputs: Tensor, targets: Tensor, scored: Tensor, n_symbols: int, chunk: int
) -> tuple[float, int]:
    """Sum the nats of the targets [T, B] where `scored`, in chunks with the state handed on."""
    state, nll, tokens = None, 0.0, 0
    chunk = one_hot_steps(chunk, inputs.shape[1], n_symbols)
    for start in range(0, len(inputs), chunk):
        some = slice(start, start + chunk)
        logits, state = forward(one_hot(inputs[some], n_symbols), state)
        keep = scored[some]
        if keep.any():
            nll += float(functional.cross_entropy(logits[keep], targets[some][keep], reduction="sum").double())
            tokens += int(keep.sum())
    return nll, tokens
