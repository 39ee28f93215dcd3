"""Calibration: the float network runs on data, and the range of every word and every neuron's firing rate is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mapping.float_run import run_float
from mapping.network import Network
from simulator.graph import INPUT_MODEL, Population

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a float run showed.

    Attributes:
        largest: (population, word) -> largest absolute value; words are states, ports' values and intermediates.
        rates: population -> messages a step of each neuron, float64 [n].
        samples: number of samples run.
        source: where they came from, for people.
    """

    largest: Mapping[tuple[str, str], float]
    rates: Mapping[str, Floats]
    samples: int
    source: str

    def of(self, population: str, *words: str) -> float:
        """Largest absolute value over these words."""
        return max(self.largest.get((population, w), 0.0) for w in words)


def chip_steps(network: Network, sample_steps: int) -> int:
    """Chip steps of a sample: the deepest layer sees the last input that many steps later."""
    return sample_steps + max(p.layer for p in network.populations)


def calibrate(network: Network, inputs: Mapping[str, Floats], source: str) -> Calibration:
    """Run a float network on input values [samples, steps, n] of each input population."""
    samples, steps = next(iter(inputs.values())).shape[:2]
    largest: dict[tuple[str, str], float] = {}
    sent: dict[str, Floats] = {p.name: np.zeros(p.size) for p in network.populations}

    def observe(step: int, population: Population, acc: Any, state: Mapping[str, Floats], out: Floats) -> None:
        for word, value in (*acc.items(), *state.items()):  # a state of a port's name holds the port with its bias
            key = population.name, word
            largest[key] = max(largest.get(key, 0.0), float(np.abs(value).max()))
        sent[population.name] += (out != 0).sum(axis=0)

    total = chip_steps(network, steps)
    run_float(network, inputs, total, observe)
    for p in network.populations:
        if p.model == INPUT_MODEL:
            sent[p.name] = (inputs[p.name] != 0).sum(axis=(0, 1)).astype(np.float64)
    rates = {name: count / (samples * steps) for name, count in sent.items()}
    return Calibration(largest, rates, samples, source)
