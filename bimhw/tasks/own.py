"""Samples of one's own where a task's name would do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bimhw.tasks.dataset import Dataset, as_dataset

OwnSamples = Dataset | Path | Iterable[object]  # what `Dataset.open` reads


def own_samples(given: object) -> Dataset | None:
    """Return samples given as a `Dataset`, a `Path` or an object of torch or tonic; None for a task or its name."""
    if isinstance(given, str):
        return None
    read = isinstance(given, Dataset | Path) or hasattr(given, "__getitem__") or hasattr(given, "__iter__")
    return as_dataset(given) if read else None
