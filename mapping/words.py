"""How many bits the words of a network take on a core.

A dense projection stores its full matrix; a sparse one stores each synapse with its target's index; convolution weights
are stored once on each core that needs them, on chips with shared kernels, and as sparse synapses elsewhere. A parameter
that is the same for a whole population is a configuration word shared by the core, one that differs is a word of each
neuron.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapping.network import Network
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.neurons.base import get
from simulator.program.graph import Population

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


def stored_for(network: Network, chip: Chip) -> Network:
    """The network as the chip stores it: where it cannot share kernels, convolutions are lists of synapses."""
    if chip.capabilities.shared_kernels or not any(q.layout == "conv" for q in network.projections):
        return network
    plain = tuple(replace(q, layout="sparse", shared_words=0) if q.layout == "conv" else q for q in network.projections)
    return replace(network, projections=plain)


def kernel_bits(network: Network, target: str = "") -> int:
    """Kernel words of the convolutions onto a population, or onto all."""
    own = [q for q in network.projections if q.layout == "conv" and target in ("", q.target)]
    return sum(q.shared_words * q.weight_bits for q in own)


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
