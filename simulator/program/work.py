"""Work of one neuron update on a programmable core: arithmetic, state words, and the parameters of each neuron's own."""

from __future__ import annotations

import numpy as np

from simulator.neurons import base
from simulator.program.graph import Population


def parameter_reads(population: Population) -> int:
    """Return how many parameter words an update reads from memory: those that differ between the neurons.

    A parameter with one value for all neurons is a constant of the neuron's program.
    """
    return sum(bool(np.ptp(np.asarray(value))) for value in population.params.values() if np.size(value) > 1)


def operations(population: Population) -> int:
    """Return the operations of one update: multiplications, additions, look-ups, words read and written."""
    ops = base.get(population.model).ops
    return ops.mul + ops.add + ops.lut + ops.state_read + ops.state_write + parameter_reads(population)
