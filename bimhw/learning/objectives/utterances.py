"""Transcribed utterances as inputs of a network: scaled, kept as bytes, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from bimhw.learning.objectives.ctc import CtcSettings, Targets, pairs
from bimhw.tasks.features.encoders import payloads
from bimhw.tasks.sources.librispeech import FRONT, Utterance
from bimhw.tasks.sources.sequences import INPUT_SCALE
from simulator.base.arrays import F32, I8, I64, Floats
from simulator.base.errors import InputError

_POOL = 32  # batches that are sorted by length together


def by_length(lengths: I64, batch: int, rng: np.random.Generator) -> I64:
    """Return a random order whose batches hold sequences of similar length: pools of 32 batches sorted, batches shuffled."""
    order = rng.permutation(len(lengths))
    pools = [order[at : at + _POOL * batch] for at in range(0, len(order), _POOL * batch)]
    placed = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    whole = len(placed) // batch * batch  # what fills no batch stays last
    batches = rng.permutation(placed[:whole].reshape(-1, batch))
    return np.concatenate([batches.ravel(), placed[whole:]])


class Scale(NamedTuple):
    """Mean and standard deviation of each band over the training utterances."""

    mean: Floats
    deviation: Floats


KEPT_BYTES = 2**31  # of inputs: 180 hours of speech


class Kept:
    """Payloads [T, bands] of utterances, one byte each, up to so many bytes; what is beyond is made anew each time."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.left = limit
        self._of: dict[Path, I8] = {}

    def payloads(self, utterance: Utterance, scale: Scale) -> I8:
        """Return the payloads of an utterance, kept or made."""
        found = self._of.get(utterance.file)
        if found is None:
            found = payloads((utterance.frames() - scale.mean) / scale.deviation).astype(np.int8)
            if found.nbytes <= self.left:
                self._of[utterance.file] = found
                self.left -= found.nbytes
        return found


class Spelt(Sequence[F32]):
    """The inputs [T_i, 2 bands] of utterances, made when they are first asked for, so that any number of hours can be learnt.

    Args:
        utterances: what is read.
        scale: of the bands.
        kept: holds what was made; None: for this sequence alone.
    """

    def __init__(self, utterances: Sequence[Utterance], scale: Scale, kept: Kept | None = None) -> None:
        self.utterances, self.scale, self.kept = utterances, scale, kept or Kept()

    def __len__(self) -> int:
        return len(self.utterances)

    @overload
    def __getitem__(self, index: int) -> F32: ...
    @overload
    def __getitem__(self, index: slice) -> list[F32]: ...
    def __getitem__(self, index: int | slice) -> F32 | list[F32]:
        if isinstance(index, slice):
            return [self._inputs(u) for u in self.utterances[index]]
        return self._inputs(self.utterances[index])

    def _inputs(self, utterance: Utterance) -> F32:
        return pairs(np.float32(INPUT_SCALE) * self.kept.payloads(utterance, self.scale))


def first_pass(utterances: Sequence[Utterance]) -> tuple[Scale, I64]:
    """Return the scale of the bands, and the frames of each utterance.

    Raises:
        InputError: an utterance too short for CTC: a step a character, and one between two equal ones.
    """
    lengths, total, squares = list[int](), np.zeros(FRONT.bands), np.zeros(FRONT.bands)
    for utterance in utterances:
        frames, symbols = utterance.frames().astype(np.float64), np.array(utterance.symbols())
        needed = len(symbols) + int((symbols[1:] == symbols[:-1]).sum())
        if len(frames) // 2 < needed:
            raise InputError(
                str(utterance.file),
                f"lasts {len(frames) // 2} steps of 25 ms, its transcript of {len(symbols)} characters needs {needed}",
                "It is truncated or mislabelled",
            )
        lengths.append(len(frames))
        total, squares = total + frames.sum(0), squares + (frames**2).sum(0)
    count = sum(lengths)
    mean = total / count
    return Scale(mean, np.sqrt(np.maximum(squares / count - mean**2, 0)) + 1e-6), np.array(lengths)


def shuffled(
    utterances: Sequence[Utterance],
    scale: Scale,
    kept: Kept,
    symbols: Targets,
    lengths: I64,
    settings: CtcSettings,
) -> Callable[[int], tuple[Sequence[F32], Targets]]:
    """Return what reads the inputs and symbols of an epoch, in an order of `by_length`."""

    def read(epoch: int) -> tuple[Sequence[F32], Targets]:
        order = by_length(lengths, settings.batch, np.random.default_rng((settings.seed, epoch - 1)))
        return Spelt([utterances[i] for i in order], scale, kept), [symbols[i] for i in order]

    return read
