"""Connected digits learned online: at every step the cross-entropy with the digit that has been heard, else with the blank.

CTC needs the whole string before its first gradient. Where the digits' places are known, as in strings put together from
single recordings, a forward rule can learn at every step instead (`bimhw.learning.ctc.step_labels`). Decoding: the mean of the
last few steps' log-probabilities (causal), then the best path.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from bimhw.learning.ctc import CtcResult, CtcSettings, Strings, StringSets, padded
from bimhw.learning.settings import TrainSettings
from bimhw.learning.updater import Updater
from bimhw.models.net import BimNet
from bimhw.tasks.audio import Floats
from bimhw.tasks.connected import BLANK, best_path, digit_errors
from simulator.errors import InputError

StringRule = Literal["rtrl", "frozen"]


def fit_online(
    net: BimNet, sets: StringSets, settings: CtcSettings, rule: StringRule = "rtrl", smooth: int = 3
) -> CtcResult:
    """Train a BIM network by an update at every step, and count its word errors.

    Args:
        net: trained in place.
        sets: the strings.
        settings: the training.
        rule: ``rtrl`` or ``frozen``.
        smooth: steps that decoding averages over.

    Raises:
        InputError: another rule, or the loss is no longer finite.
    """
    if rule not in get_args(StringRule):
        raise InputError(f"rule {rule!r}", "is not known here", f"Rules: {', '.join(get_args(StringRule))}")
    batches = [_batch(part, first, settings.batch) for part in sets.train for first in _starts(part, settings.batch)]
    train = TrainSettings(rule=rule, lr=settings.lr, lr_end=settings.lr_end, batch=settings.batch, seed=settings.seed)
    updater = Updater(net, train, sum(len(x) for x, _ in batches))
    start = time.perf_counter()
    for x, labels in batches:
        learner, losses = updater.learner(x.shape[1]), []
        for u, y in zip(x, labels, strict=True):
            losses.append(updater.observe(learner, u, y).loss or 0.0)
        if not math.isfinite(sum(losses)):
            raise InputError("training on strings", "diverged", f"Lower the learning rate (now {settings.lr})")
    seconds = time.perf_counter() - start
    errors = digit_errors(sets.test.digits, decode_smoothed(net, sets.test.inputs, smooth))
    return CtcResult(errors, updater.updates, sum(len(p.inputs) for p in sets.train), seconds)


@torch.no_grad()
def decode_smoothed(net: BimNet, inputs: Sequence[Floats], smooth: int, batch: int = 64) -> list[list[int]]:
    """Best paths of the log-probabilities averaged over the last `smooth` steps."""
    found = []
    for first in range(0, len(inputs), batch):
        x, lengths = padded(inputs[first : first + batch])
        log_p: Any = torch.log_softmax(net.run(x).logits, -1).numpy()
        found += [best_path(moving_mean(log_p[: int(n), i], smooth)) for i, n in enumerate(lengths)]
    return found


def moving_mean(x: npt.NDArray[np.floating], length: int) -> npt.NDArray[np.float64]:
    """[T, C]: mean over the last `length` steps, at the beginning over those there are."""
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, 0, dtype=np.float64)])
    at = np.arange(1, len(x) + 1)
    from_ = np.maximum(at - length, 0)
    mean: npt.NDArray[np.float64] = (total[at] - total[from_]) / (at - from_)[:, None]
    return mean


def _starts(part: Strings, batch: int) -> range:
    return range(0, len(part.inputs), batch)


def _batch(part: Strings, first: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs [T, B, M] and labels [T, B], padded with silence and the blank."""
    some = slice(first, first + batch)
    x, _ = padded(part.inputs[some])
    labels = [torch.from_numpy(y) for y in part.labels[some]]
    return x, torch.nn.utils.rnn.pad_sequence(labels, padding_value=BLANK)
