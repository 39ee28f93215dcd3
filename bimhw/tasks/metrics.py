"""Figures of merit: accuracy, areas under the ROC and precision-recall curves, word error rate.

Perplexity and bits per character are in `bimhw.tasks.sources.text.language_metrics`: both from one sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bimhw.tasks.base import Task
from bimhw.tasks.checks import check_finite, extra
from simulator.base.arrays import I64, AnyFloats, AnyInts, Bools
from simulator.base.errors import InputError

Labels = AnyInts


@dataclass(frozen=True)
class WordErrors:
    """Counts over a whole test set: WER = (S + D + I) / N, summed over the utterances, not averaged."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def rate(self) -> float:
        """(S + D + I) / N; above 1 where more was inserted than was said."""
        return (self.substitutions + self.deletions + self.insertions) / self.words


def accuracy(scores: AnyFloats, labels: Labels) -> float:
    """Share of samples whose highest score [N, C] is at their label [N]."""
    _check(scores, labels)
    return float((scores.argmax(-1) == labels).mean())


def auc_roc(scores: AnyFloats, labels: Labels) -> float:
    """Return the area under the ROC curve; `labels` [N] in {0, 1} with `scores` [N], or multi-label [N, C]: the macro mean.

    Raises:
        InputError: only one class is there.
    """
    from sklearn.metrics import roc_auc_score

    _check(scores, labels)
    _check_both_classes(labels)
    return float(roc_auc_score(labels, scores, average="macro"))


def auc_pr(scores: AnyFloats, labels: Labels) -> float:
    """Return the area under the precision-recall curve as average precision (no interpolation); macro mean for [N, C]."""
    from sklearn.metrics import average_precision_score

    _check(scores, labels)
    _check_both_classes(labels)
    return float(average_precision_score(labels, scores, average="macro"))


def areas(metric: str, scores: AnyFloats, labels: Labels) -> dict[str, float]:
    """Return ``auc_roc`` and ``auc_pr`` of a task judged by them (`bimhw.tasks.base.Task`), of any other nothing.

    Args:
        metric: of the task.
        scores: mean logits [n, C].
        labels: classes [n] of ``auc``, 0 or 1 of each label [n, C] of ``macro_auc``.

    Raises:
        InputError: a label that all samples have, or none.
    """
    if metric not in ("auc", "macro_auc"):
        return {}
    margin = scores[:, 1] - scores[:, 0] if metric == "auc" else scores
    return {"auc_roc": auc_roc(margin, labels), "auc_pr": auc_pr(margin, labels)}


DETECTIONS = ("sensitivity", "specificity", "event_sensitivity", "false_alarms_per_hour")


def detections(found: Labels, labels: Labels, window_s: float) -> dict[str, float]:
    """Return `DETECTIONS` of windows in the order of time: shares of windows, then events.

    An event is a run of windows of class 1; it is found where one of them is decided so. A run of decisions for class 1 without
    an event's window in it is a false alarm; hours are those of the windows.

    Args:
        found: decided classes [n].
        labels: classes [n].
        window_s: seconds of a window.
    """
    events, alarms = _runs(labels == 1), _runs(found == 1)
    seen = sum(bool((found[event] == 1).any()) for event in events)
    false = sum(not (labels[alarm] == 1).any() for alarm in alarms)
    shares = [float((found[labels == c] == c).mean()) if (labels == c).any() else float("nan") for c in (1, 0)]
    figures = (*shares, seen / max(len(events), 1), false / (len(labels) * window_s / 3600))
    return dict(zip(DETECTIONS, figures, strict=True))


def _runs(on: Bools) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def figures_of(task: Task, scores: AnyFloats) -> dict[str, float]:
    """Return the `areas` of a task's test split from mean logits [n, C], and its `detections` where it is in order of time."""
    found = areas(task.metric, scores, task.test.y)
    return found | (detections(decisions(scores, task.test.y), task.test.y, task.window_s) if task.window_s else {})


def decisions(scores: AnyFloats, labels: Labels) -> I64:
    """Return the classes [n] of scores [n, C]; of several labels [n, C] 1 where a score is above 0."""
    return np.asarray(scores > 0 if labels.ndim == 2 else scores.argmax(-1), np.int64)


def word_errors(truth: Sequence[str], found: Sequence[str]) -> WordErrors:
    """Align word strings and count the errors (jiwer).

    Raises:
        InputError: different counts of utterances, or no word.
        MissingExtraError: jiwer is not installed.
    """
    if len(truth) != len(found) or not any(t.split() for t in truth):
        raise InputError(
            "word error rate",
            f"{len(truth)} transcripts and {len(found)} results",
            "One result for each, with words in them",
        )
    done = extra("jiwer", "the word error rate").process_words(list(truth), list(found))
    return WordErrors(done.substitutions, done.deletions, done.insertions, sum(len(t.split()) for t in truth))


def _check(scores: AnyFloats, labels: Labels) -> None:
    if len(scores) != len(labels) or len(labels) == 0:
        raise InputError("metric", f"{len(scores)} scores for {len(labels)} labels", "One score for each label")
    check_finite(scores, "scores of the model")


def _check_both_classes(labels: Labels) -> None:
    columns = labels.reshape(len(labels), -1)
    for c in range(columns.shape[1]):
        if len(np.unique(columns[:, c])) < 2:
            raise InputError(
                "area under the curve",
                f"class column {c} has only the label {int(columns[0, c])}",
                "The split needs samples with and without it",
            )
