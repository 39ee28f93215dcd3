"""Continual learning: two tasks in a row, and what is left of the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from bimhw.learning.evaluate import evaluate
from bimhw.learning.recipe import recipe
from bimhw.learning.settings import TrainSettings
from bimhw.learning.threads import torch_threads
from bimhw.learning.train import Trainer, check_fit
from bimhw.models.nets import Net, build
from bimhw.models.registry import NetConfig
from bimhw.tasks import load_task
from bimhw.tasks.base import Split, Task
from simulator.base.errors import InputError


@dataclass(frozen=True)
class Forgetting:
    """Accuracies on the test splits of both tasks.

    Attributes:
        first_before: of the first task after learning it.
        first_after: of the first task after learning the second.
        second_after: of the second task after learning it.
        second_alone: of the second task learnt from the initial weights.
    """

    first_before: float
    first_after: float
    second_after: float
    second_alone: float

    @property
    def forgotten(self) -> float:
        """Loss of accuracy on the first task."""
        return self.first_before - self.first_after


def split_classes(task: Task, first: int) -> tuple[Task, Task]:
    """Two tasks of the same network: the classes below ``first`` and the others (labels stay as they are)."""
    if not 0 < first < task.n_classes:
        raise InputError(f"task {task.name}", f"cannot be cut at class {first}", f"It has {task.n_classes} classes")

    def of(split: Split, low: bool) -> Split:
        return split.take(np.flatnonzero((split.y < first) == low))

    parts = [replace(task, train=of(task.train, low), test=of(task.test, low)) for low in (True, False)]
    return parts[0], parts[1]


def forgetting(
    first: Task, second: Task, config: NetConfig, settings: TrainSettings, init: msgspec.Struct | None = None
) -> Forgetting:
    """Learn two tasks in a row with the same network and rule."""
    check_fit(first, config)
    check_fit(second, config)
    with torch_threads():
        net, alone = build(config, settings.seed, init), build(config, settings.seed, init)
        _learn(net, first, settings)
        before = evaluate(net, first).accuracy
        _learn(net, second, settings)
        _learn(alone, second, settings)
        return Forgetting(
            before, evaluate(net, first).accuracy, evaluate(net, second).accuracy, evaluate(alone, second).accuracy
        )


def forget_classes(
    task: str | Task, cut: int = 5, rules: Sequence[str] = ("rtrl", "bptt"), seed: int = 0, **options: Any
) -> dict[str, Forgetting]:
    """Learn the classes of a task in two halves, one after the other, and measure what is forgotten.

    Args:
        task: name, or a task.
        cut: the first half has the classes below it.
        rules: learning rules to compare.
        seed: of weights and order.
        options: of training (``hidden``, ``epochs``, ``lr`` ...).

    Returns:
        Accuracies by rule.

    Raises:
        InputError: an unknown task or option, or a cut outside of the classes.
    """
    data = load_task(task) if isinstance(task, str) else task
    parts, found = split_classes(data, cut), {}
    for rule in rules:
        plan = recipe(data, seed=seed, rule=rule, **options)
        found[rule] = forgetting(*parts, plan.config, plan.settings, plan.init)
    return found


def _learn(net: Net, task: Task, settings: TrainSettings) -> None:
    trainer = Trainer(net, task, settings)
    for number in range(1, settings.epochs + 1):
        trainer.epoch(number, lambda _: None)
