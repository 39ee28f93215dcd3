"""How many bits the words of a network take on a core.

A dense projection stores its full matrix; a sparse one stores each synapse with its target's index; convolution weights
are stored once on chips with shared kernels. A parameter that is the same for a whole population is a configuration
word shared by the core, one that differs is a word of each neuron.
"""

from __future__ import annotations

import numpy as np

from simulator.graph import INPUT_MODEL, Population
from simulator.neurons.base import get

ACCUMULATOR_BITS = 24
TABLE_WORD_BITS = 16


def index_bits(n_target: int) -> int:
    """Bits of a target index."""
    return max(1, int(n_target - 1).bit_length())


def dense_bits(n_source: int, n_target: int, weight_bits: int) -> int:
    """Synapse memory of a full matrix."""
    return n_source * n_target * weight_bits


def sparse_bits(n_synapses: int, n_target: int, weight_bits: int) -> int:
    """Synapse memory of a list of (target, weight)."""
    return n_synapses * (weight_bits + index_bits(n_target))


def neuron_bits(population: Population) -> int:
    """State bits of one neuron: states, port accumulators, and the parameters that differ from neuron to neuron."""
    if population.model == INPUT_MODEL:
        return 0
    model = get(population.model)
    own = sum(w.bits for w in model.params if w.name in population.params and population.params[w.name].ndim)
    return sum(w.bits for w in model.states) + ACCUMULATOR_BITS * len(model.ports) + own


def shared_bits(population: Population) -> int:
    """Bits that each core holding neurons of this population stores once: shared parameters and tables."""
    if population.model == INPUT_MODEL:
        return 0
    model = get(population.model)
    words = sum(w.bits for w in model.params if w.name in population.params and not population.params[w.name].ndim)
    return words + TABLE_WORD_BITS * sum(int(np.size(t)) for t in population.tables.values())
