"""The mapping problem: a network, a chip, what neurons need and what cores have; stated once, read by every mapper.

Resources are four columns: neurons, bits of synapses, bits of states, bits of both together. A neuron needs its own row
of `need`; a core that holds any neuron of population p also stores the words of `shared` row p once: configuration words
that are equal for the population, look-up tables, and kernels of convolutions onto it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mapping.hypergraph import Hypergraph, axon_hypergraph
from mapping.network import Network
from mapping.patterned import PatternProjection
from mapping.placement import usable_cores
from mapping.propagation import order_by_clusters
from mapping.usage import core_limits
from mapping.words import dense_bits, index_bits, kernel_bits, neuron_bits, shared_bits, stored_for
from simulator.base.arrays import I32, I64, Floats
from simulator.base.names import INPUT_MODEL
from simulator.chips.chip import Chip
from simulator.program.graph import Population
from simulator.program.shared import SharedProjection

_CLUSTERS, _ORDER_SEED = 3, 0  # clusters of the first level in the room of an even core
Rates = Mapping[str, Floats]
NEEDS = ("neurons", "synapse bits", "state bits", "bits of synapses and states")
_ROOMS = ("neurons", "synapse_bytes", "state_bytes", "memory_bytes")


@dataclass(frozen=True, eq=False)
class MappingProblem:
    """A network to map to a chip.

    Attributes:
        network: integer stage, in the form in which the chip stores it (`mapping.words.stored_for`).
        chip: the target.
        rates: population -> messages a step of each neuron; all 1 where unknown.
        need: float64 [n, 4], resources of each neuron on the chip, in logical order.
        population: int32 [n], index of each neuron's population.
        shared: float64 [P, 4], what a core stores once for each population that it holds.
        cores: int32 [C], cores that work, ascending.
        rooms: float64 [C, 4], resources of each of them; infinite where the limit is unknown.
    """

    network: Network
    chip: Chip
    rates: Rates | None
    need: Floats
    population: I32
    shared: Floats
    cores: I32
    rooms: Floats

    @property
    def n(self) -> int:
        """Neurons on the chip."""
        return int(self.population.size)

    @cached_property
    def graph(self) -> Hypergraph:
        """The axons as a hypergraph, built when it is first asked for."""
        return axon_hypergraph(self.network, self.rates)

    @cached_property
    def order(self) -> I64:
        """Neurons on the chip ordered by clusters of clusters, those that share synapses near; for large networks."""
        return order_by_clusters(self.graph, self.n // (_CLUSTERS * max(1, min(self.n, self.cores.size))), _ORDER_SEED)


def make_problem(network: Network, chip: Chip, rates: Rates | None = None) -> MappingProblem:
    """State the problem of mapping an integer network to a chip.

    Args:
        network: integer stage.
        chip: limits, mesh and broken cores.
        rates: population -> messages a step of each neuron; all 1 where unknown.
    """
    network = stored_for(network, chip)
    on_chip = [k for k, p in enumerate(network.populations) if p.model != INPUT_MODEL]
    sizes = [network.populations[k].size for k in on_chip]
    cores = usable_cores(chip.topology)
    return MappingProblem(
        network=network,
        chip=chip,
        rates=rates,
        need=_need(network),
        population=np.repeat(np.array(on_chip, np.int32), sizes),
        shared=_shared(network),
        cores=cores,
        rooms=_rooms(chip, cores),
    )


def _need(network: Network) -> Floats:
    parts = []
    for p in network.populations:
        if p.model != INPUT_MODEL:
            synapses, state = _synapse_bits(network, p), float(neuron_bits(p))
            parts.append(np.stack([np.ones(p.size), synapses, np.full(p.size, state), synapses + state], axis=1))
    return np.concatenate(parts) if parts else np.zeros((0, 4))


def _shared(network: Network) -> Floats:
    rows = []
    for p in network.populations:
        kernels, words = float(kernel_bits(network, p.name)), float(shared_bits(p))
        rows.append([0.0, kernels, words, kernels + words])
    return np.array(rows, np.float64).reshape(-1, 4)


def channels_onto(network: Network, p: Population) -> tuple[int, Floats]:
    """Return (neurons of a channel, resources of the kernels that a channel brings to its core, float64 [4]).

    Kernels that a projection does not tell by channel are among the shared words of the population instead.
    """
    words = [
        q
        for q in network.projections
        if q.target == p.name and isinstance(q, PatternProjection | SharedProjection) and q.channel_words
    ]
    if not words or len(p.shape) < 2:
        return p.size, np.zeros(4)
    bits = float(sum(q.channel_words * q.weight_bits for q in words if q.layout == "conv"))
    return p.size // p.shape[0], np.array([0.0, bits, 0.0, bits])


def _rooms(chip: Chip, cores: I32) -> Floats:
    last = int(cores.max(initial=-1)) + 1
    neurons, synapses, state, memory = (core_limits(chip, f"{name}_per_core", last)[cores] for name in _ROOMS)
    return np.stack([neurons, 8 * np.floor(synapses), 8 * np.floor(state), 8 * np.floor(memory)], axis=1)  # whole bytes


def _synapse_bits(network: Network, p: Population) -> Floats:
    """Return the synapse memory that each neuron of a population brings to its core, in bits; kernels are not among it."""
    total = np.zeros(p.size)
    for q in network.projections:
        if q.target != p.name:
            continue
        if q.layout == "dense":
            total += dense_bits(q.indptr.size - 1, 1, q.weight_bits)
        elif q.layout != "conv":
            total += q.fan_in(p.size) * (q.weight_bits + index_bits(p.size))
    return total


def used_by_parts(problem: MappingProblem, part: I32, k: int) -> Floats:
    """Return the resources that each of K parts takes, shared words included; float64 [K, 4]."""
    used = np.zeros((k, 4))
    for r in range(4):
        used[:, r] = np.bincount(part, problem.need[:, r], minlength=k)
    pairs = np.unique(part.astype(np.int64) * max(1, problem.shared.shape[0]) + problem.population)
    np.add.at(used, pairs // problem.shared.shape[0], problem.shared[pairs % problem.shared.shape[0]])
    return used
