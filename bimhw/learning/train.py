"""Training on a task: BPTT or a forward rule, in batches of sequences, repeatable by its seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from torch import Tensor

from bimhw.learning.averaging import averaged
from bimhw.learning.checkpoints import Saved
from bimhw.learning.device import check_device, placed_on, torch_device
from bimhw.learning.dropout import dropped
from bimhw.learning.evaluate import Evaluation, evaluate
from bimhw.learning.families import SampledForm, check_settings
from bimhw.learning.loop import Loop
from bimhw.learning.methods import ByAutograd, ByRule, UpdaterDescent
from bimhw.learning.objectives.classes import Classes, SweptSequences, TaskBatches
from bimhw.learning.rules.registry import learning_rule
from bimhw.learning.settings import TrainSettings
from bimhw.learning.threads import torch_threads
from bimhw.learning.updater import Updater, updates_of
from bimhw.models.nets import Net, NetRun, build
from bimhw.models.registry import NetConfig, config_to_json, family_of, trainable
from bimhw.tasks.base import Task
from bimhw.tasks.checks import check_judged, say_unjudged
from bimhw.tasks.metrics import figures_of
from simulator.base.errors import InputError
from simulator.base.shown import Shown

__all__ = ["Epoch", "TrainResult", "TrainSettings", "Trainer", "check_fit", "train"]


@dataclass(frozen=True)
class Epoch:
    """Result of an epoch; test figures only where they were asked for."""

    number: int
    loss: float
    seconds: float
    test_accuracy: float | None
    rates: tuple[float, ...]


@dataclass(frozen=True, eq=False, repr=False)
class TrainResult(Shown):
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
    device: str = "cpu"
    not_judged: str = ""

    def summary(self) -> dict[str, Any]:
        """Return JSON-able facts of the run; no figure of a test split that cannot judge it."""
        judged = not self.not_judged
        return {
            "config": msgspec.to_builtins(self.model.config),
            "settings": msgspec.to_builtins(self.settings),
            "test_accuracy": self.final.accuracy if judged else None,
            **self.areas,
            "test_loss_nats": self.final.loss if judged else None,
            "train_loss_nats": self.history[-1].loss,
            "spike_rates": list(self.final.rates),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "updates": self.updates,
            "sequences": self.sequences,
            "memory_words": self.memory_words,
            "threads": self.threads,
            "device": self.device,
            "train_seconds": sum(e.seconds for e in self.history),
            "epochs": [msgspec.to_builtins(e) for e in self.history],
            "not_judged": self.not_judged,
        }


def train(
    task: Task,
    config: NetConfig,
    settings: TrainSettings | None = None,
    init: msgspec.Struct | None = None,
    test_each_epoch: bool = False,
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
    saved: Saved | None = None,
    device: str = "cpu",
) -> TrainResult:
    """Train a network on a task and evaluate it on the test split.

    A test split that cannot judge a model (`bimhw.tasks.base.Task.unjudged`) is said before the training; the result then holds
    no figure of it.

    Args:
        task: data; its n_in, n_classes and input_scale must fit the config.
        config: the network.
        settings: the training.
        init: scales of the initial weights.
        test_each_epoch: evaluate after each epoch, not only at the end.
        progress: called with the number of sequences done since the last call.
        threads: of torch; another number may sum in another order.
        saved: the checkpoint, where there is to be one.
        device: of the training, by torch's name; the test split is judged on the CPU.

    Raises:
        InputError: config and task do not fit, no such device, or the loss is no longer finite.
    """
    settings = settings or TrainSettings()
    check_ends(task, config)
    say_unjudged(task.unjudged, f"task {task.name}: test split")
    check_settings(config, settings)
    check_device(settings, torch_device(device))
    net = build(config, settings.seed, init)
    with torch_threads(threads):
        with placed_on(net, torch_device(device)):
            trainer = _trained(net, task, settings, test_each_epoch, progress or _silent, saved)
        return trainer.result(evaluate(net, task), threads, device)


def _trained(
    net: Net,
    task: Task,
    settings: TrainSettings,
    test_each_epoch: bool,
    progress: Callable[[int], None],
    saved: Saved | None,
) -> Trainer:
    trainer = Trainer(net, task, settings)

    def judge(number: int) -> None:
        if test_each_epoch:
            trainer.judged[number] = evaluate(net, task).accuracy

    kept = saved and saved.open("bimhw.train/2", task.name, config_to_json(net.config), settings)
    trainer.run(settings.epochs, progress, kept, judge)
    return trainer


def check_fit(task: Task, config: NetConfig) -> None:
    """Raise `InputError` unless the network's ends are those of the task, and the task can be judged by its metric."""
    check_judged(task.unjudged, f"task {task.name}: test split")
    check_ends(task, config)


def check_ends(task: Task, config: NetConfig) -> None:
    """Raise `InputError` unless the network's ends are those of the task."""
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


class Trainer(Loop[Tensor]):
    """The training loop of a task.

    Args:
        net: trained in place.
        task: its training split is used.
        settings: the rule and its numbers.
        run: of rule ``bptt``, what takes inputs through the network; default: its family's.
    """

    def __init__(
        self, net: Net, task: Task, settings: TrainSettings, run: Callable[[Tensor], NetRun] | None = None
    ) -> None:
        self.net, self.settings = net, settings
        per_batch = updates_of(settings, [bool(b) for b in task.loss_steps])
        batches = math.ceil(len(task.train) / settings.batch)
        total = settings.epochs * batches * per_batch
        self.updater = Updater(net, settings, total)
        objective = Classes(task)
        method: ByRule | ByAutograd = SweptSequences(self.updater, objective, rates=True)
        if not learning_rule(settings.rule).online:
            through = Through(run or trainable(family_of(net.config).name)[1].run(net, settings.seed), settings)
            penalty = through.penalty if settings.rate_strength else None
            descent = averaged(net, UpdaterDescent(self.updater), settings.average, total)
            forward = dropped(net, through, settings)
            method = ByAutograd(net, forward, objective, descent, penalty=penalty, rates=through.rates, count=True)
        super().__init__(method, TaskBatches(task, settings.batch, settings.seed, next(net.parameters())), settings.lr)
        self.task, self.judged = task, dict[int, float]()  # test accuracy by epoch, where it was asked for

    def result(self, final: Evaluation, threads: int = 1, device: str = "cpu") -> TrainResult:
        """Return the network with its history and the figures of the test split."""
        history = [Epoch(k, e.loss, e.seconds, self.judged.get(k), e.rates) for k, e in enumerate(self.history, 1)]
        task, reason = self.task, self.task.unjudged
        found = {} if reason else figures_of(task, final.scores)
        held = self.method.memory_words
        if not learning_rule(self.settings.rule).online:  # autograd keeps a batch
            held = math.ceil(held / min(self.settings.batch, len(task.train)))
        work = (self.updater.updates, self.settings.epochs * len(task.train), held)
        return TrainResult(self.net, self.settings, tuple(history), final, *work, found, threads, device, reason)


class Through:
    """A network of any family as `Forward`; keeps the spikes of the last call.

    Args:
        run: takes inputs through the network.
        settings: of the rate regulariser.
    """

    def __init__(self, run: Callable[[Tensor], NetRun], settings: TrainSettings) -> None:
        self._run, self._settings = run, settings
        self.spikes: tuple[Tensor, ...] = ()

    def __call__(self, x: Tensor, state: object) -> tuple[Tensor, None]:
        """Take inputs [T, B, M] through, from the zero state."""
        run = self._run(x)
        self.spikes = tuple(run.spikes)
        return run.logits, None

    def penalty(self) -> Tensor:
        """Return the term of the rate regulariser: strength / 2 times the squared distance of each neuron's rate."""
        aim = self._settings.rate_target
        return self._settings.rate_strength * sum(
            (0.5 * (s.mean((0, 1)) - aim).square().sum() for s in self.spikes), self.spikes[0].new_zeros(())
        )

    def rates(self) -> tuple[float, ...]:
        """Return spikes per neuron and step of each layer."""
        return tuple(float(s.detach().mean()) for s in self.spikes)

    @property
    def seen(self) -> int:
        """Sequences that have drawn random numbers."""
        return self._run.seen if isinstance(self._run, SampledForm) else 0

    @seen.setter
    def seen(self, count: int) -> None:
        if isinstance(self._run, SampledForm):
            self._run.seen = count
