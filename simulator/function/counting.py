"""Activity of a run, counted from its spikes: connectivity is fixed, so every counter is a weighted sum of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Bools
from simulator.base.errors import InputError
from simulator.chips.chip import Topology
from simulator.neurons import base
from simulator.program.activity import Activity, Count
from simulator.program.axons import AxonTable, axon_table
from simulator.program.chip import chip_of_program
from simulator.program.one_to_one import one_to_one
from simulator.program.program import Program
from simulator.program.shared import SharedProjection
from simulator.program.spikes import SpikeTrain
from simulator.program.traffic import Reach, back_hops, reach


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts that the step loop keeps itself because spikes do not tell them.

    Attributes:
        active_by_neuron, active_by_step: updates with an input that is not 0 or with a spike.
        saturated_by_neuron, saturated_by_step: values that left their word.
        resets: steps before which all dynamic state was reset.
        lost: counter name -> (step, population, core or HOST, count) of what faults did.
        dead: bool [N], neurons on dead cores, which are not updated; None where there is none.
        updated: (int64 [N], int64 [T, populations]), updates of each neuron and step, where not every neuron is updated at
            every step.
        resting: (int64 [N], int64 [T]), updates of neurons at rest that the program leaves uncharged; None: not counted.
    """

    active_by_neuron: I64
    active_by_step: I64
    saturated_by_neuron: I64
    saturated_by_step: I64
    resets: tuple[int, ...] = ()
    lost: Mapping[str, Sequence[tuple[int, int, int, int]]] = field(default_factory=dict)
    dead: Bools | None = None
    updated: tuple[I64, I64] | None = None
    resting: tuple[I64, I64] | None = None


class Counter:
    """Counts events of one program on one chip; keeps what a spike of each neuron sends for many runs."""

    def __init__(self, program: Program, topology: Topology | None = None, axons: AxonTable | None = None) -> None:
        self.program = program
        self.topology = topology if topology is not None else topology_of(program)
        axons = axon_table(program) if axons is None else axons
        self.reach: Reach = reach(program, self.topology, axons)
        self._one_to_one = one_to_one(program, axons, self.topology.one_to_one_words if self.topology else 0)
        self._back = None if self.topology is None else _back_hops(program, self.topology, axons)
        self.n_cores = self._cores()
        self._sizes = np.array([p.size for p in program.populations], np.int64)
        self._population = np.repeat(np.arange(self._sizes.size), self._sizes)
        self._updated = np.array([base.get(p.model).kernel is not None for p in program.populations], bool)

    def _cores(self) -> int:
        used = int(self.program.core.max(initial=-1)) + 1
        t = self.topology
        return max(used, t.mesh_cores) if t else used

    def activity(self, spikes: SpikeTrain, tally: Tally, samples: int = 1) -> Activity:
        """Return all counters of a run (names as in `simulator.program.activity`)."""
        events = np.bincount(spikes.ids, minlength=self.program.n_neurons).astype(np.int64)
        counts = self._of_spikes(spikes, events) | self._of_updates(spikes.steps, tally)
        counts["synaptic_events"] = self._synaptic_events(spikes, events, ("sparse", "dense", "conv"))
        for layout in ("dense", "conv"):  # some chips charge these at constants of their own
            counts[f"synaptic_events_{layout}"] = self._synaptic_events(spikes, events, (layout,))
        for name, rows in tally.lost.items():
            counts[name] = self._of_faults(rows, spikes.steps)
            kind = name.removeprefix("fault_lost_")
            if kind.startswith("synaptic_events"):
                counts[kind] = _minus(counts[kind], counts[name])
        counts |= self._at_rest(tally)
        counts["saturations"] = self._saturations(tally)
        counts["state_resets"] = self._resets(spikes.steps, tally)
        used = np.unique(self.program.core[self.program.core >= 0]).size
        names = tuple(p.name for p in self.program.populations)
        kept = {k: c for k, c in counts.items() if c.total}
        chips = self.topology.chips if self.topology else 1
        return Activity(kept, spikes.steps, samples, names, cores_used=int(used), chips=chips)

    def _of_spikes(self, spikes: SpikeTrain, events: I64) -> dict[str, Count]:
        r = self.reach
        weights = {
            "spikes": self._updated[self._population].astype(np.int64),
            "packets": r.packets,
            "packets_in_tile": r.in_tile,
            "packets_one_to_one": self._one_to_one,
            "hops_ew": r.hops_ew,
            "hops_ns": r.hops_ns,
            "hops_chip": r.hops_chip,
            "hops_board": r.hops_board,
            "host_packets_in": r.host_in,
            "host_packets_out": r.host_out,
        }
        if self.topology is not None and self.topology.multicast:
            weights["packets_received"] = r.received
        if self._back is not None:
            weights["hops_west"], weights["hops_south"] = self._back
        return {
            name: Count(
                self._by_core(self.program.core, events * w), _by_step(spikes, w), self._by_population(events * w)
            )
            for name, w in weights.items()
        }

    def _synaptic_events(self, spikes: SpikeTrain, events: I64, layouts: tuple[str, ...]) -> Count:
        by_core = np.zeros(self.n_cores + 1, np.int64)
        fan_out = np.zeros(self.program.n_neurons, np.int64)
        by_population = np.zeros(self._sizes.size, np.int64)
        first = self.program.first_ids()
        index = {p.name: k for k, p in enumerate(self.program.populations)}
        for p in self.program.projections:
            if p.layout not in layouts:
                continue
            rows = np.diff(p.indptr)
            part = slice(first[p.source], first[p.source] + rows.size)
            fan_out[part] += rows
            by_population[index[p.target]] += int(events[part] @ rows)
            core = self.program.core[first[p.target] + p.first : first[p.target] + self._sizes[index[p.target]]]
            if isinstance(p, SharedProjection):
                _meet_shared(p.row, p.offset, p.template, p.indices, core, events[part], by_core)
            else:
                _meet(p.indptr, p.indices, core, events[part], by_core)
        return Count(by_core, _by_step(spikes, fan_out), by_population)

    def _of_faults(self, rows: Sequence[tuple[int, int, int, int]], steps: int) -> Count:
        step, population, core, n = np.array(rows, np.int64).reshape(-1, 4).T
        out = Count(
            np.zeros(self.n_cores + 1, np.int64), np.zeros(steps, np.int64), np.zeros(self._sizes.size, np.int64)
        )
        for array, place in ((out.by_core, core), (out.by_step, step), (out.by_population, population)):
            np.add.at(array, place, n)
        return out

    def _of_updates(self, steps: int, tally: Tally) -> dict[str, Count]:
        """Count updates and their operations; without a tally every neuron with a model of its own works at every step."""
        ops = [base.get(p.model).ops for p in self.program.populations]
        costs = {name: np.array([getattr(o, word) for o in ops], np.int64) for name, word in _OPS.items()}
        costs = {"neuron_updates": np.ones(self._sizes.size, np.int64)} | costs
        active = Count(
            self._by_core(self.program.core, tally.active_by_neuron),
            tally.active_by_step,
            self._by_population(tally.active_by_neuron),
        )
        counted = self._told(tally.updated, costs) if tally.updated is not None else self._each(steps, tally, costs)
        return counted | {"neuron_updates_active": active}

    def _at_rest(self, tally: Tally) -> dict[str, Count]:
        """Count the uncharged updates.

        Raises:
            InputError: the program leaves updates uncharged that this way of running it does not count.
        """
        if tally.resting is not None:
            by_neuron, by_step = tally.resting
            core = self._by_core(self.program.core, by_neuron)
            return {"neuron_updates_resting": Count(core, by_step, self._by_population(by_neuron))}
        if self.program.meta.get("resting"):
            raise InputError(
                "resting=free",
                "is counted in whole runs with steps, without learning, pieces or copies",
                "Run it by bimhw simulate as it is, or compile the network without --read resting=free",
            )
        return {}

    def _told(self, updated: tuple[I64, I64], costs: Mapping[str, I64]) -> dict[str, Count]:
        by_neuron, by_step = updated
        own = {name: by_neuron * per[self._population] for name, per in costs.items()}
        return {
            name: Count(self._by_core(self.program.core, w), by_step @ costs[name], self._by_population(w))
            for name, w in own.items()
        }

    def _each(self, steps: int, tally: Tally, costs: Mapping[str, I64]) -> dict[str, Count]:
        each = self._updated[self._population].astype(np.int64)
        if tally.dead is not None:
            each[tally.dead] = 0
        by_population = self._by_population(each)
        return {
            name: _every_step(self._by_core(self.program.core, each * per[self._population]), by_population, steps, per)
            for name, per in costs.items()
        }

    def _saturations(self, tally: Tally) -> Count:
        each = tally.saturated_by_neuron
        return Count(self._by_core(self.program.core, each), tally.saturated_by_step, self._by_population(each))

    def _resets(self, steps: int, tally: Tally) -> Count:
        words = np.array([len(base.get(p.model).states) for p in self.program.populations], np.int64)
        each = words[self._population] * len(tally.resets)
        by_step = np.zeros(steps, np.int64)
        np.add.at(by_step, np.array(tally.resets, np.int64), int(words @ self._sizes))
        return Count(self._by_core(self.program.core, each), by_step, self._by_population(each))

    def _by_core(self, core: I32, weights: I64) -> I64:
        """Return exact integer sums by core; the host (-1) is the last entry."""
        out = np.zeros(self.n_cores + 1, np.int64)
        np.add.at(out, core, weights)
        return out

    def _by_population(self, weights: I64) -> I64:
        out = np.zeros(self._sizes.size, np.int64)
        np.add.at(out, self._population, weights)
        return out


_OPS: Mapping[str, str] = {
    "op_mul": "mul",
    "op_add": "add",
    "op_lut": "lut",
    "op_state_read": "state_read",
    "op_state_write": "state_write",
    "random_numbers": "random",
}


@numba.njit(cache=True, nogil=True)
def _meet(indptr: Any, indices: Any, core: Any, events: Any, by_core: Any) -> None:
    """Add events of the source to by_core[core of the target], for every synapse."""
    for row in range(indptr.size - 1):
        if events[row]:
            for j in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
                by_core[core[np.uint32(indices[j])]] += events[row]


@numba.njit(cache=True, nogil=True)
def _meet_shared(rows: I32, offset: I32, template: I64, indices: I32, core: I32, events: I64, by_core: I64) -> None:
    """Do as `_meet`, for shared rows."""
    for i in range(rows.size):
        if events[i]:
            for j in range(template[rows[i]], template[rows[i] + 1]):
                by_core[core[indices[j] + offset[i]]] += events[i]


def _back_hops(program: Program, topology: Topology, axons: AxonTable) -> tuple[I64, I64] | None:
    """Return the hops to the west and to the south, where the program's own chip file charges them apart."""
    content = program.meta.get("chip_file") or {}
    apart = {"hop_west", "hop_south"} & set(content.get("energy", {}))
    return back_hops(program, topology, axons) if apart and not topology.multicast else None


def _minus(a: Count, b: Count) -> Count:
    return Count(a.by_core - b.by_core, a.by_step - b.by_step, a.by_population - b.by_population)


def topology_of(program: Program) -> Topology | None:
    """Return the mesh of the chip that a program was made for; None where it names no chip."""
    return chip_of_program(program).topology if program.chip else None


def _by_step(spikes: SpikeTrain, weight: I64) -> I64:
    running = np.zeros(spikes.ids.size + 1, np.int64)
    np.cumsum(weight[spikes.ids], out=running[1:])
    return np.diff(running[spikes.ptr])


def _every_step(by_core: I64, by_population: I64, steps: int, factor: I64) -> Count:
    population = by_population * factor
    return Count(by_core * steps, np.full(steps, population.sum(), np.int64), population * steps)
