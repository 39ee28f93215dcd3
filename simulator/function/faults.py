"""A simulation on a broken chip: the same steps, with faults put in where they belong, and counted."""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I32, I64, U8, Integers
from simulator.base.errors import InputError
from simulator.function.layout import Synapses
from simulator.function.state import Running
from simulator.neurons.base import Word
from simulator.program.axons import AxonTable, axon_table
from simulator.program.check import word_range
from simulator.program.faults import Faults, dead_neurons, fault_stream, flip_bits, hits, lost_packets

STUCK, FLIPPED, WEIGHT_UPSET, STATE_UPSET = range(4)


class Breakage:
    """Applies `Faults` to a simulation and counts what they did.

    Attributes:
        faults: what is broken.
        dead: bool [N], neurons on dead cores.
        lost: counter name -> list of (step, population, core, count).
    """

    def __init__(self, simulation: Running, faults: Faults) -> None:
        program = simulation.layout.program
        self.faults, self.simulation = faults, simulation
        self.dead = dead_neurons(program, faults.dead_cores)
        self.axons: AxonTable = axon_table(program)
        self.n_cores = int(program.core.max(initial=-1)) + 1
        self.dead_core = np.isin(np.arange(self.n_cores), np.array(faults.dead_cores, np.int64))
        self.threshold = np.uint64(min(2**32 - 1, round(faults.drop_rate * 2**32)))
        self.population = np.repeat(np.arange(len(program.populations)), [p.size for p in program.populations])
        self.lost: dict[str, list[tuple[int, int, int, int]]] = {}
        self._projection = {p.name: p for p in program.projections}
        self._first = [c.first for c in simulation.layout.cells]

    def break_weights(self) -> None:
        """Set stuck-at weights, and bits that are wrong from the start."""
        f = self.faults
        for j, s in enumerate(self.simulation.layout.synapses):
            if not (f.stuck_rate or f.weight_flip_rate or f.weight_upset_rate):
                return
            bits = self._bits(s)
            weights = self.simulation.weights(s.name)
            stuck = hits(f.stuck_rate, weights.size, f.seed, 0, fault_stream(STUCK), j)
            low, high = word_range(Word("", bits))
            weights[stuck] = {"zero": 0, "min": low, "max": high}[f.stuck_value]
            flipped = hits(f.weight_flip_rate, weights.size * bits, f.seed, 0, fault_stream(FLIPPED), j)
            flip_bits(weights, bits, flipped)
            self._count("fault_stuck_weights", s.target, stuck.size)
            self._count("fault_weight_flips", s.target, flipped.size)

    def upset(self) -> None:
        """Make soft errors between two steps: bits of weights and of state words flip and stay flipped."""
        f, s = self.faults, self.simulation
        step = s.state.step
        for j, synapses in enumerate(s.layout.synapses if f.weight_upset_rate else ()):
            bits = self._bits(synapses)
            weights = s.weights(synapses.name)
            places = hits(f.weight_upset_rate, weights.size * bits, f.seed, step, fault_stream(WEIGHT_UPSET), j)
            flip_bits(weights, bits, places)
            self._count("fault_weight_flips", synapses.target, places.size)
        for k, c in enumerate(s.layout.cells if f.state_upset_rate else ()):
            for row, word in enumerate(c.model.states):
                places = hits(
                    f.state_upset_rate, c.size * word.bits, f.seed, step, fault_stream(STATE_UPSET), 64 * k + row
                )
                flip_bits(s.state.words[k][row], word.bits, places)
                self._count("fault_state_flips", k, places.size)

    def packets(self, ids: I32) -> U8:
        """Return which packets of this step's events are lost, uint8 [events, cores]; counted by source."""
        lost = np.zeros((ids.size, self.n_cores), np.uint8)
        step = self.simulation.state.step
        lost_packets(ids, self.axons.ptr, self.axons.dst, self.dead_core, self.threshold, self.faults.seed, step, lost)
        by_event = lost.sum(axis=1, dtype=np.int64)
        for k in np.flatnonzero(by_event).tolist():
            core = int(self.simulation.layout.program.core[ids[k]])
            self._count("fault_lost_packets", int(self.population[ids[k]]), int(by_event[k]), core)
        return lost

    def scatter(self, s: Synapses, first: int, ids: I32, payload: I32, lost: U8, acc: Integers) -> None:
        """Send events through a projection, but for the synapses on cores that the packet did not reach."""
        core = self.simulation.layout.program.core[self._first[s.target] + s.first :]
        missed = np.zeros(self.n_cores, np.int64)
        scatter_lossy(ids, payload, first, s.indptr, s.indices, s.weights, s.exponent, core, lost, missed, acc)
        layout = self._projection[s.name].layout
        names = [""] if layout == "sparse" else ["", f"_{layout}"]
        for c in np.flatnonzero(missed).tolist():
            for name in names:
                self._count(f"fault_lost_synaptic_events{name}", s.target, int(missed[c]), c)

    def forget(self) -> None:
        """Drop all counts but that of the weights that are stuck."""
        self.lost = {k: v for k, v in self.lost.items() if k == "fault_stuck_weights"}

    def _bits(self, s: Synapses) -> int:
        bits = self._projection[s.name].weight_bits
        if bits > 8 * s.weights.dtype.itemsize:
            raise InputError(f"projection {s.name!r}", f"has {bits}-bit weights in an array of type {s.weights.dtype}")
        return bits

    def _count(self, name: str, population: int, n: int, core: int = -1) -> None:
        if n:
            self.lost.setdefault(name, []).append((self.simulation.state.step, population, core, n))


@numba.njit(cache=True, nogil=True)
def scatter_lossy(
    ids: I32, payload: I32, first_id: int, indptr: I64, indices: I32, weights: Integers, shift: int,
    core: I32, lost: U8, missed: I64, acc: Integers,
) -> None:  # fmt: skip
    """Add weight * payload << shift to acc[target] unless the packet to its core is lost; count those by core."""
    for k in range(ids.size):
        row = ids[k] - first_id
        value = int(payload[k]) << shift
        for j in range(indptr[row], indptr[row + 1]):
            c = core[indices[j]]
            if lost[k, c]:
                missed[c] += 1
            else:
                acc[indices[j]] += int(weights[j]) * value
