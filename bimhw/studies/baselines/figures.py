"""Figures of one training run, of any model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of one run; None where a figure does not exist for it.

    Attributes:
        accuracy, auc_roc, auc_pr, bits_per_character, perplexity, word_error_rate: on the part it was judged on.
        sensitivity, specificity, event_sensitivity, false_alarms_per_hour: see `bimhw.tasks.metrics.detections`.
        rate: spikes per neuron and step (mean of layers).
        parameters: trained ones of the model.
        updates: of the weights.
        seen: sequences or symbols seen, with repetition.
        memory_words: learning state of one sequence (online) or what autograd keeps of one batch (BPTT).
        seconds: of training, on a machine that did other things too.
        device: where torch trained it; None: the CPU.
        not_judged: why the test part judges nothing; the figures are None then.
    """

    accuracy: float | None = None
    auc_roc: float | None = None
    auc_pr: float | None = None
    bits_per_character: float | None = None
    perplexity: float | None = None
    word_error_rate: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    event_sensitivity: float | None = None
    false_alarms_per_hour: float | None = None
    rate: float | None = None
    parameters: int | None = None
    updates: int | None = None
    seen: int | None = None
    memory_words: int | None = None
    seconds: float | None = None
    device: str | None = None
    not_judged: str | None = None

    def judged(self, accuracy: float, more: Mapping[str, Any]) -> Figures:
        """Return these figures with an accuracy and others of `bimhw.tasks.metrics.figures_of`."""
        return replace(self, accuracy=accuracy, **more)
