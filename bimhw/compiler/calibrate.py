"""Calibration: the float network runs on data, and the range of every word and every neuron's firing rate is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mapping.float_run import run_float
from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.names import INPUT_MODEL
from simulator.program.graph import Population


@dataclass(frozen=True, eq=False)
class Drive:
    """Values that the neurons of a population send in a step, over samples and steps: mean and variance, float64 [n]."""

    mean: Floats
    variance: Floats

    def over(self, scale: float) -> Drive:
        """Return the drive in units of `scale`."""
        return Drive(self.mean / scale, self.variance / scale**2)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Result of a float run.

    Attributes:
        largest: (population, word) -> largest absolute value; words are states, ports' values and intermediates.
        rates: population -> messages a step of each neuron, float64 [n].
        samples: number of samples run.
        source: where they came from, for people.
        drives: population -> statistics of its values; empty where the samples were made up.
    """

    largest: Mapping[tuple[str, str], float]
    rates: Mapping[str, Floats]
    samples: int
    source: str
    drives: Mapping[str, Drive] = field(default_factory=dict)

    def of(self, population: str, *words: str) -> float:
        """Return the largest absolute value over these words."""
        return max(self.largest.get((population, w), 0.0) for w in words)


def chip_steps(network: Network, sample_steps: int) -> int:
    """Return the chip steps of a sample: the deepest layer sees the last input that many steps later."""
    return sample_steps + max(p.layer for p in network.populations)


def calibrate(network: Network, inputs: Mapping[str, Floats], source: str, real: bool = True) -> Calibration:
    """Run a float network on input values [samples, steps, n] of each input population; `real`: not made up."""
    samples, steps = next(iter(inputs.values())).shape[:2]
    largest: dict[tuple[str, str], float] = {}
    sent, sums, squares = ({p.name: np.zeros(p.size) for p in network.populations} for _ in range(3))

    def observe(step: int, population: Population, acc: Any, state: Mapping[str, Floats], out: Floats) -> None:
        for word, value in (*acc.items(), *state.items()):  # a state of a port's name holds the port with its bias
            key = population.name, word
            largest[key] = max(largest.get(key, 0.0), float(np.abs(value).max()))
        _add(population.name, out)

    def _add(name: str, values: Floats) -> None:  # [.., n]
        flat = values.reshape(-1, values.shape[-1])
        sent[name] += np.count_nonzero(flat, axis=0)
        sums[name] += flat.sum(axis=0)
        squares[name] += (flat * flat).sum(axis=0)

    total = chip_steps(network, steps)
    run_float(network, inputs, total, observe)
    for p in network.populations:
        if p.model == INPUT_MODEL:
            _add(p.name, inputs[p.name])
    slots = samples * steps
    rates = {name: count / slots for name, count in sent.items()}
    means = {name: total / slots for name, total in sums.items()}
    drives = {n: Drive(m, np.maximum(squares[n] / slots - m * m, 0.0)) for n, m in means.items()}
    return Calibration(largest, rates, samples, source, drives if real else {})
