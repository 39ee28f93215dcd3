"""Scores of language models: nats of a text read in parallel streams, the state carried over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bimhw.learning.forms.bptt import run_compiled
from bimhw.models.bim.net import BimNet
from bimhw.tasks.sources.text import SKIPPED, TEST_STREAMS, Corpus, Ids, LanguageScore, language_metrics
from simulator.base.errors import InputError

# (inputs [T, B, M], state or None) -> (outputs [T, B, R], state)
Carried = Any  # state of a model, tensors in any nesting of tuples; None: the zero state
Forward = Callable[[Tensor, Carried], tuple[Tensor, Carried]]
Encode = Callable[[Tensor], Tensor]


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


_HELD = 2**26  # values that are held at once


@dataclass(frozen=True)
class Symbols:
    """Reading of symbols by a model, and its scores.

    Attributes:
        encode: symbols [..] to inputs [.., M]; an index below 0 is silence.
        nats: outputs [n, R] and symbols [n] to the sum of -log p.
        count: symbols that a step may hold a value for.
    """

    encode: Encode
    nats: Callable[[Tensor, Tensor], Tensor]
    count: int

    def steps(self, most: int, streams: int) -> int:
        """Return how many steps are taken at once, so that large vocabularies fit into memory; at most `most`."""
        return max(1, min(most, _HELD // (streams * self.count)))


def one_hot_symbols(size: int) -> Symbols:
    """Return the symbols of an alphabet, one-hot at both ends."""
    return Symbols(
        lambda symbols: one_hot(symbols, size), lambda y, s: functional.cross_entropy(y, s, reduction="sum"), size
    )


def score_corpus(forward: Forward, corpus: Corpus, ids: Ids, symbols: Symbols | None = None) -> LanguageScore:
    """Score a part of a corpus: all of it where the parts are official, else as `score_text` does.

    Args:
        forward: the model.
        corpus: gives the symbols, and how its parts are scored.
        ids: the part.
        symbols: how the model reads and predicts them; None: one-hot.

    Raises:
        InputError: a part too short for the streams.
    """
    symbols = symbols or one_hot_symbols(len(corpus.symbols))
    nll, tokens = (score_whole if corpus.official else score_text)(forward, ids, symbols)
    return language_metrics(nll, tokens, corpus.characters_per_token)


@torch.no_grad()
def score_text(
    forward: Forward,
    ids: Ids,
    alphabet: int | Symbols,
    streams: int = TEST_STREAMS,
    skip: int = SKIPPED,
    chunk: int = 512,
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
    return _score(forward, symbols[:-1], symbols[1:], weights, alphabet, chunk)


@torch.no_grad()
def score_whole(
    forward: Forward,
    ids: Ids,
    alphabet: int | Symbols,
    streams: int = TEST_STREAMS,
    warm: int = SKIPPED,
    chunk: int = 512,
) -> tuple[float, int]:
    """Return (nats, symbols) of a text whose every symbol is scored once.

    Each stream begins `warm` symbols before its first scored one. Before the first symbol of the text there is silence.
    """
    length = -(-len(ids) // streams)
    place = np.arange(-warm, length)[:, None] + length * np.arange(streams)[None, :]  # of the symbol that is predicted
    scored = (np.arange(-warm, length)[:, None] >= 0) & (place < len(ids))
    padded = np.concatenate([np.full(warm + 1, -1, np.int64), ids, np.full(length * streams - len(ids), -1, np.int64)])
    inputs, targets = (torch.from_numpy(padded[place + warm + shift]).long() for shift in (0, 1))
    return _score(forward, inputs, targets.clamp(min=0), torch.from_numpy(scored), alphabet, chunk)


def _score(
    forward: Forward, inputs: Tensor, targets: Tensor, scored: Tensor, alphabet: int | Symbols, chunk: int
) -> tuple[float, int]:
    """Sum the nats of the targets [T, B] where `scored`, in chunks with the state handed on."""
    state, nll, tokens = None, 0.0, 0
    symbols = one_hot_symbols(alphabet) if isinstance(alphabet, int) else alphabet
    chunk = symbols.steps(chunk, inputs.shape[1])
    for start in range(0, len(inputs), chunk):
        some = slice(start, start + chunk)
        outputs, state = forward(symbols.encode(inputs[some]), state)
        keep = scored[some]
        if keep.any():
            nll += float(symbols.nats(outputs[keep], targets[some][keep]).double())
            tokens += int(keep.sum())
    return nll, tokens
