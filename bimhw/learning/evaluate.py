"""Accuracy and spike rate of a network on a split, in batches, without gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bimhw.models.nets import Net
from bimhw.tasks.base import Split, Task
from bimhw.tasks.metrics import decisions
from simulator.base.arrays import F32, I64

_BATCH = 512


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result on a split.

    Attributes:
        accuracy: right decisions / decisions; with several labels a sequence, each of them is one.
        loss: mean cross-entropy over the labelled steps (and labels), nats.
        rates: spikes per neuron and step of each layer.
        predictions: the decided classes [n], or labels [n, C].
        scores: mean logits over the deciding steps [n, C].
    """

    accuracy: float
    loss: float
    rates: tuple[float, ...]
    predictions: I64
    scores: F32


def inputs(split: Split, task: Task, like: Tensor) -> Tensor:
    """Return float inputs [T, n, M] of a split in the type of ``like``."""
    x = torch.from_numpy(np.ascontiguousarray(split.x.transpose(1, 0, 2)))
    return x.to(like) * task.input_scale


def labelled_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits [S, B, C] with classes y [B], or of each label by itself, y [B, C]."""
    if y.ndim == 2:
        return functional.binary_cross_entropy_with_logits(logits, y.to(logits).expand_as(logits))
    return functional.cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)))


@torch.no_grad()
def evaluate(net: Net, task: Task, split: Split | None = None) -> Evaluation:
    """Evaluate on a split (default: the task's test split); neurons that fire at random draw with seed 0."""
    split = split or task.test
    like = next(net.parameters())
    loss_steps, decision = torch.from_numpy(task.loss_steps), torch.from_numpy(task.decision_steps)
    scores, losses, spikes = [], 0.0, np.zeros(net.config.n_layers)
    for start in range(0, len(split), _BATCH):
        part = split.take(slice(start, start + _BATCH))
        run = net.run_samples(inputs(part, task, like), start)
        y = torch.from_numpy(part.y).to(like.device)
        if y.ndim == 2:
            losses += len(y) * float(labelled_loss(run.logits[loss_steps], y))
        else:
            log_p = torch.log_softmax(run.logits[loss_steps], -1)
            losses -= float(log_p[:, torch.arange(len(y), device=y.device), y].mean(0).sum())
        scores.append(run.logits[decision].mean(0).float().cpu().numpy())
        spikes += [float(s.mean()) * len(y) for s in run.spikes]
    found = np.concatenate(scores)
    predictions = decisions(found, split.y)
    rates = tuple(float(r) for r in spikes / len(split))
    return Evaluation(float((predictions == split.y).mean()), losses / len(split), rates, predictions, found)
