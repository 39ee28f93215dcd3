"""Training on a task: BPTT or a forward rule, in batches of sequences, repeatable by its seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import torch
from torch.nn import functional

from bimhw.learning.evaluate import Evaluation, evaluate, inputs
from bimhw.learning.families import check_settings
from bimhw.learning.forms.history import words_per_step
from bimhw.learning.forms.seq import SweepLearner
from bimhw.learning.rules.registry import gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.threads import torch_threads
from bimhw.learning.updater import Updater
from bimhw.models.bim.net import as_bim
from bimhw.models.nets import Net, NetRun, build
from bimhw.models.registry import NetConfig, family_of, trainable
from bimhw.tasks.base import Task
from bimhw.tasks.checks import check_judged
from bimhw.tasks.metrics import auc_pr, auc_roc
from simulator.base.errors import InputError

__all__ = ["Epoch", "TrainResult", "TrainSettings", "Trainer", "check_fit", "train"]


@dataclass(frozen=True)
class Epoch:
    """What an epoch gave; test figures only where they were asked for."""

    number: int
    loss: float
    seconds: float
    test_accuracy: float | None
    rates: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A trained network with its history."""

    model: Net
    settings: TrainSettings
    history: tuple[Epoch, ...]
    final: Evaluation
    updates: int
    sequences: int
    memory_words: int
    areas: Mapping[str, float] = field(default_factory=dict)
    threads: int = 1

    def summary(self) -> dict[str, Any]:
        """JSON-able facts of the run."""
        return {
            "config": msgspec.to_builtins(self.model.config),
            "settings": msgspec.to_builtins(self.settings),
            "test_accuracy": self.final.accuracy,
            **self.areas,
            "test_loss_nats": self.final.loss,
            "train_loss_nats": self.history[-1].loss,
            "spike_rates": list(self.final.rates),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "updates": self.updates,
            "sequences": self.sequences,
            "memory_words": self.memory_words,
            "threads": self.threads,
            "train_seconds": sum(e.seconds for e in self.history),
            "epochs": [msgspec.to_builtins(e) for e in self.history],
        }


def train(
    task: Task,
    config: NetConfig,
    settings: TrainSettings | None = None,
    init: msgspec.Struct | None = None,
    test_each_epoch: bool = False,
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
) -> TrainResult:
    """Train a network on a task and evaluate it on the test split.

    Args:
        task: data; its n_in, n_classes and input_scale must fit the config.
        config: the network.
        settings: the training.
        init: scales of the initial weights.
        test_each_epoch: evaluate after each epoch, not only at the end.
        progress: called with the number of sequences done since the last call.
        threads: of torch; another number may sum in another order.

    Raises:
        InputError: config and task do not fit, or the loss is no longer finite.
    """
    with torch_threads(threads):
        return _train(task, config, settings or TrainSettings(), init, test_each_epoch, progress or _silent, threads)


def _train(
    task: Task,
    config: NetConfig,
    settings: TrainSettings,
    init: msgspec.Struct | None,
    test_each_epoch: bool,
    progress: Callable[[int], None],
    threads: int,
) -> TrainResult:
    check_fit(task, config)
    check_settings(config, settings)
    net = build(config, settings.seed, init)
    trainer = Trainer(net, task, settings)
    history = []
    for number in range(1, settings.epochs + 1):
        start = time.perf_counter()
        loss, rates = trainer.epoch(number, progress)
        seconds = time.perf_counter() - start
        accuracy = evaluate(net, task).accuracy if test_each_epoch else None
        history.append(Epoch(number, loss, seconds, accuracy, rates))
    if trainer.updater.pruner is not None:
        trainer.updater.pruner.finish()
    final = evaluate(net, task)
    sequences = settings.epochs * len(task.train)
    return TrainResult(
        net,
        settings,
        tuple(history),
        final,
        trainer.updater.updates,
        sequences,
        trainer.memory_words,
        areas(task, final),
        threads,
    )


def areas(task: Task, result: Evaluation) -> dict[str, float]:
    """``auc_roc`` and ``auc_pr`` of the test split for a task that is judged by them, else nothing."""
    if task.metric != "auc":
        return {}
    score = result.scores[:, 1] - result.scores[:, 0]
    return {"auc_roc": auc_roc(score, task.test.y), "auc_pr": auc_pr(score, task.test.y)}


def check_fit(task: Task, config: NetConfig) -> None:
    """Raise `InputError` unless the network's ends are those of the task, and the task can be judged by its metric."""
    check_judged(len(task.test), "sequences", f"task {task.name}: test split")
    labels = np.unique(task.test.y)
    if task.metric == "auc" and len(labels) < 2:
        raise InputError(
            f"task {task.name}: test split",
            f"has only the label {labels[0]} ({len(task.test)} sequences): an area under the curve needs both",
            "Give more data, or another split",
        )
    for name, have, need in (
        ("n_in", config.n_in, task.n_in),
        ("n_out", config.n_out, task.n_classes),
        ("input_scale", config.input_scale, task.input_scale),
    ):
        if have != need:
            raise InputError(
                f"model config: {name}", f"is {have}, the task {task.name} has {need}", "Change the config"
            )


def _silent(_: int) -> None:
    pass


class Trainer:
    """The loop over batches for one rule.

    Args:
        net: trained in place.
        task: its training split is used.
        settings: the rule and its numbers.
        run: of rule ``bptt``, what takes inputs through the network; default: its family's.
    """

    def __init__(
        self, net: Net, task: Task, settings: TrainSettings, run: Callable[[torch.Tensor], NetRun] | None = None
    ) -> None:
        self.net, self.task, self.settings = net, task, settings
        self._run = run or trainable(family_of(net.config).name)[1].run(net, settings.seed)
        self._labelled = [bool(b) for b in task.loss_steps]
        per_batch = _updates_per_sequence(settings, self._labelled)
        batches = math.ceil(len(task.train) / settings.batch)
        self.updater = Updater(net, settings, settings.epochs * batches * per_batch)
        self.memory_words = 0

    def epoch(self, number: int, progress: Callable[[int], None]) -> tuple[float, tuple[float, ...]]:
        """One pass in a seeded order; returns the mean loss and the spike rate of each layer."""
        order = np.random.default_rng((self.settings.seed, number)).permutation(len(self.task.train))
        total, rates, batch = 0.0, np.zeros(self.net.config.n_layers), self.settings.batch
        for start in range(0, len(order), batch):
            part = self.task.train.take(order[start : start + batch])
            x, y = inputs(part, self.task, next(self.net.parameters())), torch.from_numpy(part.y)
            loss, rate = self._bptt(x, y) if not learning_rule(self.settings.rule).online else self._online(x, y)
            if not math.isfinite(loss):
                raise InputError(
                    f"training on {self.task.name}",
                    f"diverged in epoch {number} (loss {loss})",
                    f"Lower the learning rate (now {self.settings.lr})",
                )
            total += loss * len(y)
            rates += np.array(rate) * len(y)
            progress(len(y))
        return total / len(order), tuple(float(r) for r in rates / len(order))

    def _bptt(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float, list[float]]:
        self.net.zero_grad()
        run = self._run(x)
        logits = run.logits[torch.from_numpy(self.task.loss_steps)]
        loss = functional.cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)))
        penalty = self.settings.rate_strength * sum(
            0.5 * (s.mean((0, 1)) - self.settings.rate_target).square().sum() for s in run.spikes
        )
        (loss + penalty).backward()  # type: ignore[no-untyped-call]
        self.updater.update(self.updater.parameters.gradients())
        return float(loss.detach()), [float(s.detach().mean()) for s in run.spikes]

    def _online(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float, list[float]]:
        learner = self.updater.learner(x.shape[1])
        whole = isinstance(learner, SweepLearner) and learner.takes_sequences
        if whole and self.updater.hybrid is None:
            assert isinstance(learner, SweepLearner)
            config = as_bim(self.net, "sweeps").config
            self.memory_words = words_per_step(config) * len(x) * sum(config.hidden)
            loss, gradients, rates = learner.sequence(x, y, torch.from_numpy(self.task.loss_steps))
            self.updater.update(gradients)
            return loss, rates
        losses, spikes = [], [0.0] * self.net.config.n_layers
        for u, labelled in zip(x, self._labelled, strict=True):
            result = self.updater.observe(learner, u, y if labelled else None)
            spikes = [a + float(r.s.mean()) for a, r in zip(spikes, learner.records, strict=True)]
            if result.loss is not None:
                losses.append(result.loss)
        self.memory_words = max(self.memory_words, learner.memory_words)
        self.updater.update(learner.finish())
        return float(np.mean(losses)), [a / len(x) for a in spikes]


def _updates_per_sequence(settings: TrainSettings, labelled: list[bool]) -> int:
    rule = learning_rule(settings.rule)
    if not rule.online:
        return 1
    return gradient_form(settings.form).updates(settings, labelled) if rule.forms else sum(labelled)
