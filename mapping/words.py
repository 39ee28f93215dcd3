"""Bits that the words of a network take on a core.

A dense projection stores its full matrix; a sparse one stores each synapse with its target's index; convolution weights
are stored once on each core that needs them, on chips with shared kernels, and as sparse synapses elsewhere. A parameter
that is the same for a whole population is a configuration word shared by the core, one that differs is a word of each
neuron.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapping.network import Network
from simulator.base.arrays import AnyInts
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.neurons.base import get
from simulator.program.graph import Population, Projection

ACCUMULATOR_BITS = 24
TABLE_WORD_BITS = 16


def index_bits(n_target: int) -> int:
    """Return the bits of a target index."""
    return max(1, int(n_target - 1).bit_length())


def dense_bits(n_source: int, n_target: int, weight_bits: int) -> int:
    """Return the synapse memory of a full matrix."""
    return n_source * n_target * weight_bits


def sparse_bits(n_synapses: int, n_target: int, weight_bits: int) -> int:
    """Return the synapse memory of a list of (target, weight)."""
    return n_synapses * (weight_bits + index_bits(n_target))


def value_bits(weights: AnyInts) -> int:
    """Return the bits of the narrowest two's complement word that holds all values; 1 where they are all 1 or -1."""
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    if low >= -1 and high <= 1 and weights.all():
        return 1
    return 1 + max(high, -low - 1, 0).bit_length()


MOST_EXPONENT = 6


def narrowed(values: AnyInts) -> tuple[AnyInts, int]:
    """Return the narrowest stored weights and the exponent that give these values back: values = stored << exponent."""
    shared = int(np.bitwise_or.reduce(values)) if values.size else 0
    exponent = next((e for e in range(MOST_EXPONENT, 0, -1) if shared % (1 << e) == 0), 0)
    stored = values >> exponent
    low, high = int(stored.min(initial=0)), int(stored.max(initial=0))
    kind = next(k for k in (np.int8, np.int16, np.int32) if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return stored.astype(kind), exponent


def stored_bits(q: Projection, chip: Chip) -> int | None:
    """Return the width of the words in which a chip stores integer weights, or None where none is wide enough.

    It is the declared width where the chip has it, else the narrowest of the chip's widths that holds the values. Weights
    that learn keep their declared width, which bounds them.
    """
    allowed = chip.capabilities.weight_bits
    if q.weight_bits in allowed:
        return q.weight_bits
    if q.plastic or not np.issubdtype(q.weights.dtype, np.integer):
        return None
    need = value_bits(q.weights)
    return min((b for b in allowed if b >= need), default=None)


def stored_for(network: Network, chip: Chip) -> Network:
    """Return the network as the chip stores it: in its widths, and with lists of synapses where it shares no kernels."""
    stored = tuple(_stored(q, chip) for q in network.projections)
    if all(new is old for new, old in zip(stored, network.projections, strict=True)):
        return network
    return replace(network, projections=stored)


def _stored(q: Projection, chip: Chip) -> Projection:
    if q.layout == "conv" and not chip.capabilities.shared_kernels:
        q = replace(q, layout="sparse", shared_words=0)
    bits = stored_bits(q, chip)
    return q if bits in (None, q.weight_bits) else replace(q, weight_bits=bits)


def kernel_bits(network: Network, target: str = "") -> int:
    """Return the kernel words of the convolutions onto a population, or onto all."""
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
    """Return the bits that each core holding neurons of this population stores once: shared parameters and tables."""
    if population.model == INPUT_MODEL:
        return 0
    model = get(population.model)
    words = sum(w.bits for w in model.params if w.name in population.params and not population.params[w.name].ndim)
    return words + TABLE_WORD_BITS * sum(int(np.size(t)) for t in population.tables.values())
