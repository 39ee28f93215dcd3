"""Connected digits by BPTT on strings, best-path decoding, WER.

Two losses: connectionist temporal classification (CTC, Graves et al. 2006), which needs the words alone, and the cross-entropy of
every step with what has been heard by then (`step_labels`), which needs the words' places, as strings put together have them.
Two frames of 12.5 ms are one step (their bands side by side), z-scored on the training strings, rounded to 1/16: graded spikes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from bimhw.learning.objectives.scoring import Forward
from bimhw.tasks.features.audio import Floats, FrontEnd
from bimhw.tasks.features.encoders import graded
from bimhw.tasks.metrics import WordErrors
from bimhw.tasks.sources.connected import BLANK, DigitStrings, best_path, digit_errors, digit_strings
from bimhw.tasks.sources.fsdd import SpokenDigits
from simulator.base.errors import InputError
from simulator.base.schedule import learning_rate

SYMBOLS = BLANK + 1
StringLoss = Literal["ctc", "steps"]
Targets = Sequence[npt.NDArray[np.int64]]


class CtcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to train on strings.

    Attributes:
        loss: ``ctc``, or ``steps``: cross-entropy with the label of each step.
        epochs: sets of strings, each drawn anew from the training recordings and seen once.
        strings: of a set.
        batch: strings in parallel.
        lr: learning rate.
        lr_end: the last one as a fraction of the first (cosine).
        smooth: decoding takes the mean over the last so many steps (causal).
        seed: of the strings, and of the network's weights.
    """

    loss: StringLoss = "ctc"
    epochs: int = 12
    strings: int = 1000
    batch: int = 32
    lr: float = 0.01
    lr_end: float = 0.02
    smooth: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, ok, rule in (
            ("loss", self.loss in get_args(StringLoss), f"must be one of {', '.join(get_args(StringLoss))}"),
            ("smooth", self.smooth >= 1, "must be at least 1"),
            ("epochs", self.epochs >= 1, "must be at least 1"),
            ("strings", self.strings >= 1, "must be at least 1"),
            ("batch", self.batch >= 1, "must be at least 1"),
            ("lr", 0 < self.lr < math.inf, "must be positive"),
            ("lr_end", 0 <= self.lr_end <= 1, "must be in [0, 1]"),
        ):
            if not ok:
                raise InputError(f"training setting {name}", f"is {getattr(self, name)!r}, {rule}", "Correct it")


@dataclass(frozen=True)
class Strings:
    """Strings as graded spikes [T_i, 2 bands], their digits [n, 5], and what is said at each step [T_i] (`step_labels`)."""

    inputs: tuple[Floats, ...]
    digits: npt.NDArray[np.int64]
    labels: tuple[npt.NDArray[np.int64], ...]


@dataclass(frozen=True)
class StringSets:
    """Strings for training (one set an epoch) and for judging."""

    train: tuple[Strings, ...]
    test: Strings

    @property
    def n_in(self) -> int:
        """Inputs a step."""
        return int(self.test.inputs[0].shape[1])


@dataclass(frozen=True)
class CtcResult:
    """Word errors on the test strings, with what the training took."""

    errors: WordErrors
    updates: int
    strings: int
    seconds: float


def string_sets(data: SpokenDigits, settings: CtcSettings, tuning: bool = False) -> StringSets:
    """Training and test strings of the official split; tuning: judged on strings of the validation recordings instead.

    The 200 test strings are drawn with seed 0, whatever the settings' seed is.
    """
    parts = data.official()
    train = parts["train"] if tuning else np.concatenate([parts["train"], parts["validation"]])
    test = digit_strings(data, parts["validation" if tuning else "test"], seed=0)
    drawn = [
        digit_strings(data, train, settings.strings, seed=1 + settings.seed * 1000 + epoch)
        for epoch in range(settings.epochs)
    ]
    frames = np.concatenate(drawn[0].frames)
    mean, deviation = frames.mean(0), frames.std(0) + 1e-6

    def steps(strings: DigitStrings) -> Strings:
        inputs = tuple(pairs(graded((f - mean) / deviation)) for f in strings.frames)
        labels = [
            step_labels(len(x), d, s, data.front) for x, d, s in zip(inputs, strings.digits, strings.spans, strict=True)
        ]
        return Strings(inputs, strings.digits, tuple(labels))

    return StringSets(tuple(steps(d) for d in drawn), steps(test))


def step_labels(
    steps: int, digits: npt.NDArray[np.int64], spans: npt.NDArray[np.int64], front: FrontEnd
) -> npt.NDArray[np.int64]:
    """[steps]: the digit from the middle of its sound until 50 ms after it, else the blank.

    Args:
        steps: of two frames each; a step stands where its middle sample does.
        digits: [length].
        spans: [length, 2], first and last sample (exclusive) of each digit.
        front: of the frames.
    """
    middle = np.arange(steps) * 2 * front.hop + (front.hop + front.window) / 2
    labels = np.full(steps, BLANK)
    for digit, (start, end) in zip(digits, spans, strict=True):
        labels[(middle >= (start + end) / 2) & (middle < end + 0.05 * front.rate_hz)] = digit
    return labels


def fit_ctc(forward: Forward, parameters: Sequence[nn.Parameter], sets: StringSets, settings: CtcSettings) -> CtcResult:
    """Train a model on strings and count its word errors.

    Args:
        forward: inputs [T, B, M] -> logits [T, B, 11], the last symbol the blank.
        parameters: what is trained, by Adam(.9, .99), gradients clipped to norm 1.
        sets: the strings.
        settings: the training.

    Raises:
        InputError: the loss is no longer finite.
    """
    total = settings.epochs * math.ceil(settings.strings / settings.batch)
    by_step = settings.loss == "steps"
    epochs = ((part.inputs, part.labels if by_step else tuple(part.digits)) for part in sets.train)
    updates, seconds = train_on_sequences(forward, parameters, epochs, BLANK, settings, total)
    errors = digit_errors(sets.test.digits, decode(forward, sets.test.inputs, settings.smooth))
    return CtcResult(errors, updates, settings.epochs * settings.strings, seconds)


def train_on_sequences(
    forward: Forward,
    parameters: Sequence[nn.Parameter],
    epochs: Iterable[tuple[Sequence[Floats], Targets]],
    blank: int,
    settings: CtcSettings,
    total: int,
) -> tuple[int, float]:
    """Updates in batches over the epochs' sequences and their symbols; (updates, seconds).

    Args:
        forward: inputs [T, B, M] -> logits [T, B, symbols].
        parameters: what is trained.
        epochs: (inputs [T_i, M] each, symbols each) of every epoch; symbols [n_i], with loss ``steps`` [T_i].
        blank: its symbol.
        settings: loss, batch and learning rate.
        total: updates in all, for the decay of the learning rate.

    Raises:
        InputError: the loss is no longer finite.
    """
    trained = [p for p in parameters if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=settings.lr, betas=(0.9, 0.99))
    updates, start = 0, time.perf_counter()
    for inputs, targets in epochs:
        for first in range(0, len(inputs), settings.batch):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(settings.lr, settings.lr_end, updates / total)
            some = slice(first, first + settings.batch)
            loss = LOSSES[settings.loss](forward, inputs[some], targets[some], blank)
            if not math.isfinite(float(loss.detach())):
                raise InputError(
                    "training on strings", f"diverged (loss {loss})", f"Lower the learning rate (now {settings.lr})"
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            updates += 1
    return updates, time.perf_counter() - start


@torch.no_grad()
def decode(
    forward: Forward, frames: Sequence[Floats], smooth: int = 1, batch: int = 64, blank: int = BLANK
) -> list[list[int]]:
    """Best paths of sequences; of several steps the mean of their log-probabilities (that of the logits has the same maximum)."""
    found = []
    for first in range(0, len(frames), batch):
        x, lengths = padded(frames[first : first + batch])
        logits: Any = forward(x, None)[0].numpy()
        found += [best_path(moving_mean(logits[: int(n), i], smooth), blank) for i, n in enumerate(lengths)]
    return found


def moving_mean(x: npt.NDArray[np.floating], length: int) -> npt.NDArray[np.float64]:
    """[T, C]: mean over the last `length` steps, at the beginning over those there are."""
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, 0, dtype=np.float64)])
    at = np.arange(1, len(x) + 1)
    from_ = np.maximum(at - length, 0)
    mean: npt.NDArray[np.float64] = (total[at] - total[from_]) / (at - from_)[:, None]
    return mean


def padded_labels(labels: Targets, blank: int = BLANK) -> Tensor:
    """Labels of each step [T, B], padded with the blank."""
    return nn.utils.rnn.pad_sequence([torch.from_numpy(y) for y in labels], padding_value=blank)


def _ctc_loss(forward: Forward, frames: Sequence[Floats], targets: Targets, blank: int = BLANK) -> Tensor:
    x, lengths = padded(frames)
    log_p = torch.log_softmax(forward(x, None)[0], -1)
    sizes = torch.tensor([len(t) for t in targets])
    return functional.ctc_loss(log_p, torch.from_numpy(np.concatenate(list(targets))), lengths, sizes, blank=blank)


def _step_loss(forward: Forward, frames: Sequence[Floats], labels: Targets, blank: int = BLANK) -> Tensor:
    logits = forward(padded(frames)[0], None)[0]
    return functional.cross_entropy(logits.flatten(0, 1), padded_labels(labels, blank).flatten())


LOSSES: dict[StringLoss, Callable[[Forward, Sequence[Floats], Targets, int], Tensor]] = {
    "ctc": _ctc_loss,
    "steps": _step_loss,
}


def padded(frames: Sequence[Floats]) -> tuple[Tensor, Tensor]:
    """[T, B, M] padded with zeros at the end, and the lengths [B]."""
    x = nn.utils.rnn.pad_sequence([torch.from_numpy(f) for f in frames])
    return x, torch.tensor([len(f) for f in frames])


def pairs(frames: Floats) -> Floats:
    """Two frames side by side as one step."""
    even = frames[: len(frames) // 2 * 2]
    return np.ascontiguousarray(even.reshape(len(even) // 2, -1))
