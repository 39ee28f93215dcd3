"""Several labels a sequence: losses, gradients, areas under curves, and who refuses them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bimhw.learning.forms.learner import softmax_error
from bimhw.learning.recipe import recipe
from bimhw.learning.stream import StreamTrainer
from bimhw.learning.train import train
from bimhw.runs.classes import with_classes
from bimhw.studies.baselines.fit import FitSettings, fit_task
from bimhw.tasks import Split, Task
from bimhw.tasks.metrics import areas, decisions
from bimhw.tasks.sources.sequences import Part, graded_task
from simulator.base.errors import InputError


def several(n: int = 60, labels: int = 3) -> Task:
    """Label k holds where channel k is high; each sequence has its own set of labels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (2 * n, labels))
    x = list(rng.normal(0, 0.5, (2 * n, 8, labels)) + 2 * y[:, None])
    return graded_task("several", Part(x[:n], y[:n]), Part(x[n:], y[n:]), labels, {}, metric="macro_auc")


def area_by_ranks(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """(R - n1 (n1 + 1) / 2) / (n1 n0), R the sum of the mid-ranks of the samples with the label (Mann and Whitney 1947)."""
    ranks = (scores[:, None] > scores).sum(1) + ((scores[:, None] == scores).sum(1) + 1) / 2
    n1 = labels.sum()
    return float((ranks[labels == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(labels) - n1)))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 2**31), st.booleans())
def test_the_macro_area_is_the_mean_of_areas_by_ranks(n: int, labels: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, (n, labels))
    y[0], y[1] = 0, 1
    scores = rng.integers(-2, 3, (n, labels)).astype(float) if ties else rng.normal(size=(n, labels))
    by_ranks = np.mean([area_by_ranks(scores[:, k], y[:, k]) for k in range(labels)])
    assert areas("macro_auc", scores, y)["auc_roc"] == pytest.approx(by_ranks, abs=1e-12)
    assert (decisions(scores, y) == (scores > 0)).all()


def test_the_error_is_the_gradient_of_the_binary_cross_entropy() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randint(0, 2, (4, 3))
    p = torch.sigmoid(logits)
    by_hand = -torch.where(y == 1, p.log(), (1 - p).log()).mean()
    (0.7 * by_hand).backward()  # type: ignore[no-untyped-call]
    loss, error = softmax_error(logits.detach(), y, 0.7)
    assert loss == pytest.approx(float(by_hand.detach()), abs=1e-14)
    torch.testing.assert_close(error, logits.grad, rtol=0, atol=1e-15)


def test_seq_and_bptt_take_the_same_step() -> None:
    task, weights = several(), []
    for rule in ("seq", "bptt", "rtrl"):
        one = replace(task, loss_steps=task.decision_steps & (np.arange(task.steps) == task.steps - 1))
        plan = recipe(one, rule=rule, hidden=8, epochs=1, batch=60, optimiser="sgd", lr=0.5)
        weights.append(train(one, plan.config, plan.settings).model.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(value, weights[2][name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"rule": "bptt"}, {"form": "seq"}, {"hidden": "12,8", "credit": "local"}])
def test_labels_are_learnt(options: dict[str, Any]) -> None:
    task = several()
    plan = recipe(task, seed=0, **({"hidden": 12, "epochs": 8, "batch": 10, "lr": 0.02} | options))
    facts = train(task, plan.config, plan.settings).summary()
    assert facts["auc_roc"] > 0.9 and facts["test_accuracy"] > 0.75 and 0 < facts["test_loss_nats"] < 0.7


def test_a_baseline_learns_them_too() -> None:
    found = fit_task("gru", several(), FitSettings(hidden=8, epochs=8, batch=10, lr=0.02))
    assert found.auc_roc is not None and found.auc_roc > 0.9 and found.accuracy is not None


def test_who_takes_one_class_says_so() -> None:
    task = several()
    plan = recipe(task, hidden=4)
    with pytest.raises(InputError, match="several labels a sequence, learning on the chip takes one"):
        with_classes(task)
    with pytest.raises(InputError, match="a stream takes one"):
        StreamTrainer(task, plan.config, plan.settings)
    with pytest.raises(InputError, match=r"needs \[n\], or \[n, 3\]"):
        replace(task, test=Split(task.test.x, task.test.y[:, :2]))
    with pytest.raises(InputError, match="label outside"):
        replace(task, test=Split(task.test.x, task.test.y + 1))
