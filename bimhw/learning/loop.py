"""The one training loop: batches in a seeded order, a method that learns from each, checkpoints that continue bit for bit.

A `Source` gives the batches of an epoch, a `Method` (`bimhw.learning.methods`) turns a batch into weights, an `Objective`
(`bimhw.learning.objectives`) says what the error is. Tasks, texts and transcripts, by autograd or by a forward rule, and the
baselines all go through `Loop`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec
from torch import Tensor

from bimhw.learning.checkpoints import Checkpoint, Content
from simulator.base.errors import InputError

Y = TypeVar("Y")
Read = TypeVar("Read", contravariant=True)
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Batch(Generic[Y]):
    """Sequences that are learnt from side by side.

    Attributes:
        x: inputs [T, B, M].
        y: what the objective compares with.
        count: sequences, or steps of a text: the weight of the batch in an epoch's mean, and what progress counts.
        begins: the network starts from the zero state.
        ends: updates that are due at the end of a sequence are made.
    """

    x: Tensor
    y: Y
    count: int
    begins: bool = True
    ends: bool = True


class Source(Protocol[Y]):
    """Training data: the same batches for the same seed and epoch."""

    name: str

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch[Y]]:
        """Return the batches of an epoch (from 1) from number `first` on."""
        ...


class Objective(Protocol[Read]):
    """Error that training minimises."""

    def loss(self, logits: Tensor, y: Read) -> Tensor:
        """Return the mean loss of logits [T, B, C], in nats."""
        ...

    def labels(self, y: Read, steps: int) -> Iterable[Tensor | None]:
        """Return the labels [B] of each step, None where there are none.

        Raises:
            InputError: the objective needs whole sequences.
        """
        ...


@dataclass(frozen=True)
class Learnt:
    """Loss of a batch, and spikes per neuron and step of each layer where they were counted."""

    loss: float
    rates: tuple[float, ...] = ()


class Method(Protocol[Y]):
    """Learns from batches."""

    memory_words: int

    @property
    def updates(self) -> int:
        """Updates so far."""
        ...

    def learn(self, batch: Batch[Y]) -> Learnt:
        """Change the weights by a batch."""
        ...

    def finish(self) -> None:
        """End the training."""
        ...

    def state(self) -> Content:
        """Return all that `load` needs, weights included, as plain containers of tensors."""
        ...

    def load(self, state: Content) -> None:
        """Continue from `state`."""
        ...


class EpochFigures(msgspec.Struct, frozen=True):
    """Mean loss, spike rate of each layer and seconds of an epoch; 0 s before the checkpoint that a run goes on from."""

    loss: float
    rates: tuple[float, ...]
    seconds: float


class _Open(msgspec.Struct):
    """Sums of an epoch that is under way."""

    batch: int = 0
    count: int = 0
    loss: float = 0.0
    rates: list[float] = []
    seconds: float = 0.0

    def add(self, learnt: Learnt, count: int) -> None:
        self.batch += 1
        self.count += count
        self.loss += learnt.loss * count
        old = self.rates or [0.0] * len(learnt.rates)
        self.rates = [r + more * count for r, more in zip(old, learnt.rates, strict=True)]

    def figures(self) -> EpochFigures:
        n = max(self.count, 1)
        return EpochFigures(self.loss / n, tuple(r / n for r in self.rates), self.seconds)


class Stopped(KeyboardInterrupt):
    """An interrupt between two batches, raised by what is told of progress."""


def _nothing() -> None:
    pass


class Loop(Generic[Y]):
    """Goes over the batches of all epochs.

    Args:
        method: learns.
        source: the data.
        lr: learning rate, for the message of a training that diverged.
    """

    def __init__(self, method: Method[Y], source: Source[Y], lr: float) -> None:
        self.method, self.source, self.lr = method, source, lr
        self.history: list[EpochFigures] = []
        self._open = _Open()

    def epoch(
        self, number: int, progress: Progress, between: Callable[[], None] = _nothing
    ) -> tuple[float, tuple[float, ...]]:
        """Learn one epoch; return its mean loss and the spike rate of each layer.

        Raises:
            InputError: the loss is no longer finite.
        """
        start = time.perf_counter() - self._open.seconds
        for batch in self.source.batches(number, self._open.batch):
            learnt = self.method.learn(batch)
            if not math.isfinite(learnt.loss):
                raise InputError(
                    f"training on {self.source.name}",
                    f"diverged in epoch {number} (loss {learnt.loss})",
                    f"Lower the learning rate (now {self.lr})",
                )
            self._open.add(learnt, batch.count)
            self._open.seconds = time.perf_counter() - start
            between()
            try:
                progress(batch.count)
            except KeyboardInterrupt as stop:
                raise Stopped from stop
        figures, self._open = self._open.figures(), _Open()
        self.history.append(figures)
        return figures.loss, figures.rates

    def run(
        self,
        epochs: int,
        progress: Progress,
        checkpoint: Checkpoint | None = None,
        each: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Learn so many epochs, from the checkpoint on where it holds some.

        Args:
            epochs: in all.
            progress: called with the count of each batch.
            checkpoint: is written at the end of an epoch, now and then between batches, and when the run is interrupted.
            each: called with the number of an epoch after it.

        Raises:
            InputError: the loss is no longer finite, or the checkpoint is of another run.
        """
        found = None if checkpoint is None else checkpoint.read()
        if found is not None:
            self._load(found)
            progress(self._open.count)
        between = _nothing if checkpoint is None else checkpoint.when_due(self.state)
        for number in range(len(self.history) + 1, epochs + 1):
            try:
                self.epoch(number, progress, between)
            except Stopped:  # any other interrupt may have come in the middle of an update
                if checkpoint is not None:
                    checkpoint.write(self.state())
                raise
            each(number)
            if checkpoint is not None:
                checkpoint.write(self.state())
        self.method.finish()

    def state(self) -> Content:
        """Return all that a resumed run needs; no times, so that the same run gives the same bytes."""
        return {
            "history": [msgspec.to_builtins(msgspec.structs.replace(e, seconds=0.0)) for e in self.history],
            "open": msgspec.to_builtins(msgspec.structs.replace(self._open, seconds=0.0)),
            "method": self.method.state(),
        }

    def _load(self, content: Content) -> None:
        self.history = msgspec.convert(content["history"], list[EpochFigures])
        self._open = msgspec.convert(content["open"], _Open)
        self.method.load(content["method"])
