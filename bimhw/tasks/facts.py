"""Figures of data: what `bimhw data check` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bimhw.tasks.base import Split, Task

Figures = dict[str, Any]

if TYPE_CHECKING:
    from bimhw.tasks.sources.text import Corpus


def task_facts(task: Task) -> Figures:
    """Return sizes, labels and facts of a task."""
    return {
        "steps": task.steps,
        "channels": task.n_in,
        "classes": task.n_classes,
        "train sequences": len(task.train),
        "test sequences": len(task.test),
        "train labels": _counts(task.train, task.n_classes),
        "test labels": _counts(task.test, task.n_classes),
        **task.facts,
        **({"not judged": task.unjudged} if task.unjudged else {}),
    }


def _counts(split: Split, n_classes: int) -> str:
    counts = split.y.sum(0) if split.y.ndim == 2 else np.bincount(split.y, minlength=n_classes)
    return " ".join(str(n) for n in counts)


def corpus_facts(corpus: Corpus) -> Figures:
    """Return sizes of a text."""
    parts = {f"{n} tokens": len(getattr(corpus, n)) for n in ("train", "validation", "test")}
    characters = round(len(corpus.test) * corpus.characters_per_token)
    return {"symbols": len(corpus.symbols), **parts, "test characters": characters, "note": corpus.comparable}
