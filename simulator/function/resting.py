"""Updates of neurons at rest, which some architectures do not charge: counted by running a program's spikes once more.

    neuron i rests in step t if  V[t-1] = 0, no event arrived for step t, whatever its weight, and it did not fire

A program names the neurons whose rest is free (`ProgramMeta.resting`); a program without such names is not run again.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from simulator.base.arrays import Bools
from simulator.base.errors import InputError
from simulator.function.counting import Tally
from simulator.function.kernels import scatter_binary
from simulator.function.simulation import Simulation
from simulator.neurons import base
from simulator.program.program import Program
from simulator.program.shared import unrolled_all
from simulator.program.spikes import SpikeTrain, window

Flags = Bools
_WAY = "Compile the network without --read resting=free"


def with_resting(program: Program, spikes: SpikeTrain, tally: Tally) -> Tally:
    """Return the tally with the updates of neurons at rest, where the program leaves these uncharged.

    Args:
        program: that ran.
        spikes: all its events from the first step on, inputs included.
        tally: of the run.

    Raises:
        InputError: populations that the network file did not have (relays, copies), or a run that is not the program's
            own (faults, late packets, learning).
    """
    if not program.meta.get("resting"):
        return tally
    free = _free(program)
    plain = replace(program, projections=unrolled_all(program.projections))
    simulation = Simulation(plain, graded_inputs=spikes.payload is not None, fast=False)
    watch = _Watch(simulation, free)
    simulation.step_hooks.append(watch)
    inputs = _inputs(program, spikes)
    for first, last in pairwise([0, *tally.resets, spikes.steps]):
        if first:
            simulation.reset()
            watch.rest()
        simulation.advance(window(inputs, first, last), last - first)
    if tally.dead is not None or not _same(simulation, spikes, tally):
        raise InputError(
            "resting=free", "goes with a run that is the program's own, without faults, late packets or learning", _WAY
        )
    return replace(tally, resting=(watch.of_neuron, np.array(watch.of_step, np.int64)))


def _same(simulation: Simulation, spikes: SpikeTrain, tally: Tally) -> bool:
    """Return whether the second run did what the first did: the same events, and the same active updates."""
    record = simulation.record
    pairs = (
        (np.array(record.counts), spikes.counts()),
        (np.concatenate([*record.ids, np.empty(0, np.int32)]), spikes.ids),
        (np.array(record.active), tally.active_by_step),
        (simulation.active_of_neuron, tally.active_by_neuron),
    )
    return all(np.array_equal(again, before) for again, before in pairs)


class _Watch:
    """A step hook that counts who rested.

    Attributes:
        of_neuron: int64 [N].
        of_step: one count a step.
    """

    def __init__(self, simulation: Simulation, free: Flags) -> None:
        self._simulation, self._free = simulation, free
        layout = simulation.layout
        slots = 1 + max((s.delay for s in layout.synapses), default=0)
        self._arrived = np.zeros((slots, layout.n_neurons), np.int32)  # events, by the step in which they are read
        self._ones = [np.ones(s.indices.size, np.int8) for s in layout.synapses]
        self._still = np.zeros(layout.n_neurons, bool)
        self.of_neuron = np.zeros(layout.n_neurons, np.int64)
        self.of_step: list[int] = []
        self.rest()

    def rest(self) -> None:
        """Begin at the states that the simulation has now, with nothing under way."""
        self._arrived[:] = 0
        self._note_states()

    def _note_states(self) -> None:
        """Note whose membrane is at 0; of a population without one, nobody rests."""
        for c, words in zip(self._simulation.layout.cells, self._simulation.state.words, strict=True):
            names, membrane = [w.name for w in c.model.states], c.model.traits.membrane
            self._still[c.first : c.first + c.size] = words[names.index(membrane)] == 0 if membrane in names else False

    def __call__(self, simulation: Simulation) -> None:
        """Count the step that was done, and note what it sends."""
        slots = len(self._arrived)
        now = self._arrived[(simulation.state.step - 1) % slots]
        rests = self._free & self._still & (now == 0)
        ids = simulation.events[0]
        rests[ids] = False
        self.of_neuron += rests
        self.of_step.append(int(rests.sum()))
        now[:] = 0
        self._note_states()
        layout = simulation.layout
        for k, c in enumerate(layout.cells):
            own = ids[np.searchsorted(ids, c.first) : np.searchsorted(ids, c.first + c.size)]
            for j in layout.by_source[k] if own.size else ():
                s = layout.synapses[j]
                there = self._arrived[
                    (simulation.state.step + s.delay) % slots, layout.cells[s.target].first + s.first :
                ]
                scatter_binary(own, c.first, s.indptr, s.indices, self._ones[j], 0, there)


def _free(program: Program) -> Flags:
    """Return whose rest is free, bool [N]."""
    named = program.facts.resting or {}
    updated = [p.name for p in program.populations if base.get(p.model).kernel is not None]
    if set(updated) != set(named):
        other = sorted(set(updated) ^ set(named))
        raise InputError("resting=free", f"names populations other than those that run: {', '.join(other[:4])}", _WAY)
    out, first = np.zeros(program.n_neurons, bool), program.first_ids()
    for name, ranges in named.items():
        for start, stop in ranges:
            if not start < stop <= program.population(name).size:
                raise InputError(f"program: resting: {name}", f"has the range {start}..{stop}", "Compile it again")
            out[first[name] + start : first[name] + stop] = True
    return out


def _inputs(program: Program, spikes: SpikeTrain) -> SpikeTrain:
    """Return the events of the inputs alone."""
    is_input = np.repeat(
        [base.get(p.model).kernel is None for p in program.populations], [p.size for p in program.populations]
    )
    kept = is_input[spikes.ids]
    running = np.concatenate([[0], np.cumsum(kept)])
    payload = None if spikes.payload is None else spikes.payload[kept]
    return SpikeTrain(running[spikes.ptr].astype(np.int64), spikes.ids[kept], payload)
