"""Third factors that the host makes of an answer."""

from __future__ import annotations

from types import SimpleNamespace as Some
from typing import Any

import numpy as np
import pytest

from bimhw.runs.third_factors import Answer, Factors
from simulator.plasticity.rules.rule_file import FactorText


@pytest.mark.parametrize("of", ["reward", "surprise", "critic"])
def test_a_scalar_of_the_reward(of: Any) -> None:
    """The critic expects of each label its own mean, the surprise one of all."""
    synapses = Some(rule=Some(factors={1: FactorText(of=of)}), raw={}, counts=Some(add=lambda *_: None))
    synapses.synapses, synapses.target = Some(target=0), Some(name="hidden", size=3)
    simulation: Any = Some(layout=Some(cells=[Some(name="readout", size=2)]))
    factors, mean = Factors(simulation, [synapses], "readout", 0), {0: 0.0, 1: 0.0, "all": 0.0}  # type: ignore[list-item]
    rng = np.random.default_rng(0)
    for _ in range(300):
        label = int(rng.integers(2))
        right = bool(rng.random() < (0.9, 0.2)[label])
        factors.make(Answer(np.eye(2)[label if right else 1 - label], label, True))
        expected = {
            "reward": 1 if right else -1,
            "surprise": 64 * (right - mean["all"]),
            "critic": 64 * (right - mean[label]),
        }
        assert synapses.raw[1] == round(expected[of])
        for key in (label, "all"):
            mean[key] = 0.99 * mean[key] + 0.01 * right
    assert mean[0] > mean[1] + 0.3
