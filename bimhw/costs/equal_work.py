"""Energies on equal terms: per sample, per step (a token of a language model is one step), per weight update, per point of
accuracy reached."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


def equal_work(
    rows: Sequence[Mapping[str, Any]], steps: float, labelled_steps: int, accuracy: float | None
) -> list[dict[str, Any]]:
    """Rows of `bimhw.costs.compare.Energy.compare`, divided.

    Args:
        rows: energies per sample [uJ], with ``who`` and ``what``.
        steps: of a sample.
        labelled_steps: of a sample; an online rule updates at each, BPTT once for a batch of sequences.
        accuracy: reached in the run, 0..1, or None where it is unknown.
    """
    return [_row(r, steps, labelled_steps, accuracy) for r in rows]


def _row(row: Mapping[str, Any], steps: float, labelled_steps: int, accuracy: float | None) -> dict[str, Any]:
    energy, what = row["uj"], str(row["what"])
    updates = _updates_per_sample(what, labelled_steps)
    return {
        "who": row["who"],
        "what": what,
        "uj_per_sample": energy,
        "uj_per_step": energy / steps if steps else None,
        "uj_per_update": energy / updates if updates else None,
        "uj_per_accuracy_percent": energy / (100 * accuracy) if accuracy else None,
    }


def _updates_per_sample(what: str, labelled_steps: int) -> float:
    if "learning" not in what and "training" not in what:
        return 0.0
    batch = re.search(r"batch (\d+)", what)
    sequences = int(batch.group(1)) if batch else 1
    return (1.0 if "BPTT" in what else float(labelled_steps)) / sequences
