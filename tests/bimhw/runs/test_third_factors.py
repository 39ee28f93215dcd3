"""Third factors that the host makes of an answer."""

from __future__ import annotations

from types import SimpleNamespace as Some
from typing import Any

import numpy as np
import pytest

from bimhw.runs.third_factors import Answer, Factors, signs
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.product_hook import sent_in
from simulator.plasticity.rules.rule_file import FactorText
from simulator.plasticity.words.counts import LearnCounts
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain


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


def simulated(model: str, params: dict[str, int], weights: np.ndarray[Any, Any]) -> Simulation:
    inputs, neurons = weights.shape
    filled = {name: np.full(neurons, value, np.int32) for name, value in params.items()}
    silent = {"bias": np.zeros(5, np.int32), "vth": np.ones(5, np.int32), "v_reset": np.zeros(5, np.int32)}
    populations = (
        Population("a", "input", inputs, role="input"), Population("b", model, neurons, filled),
        Population("readout", "if", 5, silent | {"soft": np.ones(5, np.int32)}),
    )  # fmt: skip
    synapses = Projection("a-b", "a", "b", "in", *dense_to_csr(weights.T.astype(np.int8)), 0, 1)
    return Simulation(
        Program("", "", populations, (synapses,), np.array([HOST] * inputs + [0] * (neurons + 5), np.int32))
    )


def made(simulation: Simulation, of: Any, steps: int, answer: Answer | None) -> list[Any]:
    """Return a third factor of the neurons in each step."""
    rule = Some(factors={1: FactorText(of=of)})
    synapses: Any = Some(rule=rule, raw={}, counts=LearnCounts(2), target=simulation.layout.cells[1])
    synapses.synapses = Some(target=1)
    factors, out = Factors(simulation, [synapses], "readout", 3), []

    def hook(_: Simulation) -> None:
        factors.make(answer)
        out.append(synapses.raw[1])

    simulation.step_hooks.append(hook)
    rng = np.random.default_rng(1)
    simulation.advance(SpikeTrain.from_dense((rng.random((steps, 4)) < 0.5).astype(np.int32)), steps)
    return out


def test_the_slope_follows_the_raised_threshold() -> None:
    """The neuron again in plain integers: the slope is around the threshold that its potential was held against."""
    weights = np.random.default_rng(0).integers(5, 60, (4, 3))
    params = {"dv": 512, "da": 128, "bias": 0, "vth": 100, "v_reset": 0, "jump": 40, "soft": 1, "wait": 0}
    found = made(simulated("adaptive_lif", params, weights), "slope", 40, None)
    x = (np.random.default_rng(1).random((40, 4)) < 0.5).astype(int)
    v, a, raised = [0] * 3, [0] * 3, 0
    for t in range(40):
        for i in range(3):
            a[i] = a[i] * (4096 - 128) // 4096
            v[i] = int(v[i] * (4096 - 512) / 4096) + (2 * int(x[t - 1] @ weights[:, i]) if t else 0)
            assert found[t][i] == 127 * max(0, 100 - abs(v[i] - 100 - a[i])) // 100
            if v[i] >= 100 + a[i]:
                v[i], a[i], raised = v[i] - 100 - a[i], a[i] + 40, raised + 1
    assert raised > 5


def test_the_local_error_is_that_of_the_layers_own_signs() -> None:
    weights = np.random.default_rng(0).integers(20, 60, (4, 9))
    simulation = simulated("if", {"bias": 0, "vth": 150, "v_reset": 0, "soft": 1}, weights)
    sent: list[Any] = []
    simulation.step_hooks.append(lambda s: sent.append(sent_in(s, 4, 9).copy()))
    found, g = made(simulation, "local_error", 20, Answer(np.zeros(5), 2, True)), signs(3, 9, 5)
    for z, u in zip(sent, found, strict=True):
        p = np.exp(z @ g / 3)
        want = g @ (np.eye(5)[2] - p / p.sum()) * 127
        assert u.tolist() == np.clip(np.round(want), -127, 127).tolist()
    assert np.ptp(sent) > 0
