"""Use of each resource by each core of a mapped program."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mapping.patterned import PatternProjection, is_patterned, pattern_axons
from mapping.words import dense_bits, index_bits, neuron_bits, shared_bits
from simulator.base.arrays import I32, I64, Floats
from simulator.chips.chip import Chip
from simulator.chips.quantity import Quantity
from simulator.program.axons import axon_table
from simulator.program.graph import Projection
from simulator.program.program import Program
from simulator.program.shared import SharedProjection


@dataclass(frozen=True, eq=False)
class Resource:
    """Use of one resource.

    Attributes:
        name: ``neurons``, ``synapse_bytes``, ``state_bytes``, ``memory_bytes`` (both together, where they share a memory),
            ``in_axons``, ``out_axons`` or ``state_bytes_per_neuron``.
        used: int64 [cores], by core (one entry for quantities of the whole network).
        limit: of one core; ``None`` where it was never published.
        own: float64 [cores], limits of cores that differ; ``None`` where all are alike.
    """

    name: str
    used: I64
    limit: float | None
    own: Floats | None = None

    @property
    def limits(self) -> Floats:
        """Limit of each core, float64 [cores]; infinite where unknown."""
        return np.full(self.used.size, np.inf if self.limit is None else self.limit) if self.own is None else self.own

    @property
    def at(self) -> int:
        """The core that comes nearest to its limit, or the fullest one where none is known."""
        if self.own is None or not self.used.size:
            return int(self.used.argmax()) if self.used.size else 0
        return int((self.used / self.limits).argmax())

    @property
    def worst(self) -> int:
        """Use of that core."""
        return int(self.used[self.at]) if self.used.size else 0

    @property
    def limit_there(self) -> float | None:
        """Limit of that core."""
        limit = float(self.limits[self.at]) if self.used.size else self.limit
        return limit if limit is not None and np.isfinite(limit) else None

    @property
    def load(self) -> float | None:
        """Largest use over the limit."""
        return None if self.limit_there is None else self.worst / self.limit_there

    @property
    def over(self) -> bool:
        """True if a core is beyond its limit."""
        return bool((self.used > self.limits).any())


def usage(program: Program, chip: Chip, unlimited_axons: bool = True) -> tuple[Resource, ...]:
    """Use of each resource of the chip, by core.

    Args:
        program: mapped.
        chip: whose limits are told.
        unlimited_axons: count axons of a pattern even where the chip has no limit for them; else they are 0.
    """
    n_cores = int(program.core.max(initial=-1)) + 1
    on_chip = program.core >= 0
    if unlimited_axons or _limits_axons(chip) or not is_patterned(program):
        in_axons, fan_cores = _axons(program, n_cores)
    else:
        in_axons, fan_cores = np.zeros(n_cores, np.int64), np.zeros(program.n_neurons, np.int64)
    out_axons = np.bincount(program.core[on_chip], fan_cores[on_chip], minlength=n_cores).astype(np.int64)
    limits = chip.limits
    per_neuron = max((neuron_bits(p) for p in program.populations), default=0)
    synapses, states = synapse_bits(program, n_cores), state_bits(program, n_cores)
    joint = limits.memory_bytes_per_core
    found = (
        _resource("neurons", np.bincount(program.core[on_chip], minlength=n_cores), limits.neurons_per_core),
        _resource("synapse_bytes", _bytes(synapses), limits.synapse_bytes_per_core),
        _resource("state_bytes", _bytes(states), limits.state_bytes_per_core),
        *(() if joint is None else (_resource("memory_bytes", _bytes(synapses + states), joint),)),
        _resource("in_axons", in_axons, limits.in_axons_per_core),
        _resource("out_axons", out_axons, limits.out_axons_per_core),
        _resource("state_bytes_per_neuron", _bytes(np.array([per_neuron])), limits.state_bytes_per_neuron),
    )
    return tuple(_with_own(r, chip) for r in found) if chip.core_limits else found


def _limits_axons(chip: Chip) -> bool:
    limits = chip.limits
    own = any("axons" in name for core in chip.core_limits.values() for name in core)
    return own or limits.in_axons_per_core.value is not None or limits.out_axons_per_core.value is not None


def _axons(program: Program, n_cores: int) -> tuple[I64, I64]:
    """Return (axons into each core, destination cores of each neuron)."""
    if is_patterned(program):
        return pattern_axons(program)
    axons = axon_table(program)
    return np.bincount(axons.dst, minlength=n_cores), axons.fan_cores


def core_limits(chip: Chip, name: str, n_cores: int) -> Floats:
    """Return a limit of every core, float64 [n_cores]; infinite where unknown, and for numbers that the chip does not have."""
    if not chip.core_limits:
        limit = chip.limit_of(name, 0)
        there = np.arange(n_cores) < chip.topology.mesh_cores
        return np.where(there, np.inf if limit is None else limit, np.inf)
    values = [chip.limit_of(name, c) for c in range(min(n_cores, chip.topology.mesh_cores))]
    known = [np.inf if v is None else v for v in values]
    return np.array(known + [np.inf] * (n_cores - len(known)))


def _with_own(r: Resource, chip: Chip) -> Resource:
    name = f"{r.name}_per_core"
    if not any(name in limits for limits in chip.core_limits.values()):
        return r
    return replace(r, own=core_limits(chip, name, r.used.size))


def _resource(name: str, used: I64, limit: Quantity) -> Resource:
    return Resource(name, used, limit.value)


def _bytes(bits: I64) -> I64:
    return (bits + 7) // 8


def synapse_bits(program: Program, n_cores: int) -> I64:
    """Return the synapse memory of each core in bits."""
    total = np.zeros(n_cores, np.int64)
    first = program.first_ids()
    for q in program.projections:
        core = program.core[first[q.target] : first[q.target] + program.population(q.target).size]
        total += _projection_bits(q, core, n_cores)
    return total


def _projection_bits(q: Projection, core: I32, n_cores: int) -> I64:
    if q.layout == "dense":
        on_core = np.bincount(core, minlength=n_cores)
        return np.asarray(dense_bits(q.indptr.size - 1, 1, q.weight_bits) * on_core, np.int64)
    synapses = q.synapses_on(core, n_cores)
    if q.layout == "conv":
        if isinstance(q, PatternProjection | SharedProjection) and q.channel_words:
            return q.channels_on(core, n_cores) * q.channel_words * q.weight_bits
        # each core that holds a part of the feature map holds the whole kernel
        return np.asarray((synapses > 0) * q.shared_words * q.weight_bits, np.int64)
    return np.asarray(synapses * (q.weight_bits + index_bits(core.size)), np.int64)


def state_bits(program: Program, n_cores: int) -> I64:
    """State memory of each core in bits: words of its neurons, and shared words once for each population present."""
    total = np.zeros(n_cores, np.int64)
    first = program.first_ids()
    for p in program.populations:
        core = program.core[first[p.name] : first[p.name] + p.size]
        on_core = np.bincount(core[core >= 0], minlength=n_cores)
        total += on_core * neuron_bits(p) + (on_core > 0) * shared_bits(p)
    return total
