"""Connected digits by BPTT on strings, best-path decoding, WER.

Two losses: connectionist temporal classification (CTC, Graves et al. 2006), which needs the words alone, and the cross-entropy of
every step with what has been heard by then (`step_labels`), which needs the words' places, as strings put together have them.
Two frames of 12.5 ms are one step (their bands side by side), z-scored on the training strings, rounded to 1/16: graded spikes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from scipy.special import log_softmax
from torch import Tensor, nn
from torch.nn import functional

from bimhw.learning.averaging import averaged
from bimhw.learning.checkpoints import Checkpoint
from bimhw.learning.dropout import dropped
from bimhw.learning.loop import Batch, Loop, Progress
from bimhw.learning.methods import AnyBatch, ByAutograd, ClippedAdam
from bimhw.learning.objectives.beam import Beam, beam_search
from bimhw.learning.objectives.classes import EachStep
from bimhw.learning.objectives.scoring import Forward
from bimhw.learning.rules.registry import learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.updater import make_pruning
from bimhw.models.bim.net import BimNet
from bimhw.tasks.features.audio import FrontEnd
from bimhw.tasks.features.encoders import graded
from bimhw.tasks.metrics import WordErrors
from bimhw.tasks.sources.connected import BLANK, DigitStrings, best_path, digit_errors, digit_strings
from bimhw.tasks.sources.fsdd import SpokenDigits
from simulator.base.arrays import F32, I64, AnyFloats, Floats
from simulator.base.errors import InputError, check_fields

SYMBOLS = BLANK + 1
AnyLoop = Loop[Any]
StringLoss = Literal["ctc", "steps"]
Targets = Sequence[I64]


class CtcSettings(TrainSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of training on strings: `TrainSettings`, where an epoch of connected digits is a set drawn anew, seen once.

    Attributes:
        loss: of the rules bptt and ctc: ``ctc``, or ``steps``: cross-entropy with the label of each step.
        strings: of a set.
        smooth: decoding takes the mean over the last so many steps (causal).
        beam: strings that decoding keeps a step (`bimhw.learning.objectives.beam`), of characters only; 0: the best path.
        order: of the n-gram of the training transcripts.
        lm_weight: of its log p.
        bonus: for each character.
    """

    rule: str = "ctc"
    loss: StringLoss = "ctc"
    epochs: int = 12
    strings: int = 1000
    batch: int = 32
    lr: float = 0.01
    lr_end: float = 0.02
    smooth: int = 1
    beam: int = 0
    order: int = 6
    lm_weight: float = 0.5
    bonus: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        rules = (
            ("loss", self.loss in get_args(StringLoss), f"must be one of {', '.join(get_args(StringLoss))}"),
            ("smooth", self.smooth >= 1, "must be at least 1"),
            ("beam", self.beam >= 0, "must be 0 or more"),
            ("order", 1 <= self.order <= 20, "must be 1 to 20"),
            ("lm_weight", self.lm_weight >= 0, "must be 0 or more"),
            ("strings", self.strings >= 1, "must be at least 1"),
        )
        check_fields("training setting ", self, rules)
        if not learning_rule(self.rule).online:
            self.check_autograd()


@dataclass(frozen=True)
class Strings:
    """Strings as graded spikes [T_i, 2 bands], their digits [n, 5], and what is said at each step [T_i] (`step_labels`)."""

    inputs: tuple[F32, ...]
    digits: I64
    labels: tuple[I64, ...]


@dataclass(frozen=True)
class StringSets:
    """Strings for training (one set an epoch) and for judging."""

    train: tuple[Strings, ...]
    test: Strings

    def epoch(self, by_step: bool) -> Read:
        """Return what reads the inputs and symbols of an epoch (from 1): labels of each step, or the digits."""

        def read(number: int) -> tuple[Sequence[F32], Targets]:
            part = self.train[number - 1]
            return part.inputs, part.labels if by_step else tuple(part.digits)

        return read

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
    """Return the training and test strings of the official split; tuning: judged on strings of the validation part."""
    draw, test = string_drawer(data, settings, tuning)
    return StringSets(tuple(draw(number) for number in range(settings.epochs)), test)


def string_drawer(
    data: SpokenDigits, settings: CtcSettings, tuning: bool = False
) -> tuple[Callable[[int], Strings], Strings]:
    """Return what draws the training strings of an epoch (from 0), and the test strings.

    The 200 test strings are drawn with seed 0, whatever the settings' seed is.
    """
    parts = data.official()
    train = parts["train"] if tuning else np.concatenate([parts["train"], parts["validation"]])
    test = digit_strings(data, parts["validation" if tuning else "test"], seed=0)

    def drawn(epoch: int) -> DigitStrings:
        return digit_strings(data, train, settings.strings, seed=1 + settings.seed * 1000 + epoch)

    first = drawn(0)
    frames = np.concatenate(first.frames)
    mean, deviation = frames.mean(0), frames.std(0) + 1e-6

    def steps(strings: DigitStrings) -> Strings:
        inputs = tuple(pairs(graded((f - mean) / deviation)) for f in strings.frames)
        labels = [
            step_labels(len(x), d, s, data.front) for x, d, s in zip(inputs, strings.digits, strings.spans, strict=True)
        ]
        return Strings(inputs, strings.digits, tuple(labels))

    return (lambda epoch: steps(first if epoch == 0 else drawn(epoch))), steps(test)


def step_labels(steps: int, digits: I64, spans: I64, front: FrontEnd) -> I64:
    """Return labels [steps]: the digit from the middle of its sound until 50 ms after it, else the blank.

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


def fit_ctc(
    net: nn.Module,
    forward: Forward,
    sets: StringSets,
    settings: CtcSettings,
    checkpoint: Checkpoint | None = None,
    progress: Progress = lambda _: None,
) -> CtcResult:
    """Train a model on strings by back-propagation and count its word errors.

    Args:
        net: what is trained, by Adam(.9, .99), gradients clipped to norm 1.
        forward: inputs [T, B, M] -> logits [T, B, 11], the last symbol the blank.
        sets: the strings.
        settings: the training.
        checkpoint: where the run is kept.
        progress: called with the number of strings done since the last call.

    Raises:
        InputError: the loss is no longer finite.
    """
    total = settings.epochs * math.ceil(settings.strings / settings.batch)
    source = StringBatches(sets.epoch(settings.loss == "steps"), settings)
    loop = strings_by_autograd(net, forward, source, settings, total)
    loop.run(settings.epochs, progress, checkpoint)
    return string_result(loop, forward, sets, settings)


def string_result(loop: AnyLoop, forward: Forward, sets: StringSets, settings: CtcSettings) -> CtcResult:
    """Return the word errors of a trained model on the test strings."""
    errors = digit_errors(sets.test.digits, decode(forward, sets.test.inputs, settings.smooth))
    strings = settings.epochs * len(sets.train[0].inputs)
    return CtcResult(errors, loop.method.updates, strings, sum(e.seconds for e in loop.history))


class Transcripts(NamedTuple):
    """Symbols of several sequences one after another, steps of each sequence, symbols of each."""

    symbols: Tensor
    steps: Tensor
    sizes: Tensor


@dataclass(frozen=True)
class Ctc:
    """Connectionist temporal classification: the probability of all paths that read the transcript.

    Attributes:
        blank: its symbol.
    """

    blank: int = BLANK

    def loss(self, logits: Tensor, y: Transcripts) -> Tensor:
        """See `Objective`."""
        log_p = torch.log_softmax(logits, -1)
        return functional.ctc_loss(log_p, y.symbols, y.steps, y.sizes, blank=self.blank)

    def labels(self, y: Transcripts, steps: int) -> Iterable[Tensor | None]:
        """See `Objective`."""
        raise InputError("objective ctc", "needs whole sequences before its first gradient", "Take rule ctc")


Read = Callable[[int], tuple[Sequence[F32], Targets]]  # an epoch's inputs [T_i, M] and symbols


class StringBatches:
    """Sequences padded to the longest of a batch, with their symbols.

    Args:
        read: inputs and symbols of an epoch: transcripts [n_i], with loss ``steps`` labels [T_i].
        settings: batch and loss.
        blank: its symbol.
    """

    name = "strings"

    def __init__(self, read: Read, settings: CtcSettings, blank: int = BLANK) -> None:
        self.read, self.batch, self.blank = read, settings.batch, blank
        self.by_step = settings.loss == "steps"

    def batches(self, epoch: int, first: int = 0) -> Iterator[AnyBatch]:
        """See `Source`."""
        inputs, targets = self.read(epoch)
        for start in range(first * self.batch, len(targets), self.batch):
            some = slice(start, start + self.batch)
            x, steps = padded(inputs[some])
            y = padded_labels(targets[some], self.blank) if self.by_step else transcripts(targets[some], steps)
            yield Batch(x, y, x.shape[1])


def transcripts(targets: Targets, steps: Tensor) -> Transcripts:
    """Return transcripts [n_i] of sequences with so many steps each."""
    sizes = torch.tensor([len(t) for t in targets])
    return Transcripts(torch.from_numpy(np.concatenate(list(targets))), steps, sizes)


def strings_by_autograd(
    net: nn.Module, forward: Forward, source: StringBatches, settings: CtcSettings, total: int
) -> AnyLoop:
    """Return the loop of back-propagation over strings.

    Args:
        net: what is trained.
        forward: the same as `Forward`.
        source: the strings.
        settings: loss, learning rate, dropout, pruning.
        total: updates in all, for the decay of the learning rate.
    """
    pruned = make_pruning(net, settings) if isinstance(net, BimNet) else None
    adam = ClippedAdam(list(net.parameters()), settings.lr, settings.lr_end, total, pruned, settings.clip)
    descent = averaged(net, adam, settings.average, total)
    objective = EachStep() if source.by_step else Ctc(source.blank)
    return Loop(ByAutograd(net, dropped(net, forward, settings), objective, descent), source, settings.lr)


@torch.no_grad()
def decode(
    forward: Forward,
    frames: Sequence[F32],
    smooth: int = 1,
    batch: int = 64,
    blank: int = BLANK,
    beam: Beam | None = None,
) -> list[list[int]]:
    """Decode sequences by the best path, or by a beam; of several steps the mean of their logits."""
    found = []
    for first in range(0, len(frames), batch):
        x, lengths = padded(frames[first : first + batch])
        logits: Any = forward(x, None)[0].numpy()
        means = [moving_mean(logits[: int(n), i], smooth) for i, n in enumerate(lengths)]
        found += [best_path(m, blank) if beam is None else beam_search(log_softmax(m, -1), blank, beam) for m in means]
    return found


def moving_mean(x: AnyFloats, length: int) -> Floats:
    """Return [T, C]: mean over the last `length` steps, at the beginning over those there are."""
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, 0, dtype=np.float64)])
    at = np.arange(1, len(x) + 1)
    from_ = np.maximum(at - length, 0)
    mean: Floats = (total[at] - total[from_]) / (at - from_)[:, None]
    return mean


def padded_labels(labels: Targets, blank: int = BLANK) -> Tensor:
    """Pad the labels of each step with the blank, [T, B]."""
    return nn.utils.rnn.pad_sequence([torch.from_numpy(y) for y in labels], padding_value=blank)


def padded(frames: Sequence[F32]) -> tuple[Tensor, Tensor]:
    """Pad with zeros at the end, [T, B, M]; return also the lengths [B]."""
    x = nn.utils.rnn.pad_sequence([torch.from_numpy(f) for f in frames])
    return x, torch.tensor([len(f) for f in frames])


def pairs(frames: F32) -> F32:
    """Join two frames side by side as one step."""
    even = frames[: len(frames) // 2 * 2]
    return np.ascontiguousarray(even.reshape(len(even) // 2, -1))
