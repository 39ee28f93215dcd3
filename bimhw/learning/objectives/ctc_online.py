"""Connected digits learned online: at every step the cross-entropy with the digit that has been heard, else with the blank.

CTC needs the whole string before its first gradient. Where the digits' places are known, as in strings put together from
single recordings, a forward rule can learn at every step instead (`bimhw.learning.objectives.ctc.step_labels`).
Decoding: the mean of the last few steps' log-probabilities (causal), then the best path.
"""

from __future__ import annotations

import math
import time
from typing import Literal, get_args

from bimhw.learning.objectives.ctc import CtcResult, CtcSettings, StringSets, decode, padded, padded_labels
from bimhw.learning.objectives.scoring import bim_forward
from bimhw.learning.settings import TrainSettings
from bimhw.learning.updater import Updater
from bimhw.models.bim.net import BimNet
from bimhw.tasks.sources.connected import digit_errors
from simulator.base.errors import InputError

StringRule = Literal["rtrl", "frozen"]


def fit_online(net: BimNet, sets: StringSets, settings: CtcSettings, rule: StringRule = "rtrl") -> CtcResult:
    """Train a BIM network by an update at every step, and count its word errors.

    Args:
        net: trained in place.
        sets: the strings.
        settings: the training.
        rule: ``rtrl`` or ``frozen``.

    Raises:
        InputError: another rule, or the loss is no longer finite.
    """
    if rule not in get_args(StringRule):
        raise InputError(f"rule {rule!r}", "is not known here", f"Rules: {', '.join(get_args(StringRule))}")
    batch = settings.batch
    batches = [
        (padded(part.inputs[first : first + batch])[0], padded_labels(part.labels[first : first + batch]))
        for part in sets.train
        for first in range(0, len(part.inputs), batch)
    ]
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
    errors = digit_errors(sets.test.digits, decode(bim_forward(net), sets.test.inputs, settings.smooth))
    return CtcResult(errors, updater.updates, sum(len(p.inputs) for p in sets.train), seconds)
