"""Continual learning: two tasks in a row, and what is left of the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from bimhw.learning.continual import KEEPS, Keep, own_rows, plasticity
from bimhw.learning.evaluate import evaluate
from bimhw.learning.heeded import check_heeded
from bimhw.learning.recipe import recipe
from bimhw.learning.replay import ReplayBatches, Reservoir
from bimhw.learning.settings import TrainSettings
from bimhw.learning.threads import torch_threads
from bimhw.learning.train import Trainer, check_fit
from bimhw.models.nets import Net, build
from bimhw.models.registry import NetConfig
from bimhw.runs.workers import side_by_side
from bimhw.tasks import load_task
from bimhw.tasks.base import Split, Task
from simulator.base.errors import InputError, unknown_name
from simulator.base.shown import Shown


@dataclass(frozen=True, repr=False)
class Forgetting(Shown):
    """Accuracies on the test splits of both tasks.

    Attributes:
        first_before: of the first task after learning it.
        first_after: of the first task after learning the second.
        second_after: of the second task after learning it.
        second_alone: of the second task learnt from the initial weights.
        words: held to keep the first task, beside the weights: payloads of stored samples, or words of the synapses.
    """

    first_before: float
    first_after: float
    second_after: float
    second_alone: float
    words: int = 0

    @property
    def forgotten(self) -> float:
        """Loss of accuracy on the first task."""
        return self.first_before - self.first_after


class KeepSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ways to keep the first task; see `bimhw.learning.continual`.

    Attributes:
        keep: the way.
        samples: capacity of the reservoir of ``replay``.
        strength: of ``consolidate`` or ``metaplastic``.
        own_rows: readout rows of classes that a task does not have stand still (not with ``none`` and ``replay``).
    """

    keep: Keep = "none"
    samples: int = 100
    strength: float = 1.0
    own_rows: bool = True

    def __post_init__(self) -> None:
        if self.keep not in KEEPS:
            raise unknown_name("way to keep", self.keep, KEEPS)
        if self.samples < 1 or not 0 <= self.strength < math.inf:
            value = f"hold {self.samples} samples with strength {self.strength}"
            raise InputError(
                "settings of continual learning", value, "Give at least 1 sample and a strength of at least 0"
            )


def split_classes(task: Task, first: int) -> tuple[Task, Task]:
    """Split into two tasks of the same network: the classes below ``first`` and the others (labels stay as they are)."""
    if not 0 < first < task.n_classes:
        raise InputError(f"task {task.name}", f"cannot be cut at class {first}", f"It has {task.n_classes} classes")

    def of(split: Split, low: bool) -> Split:
        return split.take(np.flatnonzero((split.y < first) == low))

    parts = [replace(task, train=of(task.train, low), test=of(task.test, low)) for low in (True, False)]
    return parts[0], parts[1]


def forgetting(
    first: Task,
    second: Task,
    config: NetConfig,
    settings: TrainSettings,
    init: msgspec.Struct | None = None,
    keep: KeepSettings | None = None,
) -> Forgetting:
    """Learn two tasks in a row with the same network and rule.

    Args:
        first, second: the tasks.
        config: the network.
        settings: of both trainings.
        init: scales of the initial weights.
        keep: how the first task is kept; None: not at all.

    Raises:
        InputError: a task that the network does not fit, or a diverged training.
    """
    first.check_one_label("a measurement of forgetting")
    check_fit(first, config)
    check_fit(second, config)
    with torch_threads():
        net, alone = build(config, settings.seed, init), build(config, settings.seed, init)
        memory = _Memory(keep or KeepSettings(), settings.seed)
        memory.learn(net, first, settings)
        before = evaluate(net, first).accuracy
        memory.learn(net, second, settings)
        _Memory(KeepSettings(), settings.seed).learn(alone, second, settings)
        first_after, second_after, fresh = (
            evaluate(n, task).accuracy for n, task in ((net, first), (net, second), (alone, second))
        )
        return Forgetting(before, first_after, second_after, fresh, memory.words)


class _Memory:
    """State carried from task to task."""

    def __init__(self, keep: KeepSettings, seed: int) -> None:
        self.keep = keep
        self.reservoir = Reservoir(keep.samples, seed) if keep.keep == "replay" else None
        self.plasticity = plasticity(keep.keep, keep.strength)

    def learn(self, net: Net, task: Task, settings: TrainSettings) -> None:
        """Learn a task, and remember of it."""
        trainer = Trainer(net, task, settings)
        updater = trainer.updater
        if self.plasticity is not None:
            updater.plasticity = self.plasticity
            updater.moves = own_rows(updater.parameters, set(task.train.y.tolist())) if self.keep.own_rows else None
        if self.reservoir is not None and len(self.reservoir):
            like = updater.parameters.values
            trainer.source = ReplayBatches(task, settings.batch, settings.seed, like, self.reservoir.samples())
        for number in range(1, settings.epochs + 1):
            trainer.epoch(number, lambda _: None)
        trainer.method.finish()
        if self.reservoir is not None:
            self.reservoir.offer(task.train)
        if self.plasticity is not None:
            self.plasticity.settle(updater.parameters.values)

    @property
    def words(self) -> int:
        if self.reservoir is not None:
            return int(self.reservoir.samples().x.size)
        return 0 if self.plasticity is None else self.plasticity.words


def forget_classes(
    task: str | Task,
    cut: int = 5,
    rules: Sequence[str] = ("rtrl", "bptt"),
    seed: int = 0,
    keep: KeepSettings | None = None,
    workers: int = 1,
    **options: Any,
) -> dict[str, Forgetting]:
    """Learn the classes of a task in two halves, one after the other, and measure what is forgotten.

    Args:
        task: name, or a task.
        cut: the first half has the classes below it.
        rules: learning rules to compare.
        seed: of weights, order and replay.
        keep: how the first half is kept; None: not at all.
        workers: processes that share the rules. The result is the same for any number.
        options: of training (``hidden``, ``epochs``, ``lr`` ...).

    Returns:
        Accuracies by rule.

    Raises:
        InputError: an unknown task or option, or a cut outside of the classes.
    """
    data = load_task(task) if isinstance(task, str) else task
    parts = split_classes(data, cut)
    plans = [recipe(data, seed=seed, rule=rule, **options) for rule in rules]
    check_heeded(options, *(p.settings for p in plans))
    tasks = [(*parts, plan.config, plan.settings, plan.init, keep) for plan in plans]
    return dict(zip(rules, side_by_side(forgetting, tasks, workers), strict=True))
