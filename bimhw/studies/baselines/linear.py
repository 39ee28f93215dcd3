"""Logistic regression on all steps and channels side by side: the least that a network must be better than."""

from __future__ import annotations

import time

import numpy as np

from bimhw.studies.baselines.figures import Figures
from bimhw.tasks.base import Split, Task
from bimhw.tasks.metrics import decisions, figures_of
from simulator.base.arrays import I64, Floats

_STRENGTHS = (0.001, 0.01, 0.1)  # C, the inverse of the regularisation


def fit_linear(task: Task, tuned: bool = True) -> Figures:
    """Fit a logistic regression and judge it on the test split; of several labels one each.

    Args:
        task: the data.
        tuned: C from the validation part, judged by the accuracy; else the middle one of those that are tried.

    Returns:
        Accuracy and areas (where the test split can judge), parameters, seconds.
    """
    start = time.perf_counter()
    strength = _STRENGTHS[1]
    if tuned:
        inner = task.for_tuning()
        strength = max(_STRENGTHS, key=lambda c: _accuracy(_scores(inner, c), inner.test.y))
    scores = _scores(task, strength)
    size = task.steps * task.n_in + 1
    figures = Figures(
        parameters=size * (1 if task.n_classes == 2 and not task.several else task.n_classes),
        seconds=time.perf_counter() - start,
    )
    if task.unjudged:
        return figures
    return figures.judged(_accuracy(scores, task.test.y), figures_of(task, scores))


def _scores(task: Task, strength: float) -> Floats:
    """Fit on the training split; return scores [n, C] of the test split, highest for the class that is chosen."""
    if task.several:
        return np.stack([_margins(task, task.train.y[:, k], strength)[:, 1] for k in range(task.n_classes)], 1)
    found = np.full((len(task.test), task.n_classes), -np.inf)
    found[:, np.unique(task.train.y)] = _margins(task, task.train.y, strength)
    return found


def _margins(task: Task, y: I64, strength: float) -> Floats:
    """Return decision values [n, labels in y], of two labels of opposite sign; a label without another decides always."""
    from sklearn.linear_model import LogisticRegression

    labels = np.unique(y)
    if len(labels) < 2:
        sure = np.ones((len(task.test), 1))
        return np.concatenate([-sure, sure if labels[0] else -sure], 1) if task.several else sure
    model = LogisticRegression(C=strength, max_iter=2000).fit(_flat(task, task.train), y)
    values = model.decision_function(_flat(task, task.test))
    both = values if values.ndim == 2 else np.stack([-values, values], 1)
    return np.asarray(both, np.float64)


def _flat(task: Task, split: Split) -> Floats:
    return np.asarray(split.x.reshape(len(split), -1) * task.input_scale, np.float64)


def _accuracy(scores: Floats, y: I64) -> float:
    return float((decisions(scores, y) == y).mean())
