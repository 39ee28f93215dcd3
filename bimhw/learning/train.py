"""Training on a task: BPTT or a forward rule, in batches of sequences, repeatable by its seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch.nn import functional

from bimhw.learning.evaluate import Evaluation, evaluate, inputs
from bimhw.learning.homeostasis import Homeostasis
from bimhw.learning.hybrid import Hybrid, clip_inputs
from bimhw.learning.learner import Gradients
from bimhw.learning.optim import FlatParameters, Optimiser, OptimiserName
from bimhw.learning.pruning import Mode, Pruner, PruneSettings
from bimhw.learning.rules import RULES, LearnerSettings, Rule, make_learner
from bimhw.learning.seq import SweepCredit
from bimhw.learning.stdp import StdpSettings
from bimhw.models.config import BimConfig
from bimhw.models.net import BimNet, Init
from bimhw.tasks.base import Task
from bimhw.tasks.metrics import auc_pr, auc_roc
from simulator.errors import InputError


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to train.

    Attributes:
        rule: ``rtrl`` exact forward traces, an update at every labelled step; ``seq`` the same gradient by a sweep inside each
            neuron, one update a sequence; ``tr`` a sliding window; ``blk`` blocks with a carry, exact; ``bptt`` one update per
            sequence by back-propagation through time; ``lazy`` work at events only (batch 1, sgd, an update at every labelled
            step); ``hybrid`` rtrl and STDP; ``stdp`` STDP on W_in, readout online; ``frozen`` only the readout, online.
        epochs: passes over the training split.
        batch: sequences in parallel.
        lr: learning rate.
        lr_end: the last update's learning rate as a fraction of the first (cosine decay); 1: constant.
        optimiser: ``adam``, ``rms`` (one second moment per neuron) or ``sgd``.
        credit: how the error reaches lower layers, see `bimhw.learning.credit` (``exact``: seq and bptt).
        block: K of ``tr`` and ``blk``.
        lookback: L of ``tr``.
        lam: lambda of ``hybrid``: 1 gradient only, 0 STDP on W_in.
        kappa: scale of the STDP term; 0: the running ratio of the root mean squares.
        w_max: bound on W_in of ``hybrid`` and ``stdp``.
        pairing: of spikes in STDP, ``all`` or ``nearest``.
        prune: share of synapses to prune while training; 0: none.
        prune_mode: ``gated``, ``resampled`` or ``regrow``, see `bimhw.learning.pruning`.
        prune_every: updates between two calls of the pruner.
        rate_target: spike rate that the rate regulariser aims at.
        rate_strength: its strength; 0: none.
        seed: of initial weights, order of the data and random matrices.
    """

    rule: Rule = "rtrl"
    epochs: int = 8
    batch: int = 64
    lr: float = 0.006
    lr_end: float = 1.0
    optimiser: OptimiserName = "adam"
    credit: SweepCredit = "filt-win"
    block: int = 16
    lookback: int = 32
    lam: float = 0.5
    kappa: float = 0.0
    w_max: float = 4.0
    pairing: Literal["all", "nearest"] = "all"
    prune: float = 0.0
    prune_mode: Mode = "gated"
    prune_every: int = 10
    rate_target: float = 0.1
    rate_strength: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(f"rule {self.rule!r}", "is not known", f"Rules: {', '.join(RULES)}")
        rules = (
            ("epochs", self.epochs >= 1, "must be at least 1"),
            ("batch", self.batch >= 1, "must be at least 1"),
            ("lr", 0 < self.lr < math.inf, "must be positive"),
            ("lr_end", 0 <= self.lr_end <= 1, "must be in [0, 1]"),
            ("prune", 0 <= self.prune <= 0.99, "must be in [0, 0.99]"),
            ("prune_every", self.prune_every >= 1, "must be at least 1"),
            ("block", self.block >= 1, "must be at least 1"),
            ("lookback", self.lookback >= 0, "must not be negative"),
            ("lam", 0 <= self.lam <= 1, "must be in [0, 1]"),
            ("kappa", 0 <= self.kappa < math.inf, "must not be negative"),
            ("w_max", self.w_max > 0, "must be positive"),
            ("batch", self.rule != "lazy" or self.batch == 1, "rule lazy works on one sequence at a time"),
            ("optimiser", self.rule != "lazy" or self.optimiser == "sgd", "rule lazy is plain gradient descent (sgd)"),
            (
                "rate_strength",
                self.rule not in ("lazy", "frozen") or not self.rate_strength,
                "does nothing with this rule",
            ),
            ("rate_strength", self.rate_strength >= 0, "must not be negative"),
        )
        for name, ok, rule in rules:
            if not ok:
                raise InputError(f"training setting {name}", f"is {getattr(self, name)!r}, {rule}", "Correct it")


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

    model: BimNet
    settings: TrainSettings
    history: tuple[Epoch, ...]
    final: Evaluation
    updates: int
    sequences: int
    memory_words: int
    areas: Mapping[str, float] = field(default_factory=dict)

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
            "train_seconds": sum(e.seconds for e in self.history),
            "epochs": [msgspec.to_builtins(e) for e in self.history],
        }


def train(
    task: Task,
    config: BimConfig,
    settings: TrainSettings | None = None,
    init: Init | None = None,
    test_each_epoch: bool = False,
    progress: Callable[[int], None] | None = None,
) -> TrainResult:
    """Train a network on a task and evaluate it on the test split.

    Args:
        task: data; its n_in, n_classes and input_scale must fit the config.
        config: the network.
        settings: the training.
        init: scales of the initial weights.
        test_each_epoch: evaluate after each epoch, not only at the end.
        progress: called with the number of sequences done since the last call.

    Raises:
        InputError: config and task do not fit, or the loss is no longer finite.
    """
    settings = settings or TrainSettings()
    check_fit(task, config)
    net = BimNet(config, settings.seed, init)
    trainer = Trainer(net, task, settings)
    history = []
    for number in range(1, settings.epochs + 1):
        start = time.perf_counter()
        loss, rates = trainer.epoch(number, progress or _silent)
        seconds = time.perf_counter() - start
        accuracy = evaluate(net, task).accuracy if test_each_epoch else None
        history.append(Epoch(number, loss, seconds, accuracy, rates))
    if trainer.pruner is not None:
        trainer.pruner.finish()
    final = evaluate(net, task)
    sequences = settings.epochs * len(task.train)
    return TrainResult(
        net, settings, tuple(history), final, trainer.updates, sequences, trainer.memory_words, areas(task, final)
    )


def areas(task: Task, result: Evaluation) -> dict[str, float]:
    """``auc_roc`` and ``auc_pr`` of the test split for a task that is judged by them, else nothing."""
    if task.metric != "auc":
        return {}
    score = result.scores[:, 1] - result.scores[:, 0]
    return {"auc_roc": auc_roc(score, task.test.y), "auc_pr": auc_pr(score, task.test.y)}


def check_fit(task: Task, config: BimConfig) -> None:
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


class Trainer:
    """The loop over batches for one rule.

    Args:
        net: trained in place.
        task: its training split is used.
        settings: the rule and its numbers.
    """

    def __init__(self, net: BimNet, task: Task, settings: TrainSettings) -> None:
        self.net, self.task, self.settings = net, task, settings
        self.parameters = FlatParameters(net)
        self.optimiser = Optimiser(settings.optimiser, self.parameters)
        self.updates, self.memory_words = 0, 0
        self._hybrid = _make_hybrid(net, settings)
        self._homeostasis = _make_homeostasis(net, settings)
        self.pruner = None
        if settings.prune:
            target = PruneSettings(rho=settings.prune, mode=settings.prune_mode, seed=settings.seed)
            self.pruner = Pruner(net, target)
        self._labelled = [bool(b) for b in task.loss_steps]
        per_batch = _updates_per_sequence(settings, self._labelled)
        batches = math.ceil(len(task.train) / settings.batch)
        self._total_updates = settings.epochs * batches * per_batch

    def epoch(self, number: int, progress: Callable[[int], None]) -> tuple[float, tuple[float, ...]]:
        """One pass in a seeded order; returns the mean loss and the spike rate of each layer."""
        order = np.random.default_rng((self.settings.seed, number)).permutation(len(self.task.train))
        total, rates, batch = 0.0, np.zeros(self.net.config.n_layers), self.settings.batch
        for start in range(0, len(order), batch):
            part = self.task.train.take(order[start : start + batch])
            x, y = inputs(part, self.task, self.net.readout.weight), torch.from_numpy(part.y)
            loss, rate = self._bptt(x, y) if self.settings.rule == "bptt" else self._online(x, y)
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

    @property
    def lr(self) -> float:
        """Learning rate of the next update."""
        s = self.settings
        done = min(self.updates / max(self._total_updates - 1, 1), 1.0)
        return s.lr * (s.lr_end + (1 - s.lr_end) * 0.5 * (1 + math.cos(math.pi * done)))

    def _update(self, gradient: torch.Tensor) -> None:
        self.optimiser.step(gradient, self.lr)
        self.updates += 1
        if self.pruner is not None and self.updates % self.settings.prune_every == 0:
            self.pruner.call()

    def _bptt(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float, list[float]]:
        self.net.zero_grad()
        run = self.net.run(x)
        logits = run.logits[torch.from_numpy(self.task.loss_steps)]
        loss = functional.cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)))
        penalty = self.settings.rate_strength * sum(
            0.5 * (s.mean((0, 1)) - self.settings.rate_target).square().sum() for s in run.spikes
        )
        (loss + penalty).backward()  # type: ignore[no-untyped-call]
        self._update(self.parameters.gather(self.parameters.gradients()))
        return float(loss.detach()), [float(s.detach().mean()) for s in run.spikes]

    def _online(self, x: torch.Tensor, y: torch.Tensor) -> tuple[float, list[float]]:
        learner = make_learner(self.net, self._learner_settings(), x.shape[1])
        if self._hybrid is not None:
            self._hybrid.resize(x.shape[1])
        losses, spikes = [], [0.0] * self.net.config.n_layers
        for u, labelled in zip(x, self._labelled, strict=True):
            result = learner.observe(u, y if labelled else None)
            if self._hybrid is not None:
                self._hybrid.observe(learner.inputs, [r.s for r in learner.records])
            spikes = [a + float(r.s.mean()) for a, r in zip(spikes, learner.records, strict=True)]
            if result.loss is not None:
                losses.append(result.loss)
            self._apply(result.gradients)
        self.memory_words = max(self.memory_words, learner.memory_words)
        self._apply(learner.finish())
        return float(np.mean(losses)), [a / len(x) for a in spikes]

    def _learner_settings(self) -> LearnerSettings:
        s = self.settings
        return LearnerSettings(s.rule, s.credit, s.seed, s.block, s.lookback, self.lr, self._homeostasis)

    def _apply(self, gradients: Gradients | None) -> None:
        if gradients is None:
            return
        if self._hybrid is not None:
            gradients = self._hybrid.combine(gradients)
        self._update(self.parameters.gather(gradients))
        if self._hybrid is not None:
            clip_inputs(self.net, self.settings.w_max)


def _make_homeostasis(net: BimNet, s: TrainSettings) -> Homeostasis | None:
    if not s.rate_strength:
        return None
    return Homeostasis(net.config, s.rate_strength, s.rate_target, net.readout.weight.detach())


def _make_hybrid(net: BimNet, s: TrainSettings) -> Hybrid | None:
    if s.rule not in ("hybrid", "stdp"):
        return None
    window = StdpSettings(pairing=s.pairing)
    if s.rule == "stdp":
        return Hybrid(net, s.batch, 0.0, window, s.kappa or None, hidden_gradient=False)
    return Hybrid(net, s.batch, s.lam, window, s.kappa or None)


def _updates_per_sequence(settings: TrainSettings, labelled: list[bool]) -> int:
    if settings.rule in ("bptt", "seq"):
        return 1
    if settings.rule in ("tr", "blk"):
        return math.ceil(len(labelled) / settings.block)
    return sum(labelled)
