"""Learning from a stream without an end: nothing is reset between sequences; a checkpoint continues bit for bit.

The stream shows the training sequences one after another in `lanes` parallel lanes, each epoch in a new seeded order; what it
shows at step t is a function of (seed, t) alone. Accuracy is prequential: each labelled step is predicted before it is learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor

from bimhw.learning.checkpoints import Checkpoint, Saved, load_weights, weights_of
from bimhw.learning.evaluate import Evaluation, evaluate
from bimhw.learning.rules.registry import forms, gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.train import check_ends
from bimhw.learning.updater import Updater
from bimhw.models.bim.config import BimConfig, config_to_json
from bimhw.models.bim.net import BimNet, Init
from bimhw.tasks.base import Task
from bimhw.tasks.checks import say_unjudged
from simulator.base.errors import InputError
from simulator.base.reading import boundary

_FORMAT = "bimhw.stream/4"


class TaskStream:
    """The endless stream of a task's training sequences.

    Args:
        task: the sequences.
        lanes: parallel lanes.
        seed: of the order.
    """

    def __init__(self, task: Task, lanes: int, seed: int) -> None:
        self.task, self.lanes, self.seed = task, lanes, seed
        self._epoch, self._order = -1, np.zeros(0, dtype=np.int64)

    def at(self, t: int, like: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return inputs [lanes, M] of step t, and labels [lanes] where the task labels this step of a sequence."""
        sequence, step = divmod(t, self.task.steps)
        index = np.array([self._index(sequence * self.lanes + lane) for lane in range(self.lanes)])
        u = torch.from_numpy(self.task.train.x[index, step]).to(like) * self.task.input_scale
        labels = torch.from_numpy(self.task.train.y[index]) if self.task.loss_steps[step] else None
        return u, labels

    def _index(self, number: int) -> int:
        epoch, place = divmod(number, len(self.task.train))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, epoch)).permutation(len(self.task.train))
        return int(self._order[place])


class StreamReport(NamedTuple):
    """Of the steps since the last report: labelled steps, prequential accuracy and loss, spike rates."""

    step: int
    labelled: int
    accuracy: float
    loss: float
    rates: tuple[float, ...]


class StreamTrainer:
    """Learns from a stream.

    Args:
        task: its training sequences are the stream.
        config: the network.
        settings: rule and numbers (epochs and cosine decay have no meaning here; ``batch`` is the number of lanes).
        init: scales of the initial weights.

    Raises:
        InputError: config and task do not fit, or the rule cannot learn from a stream.
    """

    def __init__(self, task: Task, config: BimConfig, settings: TrainSettings, init: Init | None = None) -> None:
        rule = learning_rule(settings.rule)
        if not rule.online or (rule.forms and not gradient_form(settings.form).streams):
            raise InputError(
                f"rule {settings.rule!r} in form {settings.form!r}",
                "needs sequences with an end",
                f"Forms of streams: {', '.join(name for name, form in forms().items() if form.streams)}",
            )
        task.check_one_label("a stream")
        check_ends(task, config)
        say_unjudged(task.unjudged, f"task {task.name}: test split")
        self.task, self.settings = task, msgspec.structs.replace(settings, lr_end=1.0)
        self.net = BimNet(config, settings.seed, init)
        self.stream = TaskStream(task, settings.batch, settings.seed)
        self.updater = Updater(self.net, self.settings, total_updates=1)
        self.learner = self.updater.learner(settings.batch)
        self.step = 0
        self._clear()

    def run(self, steps: int, progress: Callable[[int], None] | None = None) -> StreamReport:
        """Learn for so many steps.

        Raises:
            InputError: the loss is no longer finite.
        """
        for _ in range(steps):
            self._one()
            if progress is not None:
                progress(1)
        report = self._report()
        self._clear()
        return report

    def evaluate(self) -> Evaluation:
        """Evaluate on the test split, from the zero state, without touching the stream's."""
        self.learner.settle()
        return evaluate(self.net, self.task)

    def _one(self) -> None:
        u, labels = self.stream.at(self.step, self.net.readout.weight.detach())
        result = self.updater.observe(self.learner, u, labels)
        self.step += 1
        self._spikes += np.array([float(r.s.mean()) for r in self.learner.records])
        self._steps += 1
        if labels is None or result.loss is None:
            return
        if not math.isfinite(result.loss):
            raise InputError(f"stream of {self.task.name}", f"diverged at step {self.step}", "Lower the learning rate")
        self._labelled += 1
        self._loss += result.loss
        self._right += float((result.logits.argmax(-1) == labels).float().mean())

    def _clear(self) -> None:
        self._labelled, self._steps, self._loss, self._right = 0, 0, 0.0, 0.0
        self._spikes = np.zeros(self.net.config.n_layers)

    def _report(self) -> StreamReport:
        n, steps = max(self._labelled, 1), max(self._steps, 1)
        rates = tuple(float(r) for r in self._spikes / steps)
        return StreamReport(self.step, self._labelled, self._right / n, self._loss / n, rates)

    def checkpoint(self, path: str | Path, resume: bool = False) -> Checkpoint:
        """Return the file that holds the stream between runs.

        Raises:
            InputError: the file is there and is not to be resumed.
        """
        return Saved(Path(path), resume).open(_FORMAT, self.task.name, config_to_json(self.net.config), self.settings)

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, whole or not at all."""
        content = {
            "step": self.step,
            "learner": self.learner.checkpoint(),
            "updater": self.updater.state(),
            "weights": weights_of(self.net),
        }
        self.checkpoint(path, resume=True).write(content)

    def load(self, path: str | Path) -> None:
        """Continue from a checkpoint.

        Raises:
            InputError: no such file, no checkpoint of a stream, or one of another configuration.
        """
        content = self.checkpoint(path, resume=True).read()
        if content is None:
            raise InputError(str(path), "does not exist", "Start the stream without --resume")
        with boundary(path, "a checkpoint of this network", "Start the stream anew, or take an older one"):
            self.step = int(content["step"])
            load_weights(self.net, content["weights"])
            self.updater.load(content["updater"])
            self.learner.restore(content["learner"])
