"""Compare two runs of one network: values sent, states, where they first part, and how far they are apart over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.base.arrays import I64, Bools, Floats
from simulator.base.shown import Shown


@dataclass(frozen=True)
class Divergence:
    """The first step at which two runs differ, and its first neuron.

    Attributes:
        step: chip step.
        population: name.
        neuron: index within the population.
        ours, theirs: what the two sent.
        cause: for people.
    """

    step: int
    population: str
    neuron: int
    ours: float
    theirs: float
    cause: str


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Shown):
    """Distance of two runs.

    Attributes:
        against: the other simulator.
        stage: float or integer.
        steps: chip steps compared.
        events: values other than 0 that ours sent.
        differ: (population, neuron, step) triples at which the values sent differ.
        differ_by_step: int64 [T].
        state_error: (population, state) -> largest absolute difference.
        tolerance: largest state error that passes; None where states are reported only.
        first: where they first part, or None.
    """

    against: str
    stage: str
    steps: int
    events: int
    differ: int
    differ_by_step: I64
    state_error: Mapping[tuple[str, str], float]
    tolerance: float | None
    first: Divergence | None

    @property
    def max_state_error(self) -> float:
        """Largest absolute difference of any state; 0 where none was compared."""
        return max(self.state_error.values(), default=0.0)

    @property
    def equal(self) -> bool:
        """True if every value sent is the same and every state within the tolerance."""
        return self.differ == 0 and (self.tolerance is None or self.max_state_error <= self.tolerance)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "against": self.against,
            "stage": self.stage,
            "steps": self.steps,
            "events": self.events,
            "differ": self.differ,
            "differ_by_step": self.differ_by_step.tolist(),
            "state_error": {f"{p}.{s}": e for (p, s), e in self.state_error.items()},
            "max_state_error": self.max_state_error,
            "tolerance": self.tolerance,
            "equal": self.equal,
            "first": None if self.first is None else self.first.__dict__,
        }


def compare(
    ours: Mapping[str, Floats],
    theirs: Mapping[str, Floats],
    states: Mapping[tuple[str, str], tuple[Floats, Floats]],
    *,
    against: str,
    stage: str,
    tolerance: float | None,
    spike_tolerance: float = 0.0,
) -> Comparison:
    """Compare what populations sent ([T, n] each, by name) and pairs of states.

    Args:
        ours: values sent, by population.
        theirs: the same of the other simulator.
        states: (population, state) -> (ours, theirs), each [T, n].
        against: the other simulator's name.
        stage: float or integer.
        tolerance: largest state error that passes, or None to report only.
        spike_tolerance: largest difference between graded values that counts as equal.
    """
    steps = len(next(iter(ours.values())))
    wrong = {n: np.abs(ours[n] - theirs[n]) > spike_tolerance for n in ours}
    by_step = np.sum([w.sum(axis=1) for w in wrong.values()], axis=0).astype(np.int64)
    errors = {key: float(np.abs(a - b).max(initial=0.0)) for key, (a, b) in states.items()}
    return Comparison(
        against,
        stage,
        steps,
        int(sum((v != 0).sum() for v in ours.values())),
        int(by_step.sum()),
        by_step,
        errors,
        tolerance,
        _first(ours, theirs, wrong, states),
    )


def _first(
    ours: Mapping[str, Floats],
    theirs: Mapping[str, Floats],
    wrong: Mapping[str, Bools],
    states: Mapping[tuple[str, str], tuple[Floats, Floats]],
) -> Divergence | None:
    firsts = {n: int(w.any(axis=1).argmax()) for n, w in wrong.items() if w.any()}
    if not firsts:
        return None
    name = min(firsts, key=lambda n: firsts[n])
    step = firsts[name]
    neuron = int(wrong[name][step].argmax())
    apart = [
        f"{s} {float(a[step - 1, neuron]):.9g} and {float(b[step - 1, neuron]):.9g}"
        for (n, s), (a, b) in states.items()
        if n == name and step > 0
    ]
    cause = "the states before the step were " + ", ".join(apart) if apart else "states were not compared"
    return Divergence(step, name, neuron, float(ours[name][step, neuron]), float(theirs[name][step, neuron]), cause)
