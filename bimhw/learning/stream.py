"""Learning from a stream without an end: nothing is reset between sequences; a checkpoint continues bit for bit.

A `Feed` shows the training data in `lanes` parallel lanes, again and again; what it shows at step t is a function of (seed, t)
alone. Accuracy is prequential: each labelled step is predicted before it is learned. `bimhw.learning.feeds` has texts and speech.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import torch
from torch import Tensor

from bimhw.learning.checkpoints import Checkpoint, Saved
from bimhw.learning.evaluate import evaluate
from bimhw.learning.forms.learner import Learner, StepResult
from bimhw.learning.loop import Batch, Loop
from bimhw.learning.methods import ByRule
from bimhw.learning.rules.registry import forms, gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.train import check_ends
from bimhw.learning.updater import Updater
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet, Init
from bimhw.models.registry import config_to_json
from bimhw.tasks.base import Task
from bimhw.tasks.checks import say_unjudged
from simulator.base.errors import InputError
from simulator.base.near import missing_path
from simulator.base.reading import boundary

_FORMAT = "bimhw.stream/6"
Shown = tuple[Tensor, Tensor | None]  # inputs [lanes, M], labels [lanes] where the step has some


class Feed(Protocol):
    """An endless stream of training data, and the test data that judges what was learnt."""

    name: str

    def at(self, t: int, like: Tensor) -> Shown:
        """Return what is shown at step t, in the type of `like`."""
        ...

    def check(self, config: BimConfig) -> None:
        """Raise `InputError` unless the network's ends are those of the data."""
        ...

    def judge(self, net: BimNet) -> dict[str, float | None]:
        """Return figures of the test data, from the zero state; None: it cannot judge."""
        ...


class TaskStream:
    """The endless stream of a task's training sequences.

    Args:
        task: the sequences.
        lanes: parallel lanes.
        seed: of the order.
    """

    def __init__(self, task: Task, lanes: int, seed: int) -> None:
        task.check_one_label("a stream")
        self.task, self.lanes, self.seed, self.name = task, lanes, seed, task.name
        self._epoch, self._order = -1, np.zeros(0, dtype=np.int64)

    def at(self, t: int, like: Tensor) -> Shown:
        """See `Feed`: labels where the task labels this step of a sequence."""
        sequence, step = divmod(t, self.task.steps)
        index = np.array([self._index(sequence * self.lanes + lane) for lane in range(self.lanes)])
        u = torch.from_numpy(self.task.train.x[index, step]).to(like) * self.task.input_scale
        labels = torch.from_numpy(self.task.train.y[index]) if self.task.loss_steps[step] else None
        return u, labels

    def check(self, config: BimConfig) -> None:
        """See `Feed`."""
        check_ends(self.task, config)
        say_unjudged(self.task.unjudged, f"task {self.name}: test split")

    def judge(self, net: BimNet) -> dict[str, float | None]:
        """See `Feed`."""
        return {"test_accuracy": None if self.task.unjudged else evaluate(net, self.task).accuracy}

    def _index(self, number: int) -> int:
        epoch, place = divmod(number, len(self.task.train))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, epoch)).permutation(len(self.task.train))
        return int(self._order[place])


class StreamReport(NamedTuple):
    """Figures since the last report: labelled steps, prequential accuracy and loss, spike rates."""

    step: int
    labelled: int
    accuracy: float
    loss: float
    rates: tuple[float, ...]


class ByStream(ByRule):
    """A forward rule on a stream; counts what it predicted before it learnt it.

    Args:
        updater: the rule, and what turns its gradients into weights.
    """

    def __init__(self, updater: Updater) -> None:
        super().__init__(updater, _AsShown(), rates=True)
        self.labelled, self.right, self.loss = 0, 0.0, 0.0

    def _observe(self, learner: Learner, u: Tensor, y: Tensor | None) -> StepResult:
        result = super()._observe(learner, u, y)
        if y is not None and result.loss is not None:
            self.labelled += 1
            self.loss += result.loss
            self.right += float((result.logits.argmax(-1) == y).float().mean())
        return result


class _AsShown:
    """The labels of a batch are those of its steps."""

    def loss(self, logits: Tensor, y: list[Tensor | None]) -> Tensor:
        raise NotImplementedError  # a stream is learnt by a forward rule

    def labels(self, y: list[Tensor | None], steps: int) -> Iterable[Tensor | None]:
        return y


class _Steps:
    """The next steps of a stream, each a batch."""

    def __init__(self, trainer: StreamTrainer, count: int) -> None:
        self.trainer, self.count = trainer, count
        self.name = f"stream of {trainer.feed.name}"

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch[list[Tensor | None]]]:
        trainer = self.trainer
        for _ in range(first, self.count):
            u, labels = trainer.feed.at(trainer.step, trainer.net.readout.weight.detach())
            trainer.step += 1
            yield Batch(u[None], [labels], 1, begins=False, ends=False)


class StreamTrainer:
    """Learns from a stream.

    Args:
        data: the stream, or a task whose training sequences are one.
        config: the network.
        settings: rule and numbers (epochs and cosine decay have no meaning here; ``batch`` is the number of lanes).
        init: scales of the initial weights.

    Raises:
        InputError: config and data do not fit, or the rule cannot learn from a stream.
    """

    def __init__(self, data: Task | Feed, config: BimConfig, settings: TrainSettings, init: Init | None = None) -> None:
        rule = learning_rule(settings.rule)
        if not rule.online or (rule.forms and not gradient_form(settings.form).streams):
            raise InputError(
                f"rule {settings.rule!r} in form {settings.form!r}",
                "needs sequences with an end",
                f"Forms of streams: {', '.join(name for name, form in forms().items() if form.streams)}",
            )
        self.feed = TaskStream(data, settings.batch, settings.seed) if isinstance(data, Task) else data
        self.feed.check(config)
        self.settings = msgspec.structs.replace(settings, lr_end=1.0)
        self.net = BimNet(config, settings.seed, init)
        self.method = ByStream(Updater(self.net, self.settings, total_updates=1))
        self.method.learner = self.method.updater.learner(settings.batch)
        self.method.lanes = settings.batch
        self.step = 0

    @property
    def learner(self) -> Learner:
        """The rule, with its traces."""
        assert self.method.learner is not None
        return self.method.learner

    def run(self, steps: int, progress: Callable[[int], None] = lambda _: None) -> StreamReport:
        """Learn for so many steps.

        Raises:
            InputError: the loss is no longer finite.
        """
        by = self.method
        by.labelled, by.right, by.loss = 0, 0.0, 0.0
        _, rates = Loop(by, _Steps(self, steps), self.settings.lr).epoch(1, progress)
        n = max(by.labelled, 1)
        return StreamReport(self.step, by.labelled, by.right / n, by.loss / n, rates)

    def judge(self) -> dict[str, float | None]:
        """Return the figures of the test data, without touching the stream's state."""
        self.learner.settle()
        return self.feed.judge(self.net)

    def checkpoint(self, path: str | Path, resume: bool = False) -> Checkpoint:
        """Return the file that holds the stream between runs.

        Raises:
            InputError: the file is there and is not to be resumed.
        """
        return Saved(Path(path), resume).open(_FORMAT, self.feed.name, config_to_json(self.net.config), self.settings)

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, whole or not at all."""
        self.checkpoint(path, resume=True).write({"step": self.step, "method": self.method.state()})

    def load(self, path: str | Path) -> None:
        """Continue from a checkpoint.

        Raises:
            InputError: no such file, no checkpoint of a stream, or one of another configuration.
        """
        content = self.checkpoint(path, resume=True).read()
        if content is None:
            raise missing_path(path, "Start the stream without --resume")
        with boundary(path, "a checkpoint of this network", "Start the stream anew, or take an older one"):
            self.step = int(content["step"])
            self.method.load(content["method"])
