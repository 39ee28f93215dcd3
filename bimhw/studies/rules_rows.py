"""Rows of `bimhw rules`, one for a rule with one seed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from energy_models.spread import UNKNOWN
from simulator.base.shown import Shown


class RuleRow(Shown, msgspec.Struct, frozen=True):
    """One rule with one seed.

    Attributes:
        rule: name.
        seed: of weights, order and rounding.
        accuracy: on the test samples after each epoch, or every so many samples; of a stream on as many training samples as come
            next, before they are learnt, and at its end on the test samples.
        scored_at: training samples seen at each of them.
        energy_uj: of a sample while it is learnt, without what `not_priced` names; None: no operation of learning has an energy.
        latency_us: of a sample while it is learnt; None on a chip without times.
        memory_bytes: learning words over all cores.
        bits_per_synapse: of them, over the plastic and the other stored synapses.
        packets: of a sample while it is learnt.
        samples_to_level: training samples up to the first score that reached the level; None: none did.
        energy_to_level_mj, time_to_level_ms: of these samples.
        stream: the task is a stream, see `accuracy`.
        metric: what `accuracy` is: ``auc``: area under the ROC curve, of a task that is judged by it.
        not_priced: operations that happened and whose energy the chip file does not have.
        energy_low_uj, energy_high_uj, word: range of the energy, and how far it can be trusted (docs/energy.md).
        latency_low_us, latency_high_us, time_word: the same of the time.
    """

    rule: str
    seed: int
    accuracy: tuple[float, ...]
    scored_at: tuple[int, ...]
    energy_uj: float | None
    latency_us: float | None
    memory_bytes: int
    bits_per_synapse: float
    packets: float
    samples_to_level: int | None
    energy_to_level_mj: float | None
    time_to_level_ms: float | None
    stream: bool = False
    metric: str = "accuracy"
    not_priced: tuple[str, ...] = ()
    energy_low_uj: float | None = None
    energy_high_uj: float | None = None
    word: str = UNKNOWN
    latency_low_us: float | None = None
    latency_high_us: float | None = None
    time_word: str = UNKNOWN

    @property
    def figure(self) -> str:
        """Name of what `accuracy` is."""
        return "AUC-ROC" if self.metric == "auc" else "accuracy"


def pareto(rows: Sequence[RuleRow]) -> list[RuleRow]:
    """Return the rows that no other beats in both last accuracy and energy a sample, by energy; none without an energy."""
    out: list[RuleRow] = []
    priced = ((row.energy_uj, -row.accuracy[-1], row) for row in rows if row.energy_uj is not None)
    for *_, row in sorted(priced, key=lambda each: each[:2]):
        if not out or row.accuracy[-1] > out[-1].accuracy[-1]:
            out.append(row)
    return out
