"""The operations of a form of learning, step by step and core by core, from the events of a run (see `counted`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bimhw.costs.plan import LearningPlan, Shape
from simulator.base.arrays import I64, AnyFloats, Bools, Floats
from simulator.chips.chip import Chip
from simulator.plasticity.layers.net import Layer, Net, live_synapses
from simulator.plasticity.layers.parts import Part, parts_of
from simulator.plasticity.operations import HISTORY_WORDS, KERNEL_OPERATIONS, s6_history_words, s6_sweep_macs
from simulator.plasticity.words.counts import TOUCHED
from simulator.program.activity import Count
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


class Share(NamedTuple):
    """Shares of a population that errors decide.

    Attributes:
        errors: neurons with an error at a labelled step.
        reached: neurons with an error since the last update, of the updates with a labelled step since.
        changed: synapses of these neurons that an update changes.
        words: words of their own (biases) that an update changes.
    """

    errors: float
    reached: float
    changed: float
    words: float


class Shares(NamedTuple):
    """The same of a net: of its hidden layers, of its readout, and of populations that have shares of their own.

    Attributes:
        everywhere: labels stand at every step, not only at those that decide.
        own: population -> share.
        spikes: of neurons that learn, over those of inference: they change while weights change.
    """

    hidden: Share
    readout: Share
    everywhere: bool = False
    own: Mapping[str, Share] = {}
    spikes: float = 1.0


@dataclass(eq=False)
class Book:
    """Counters by kind, and synaptic words touched by step and core."""

    steps: int
    cores: int
    populations: int
    by_core: dict[str, Floats] = field(default_factory=dict)
    by_step: dict[str, Floats] = field(default_factory=dict)
    by_population: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.touched = np.zeros((self.steps, self.cores + 1))

    def add(self, name: str, population: int, core: int, steps: I64, counts: Floats | float) -> None:
        """Count operations of a kind at a core in these chip steps."""
        key = f"learn_{name}"
        if key not in self.by_core:
            self.by_core[key], self.by_step[key] = np.zeros(self.cores + 1), np.zeros(self.steps)
            self.by_population[key] = np.zeros(self.populations)
        values = np.broadcast_to(np.asarray(counts, np.float64), steps.shape)
        np.add.at(self.by_step[key], steps, values)
        total = float(values.sum())
        self.by_core[key][core] += total
        self.by_population[key][population] += total
        if name in TOUCHED:
            np.add.at(self.touched[:, core], steps, values)

    def counts(self) -> dict[str, Count]:
        """Return the counters in whole numbers; their three groupings keep one total."""
        return {
            key: Count(whole(self.by_core[key]), whole(self.by_step[key]), whole(self.by_population[key]))
            for key in self.by_core
            if round(float(self.by_step[key].sum()))
        }


def whole(values: AnyFloats) -> I64:
    """Round so that the sum is the rounded sum: running totals are rounded, their differences are returned."""
    running = np.rint(np.concatenate([[0.0], np.cumsum(values)]))
    return np.diff(running).astype(np.int64)


class LearningCounter:
    """The learner's operations, from events."""

    def __init__(
        self, program: Program, net: Net, shape: Shape, spikes: SpikeTrain, chip: Chip, plan: LearningPlan, shares: Shares
    ) -> None:  # fmt: skip
        self.program, self.net, self.shape, self.spikes = program, net, shape, spikes
        self.plan, self.shares = plan, shares
        self.labelled = np.arange(shape.steps) if shares.everywhere else np.array(shape.labelled)
        self.number = {p.name: k for k, p in enumerate(program.populations)}
        self.first = program.first_ids()
        self.book = Book(spikes.steps, chip.topology.mesh_cores, len(program.populations))
        self.origin = np.arange(shape.samples) * shape.learn_steps
        for k, layer in enumerate(net.layers):
            self._layer(k, layer)
        self._readout()

    def _share(self, name: str) -> Share:
        usual = self.shares.readout if name == self.net.readout.name else self.shares.hidden
        return self.shares.own.get(name, usual)

    def _parts(self, name: str) -> tuple[Part, ...]:
        first = self.first[name]
        return parts_of(self.program.core[first : first + self.program.population(name).size])

    def _add(self, name: str, population: str, part: Part, at: int | I64, each: Floats | float) -> None:
        """Count in chip steps of a sample, counted from its first; `each` is a number or [samples, steps]."""
        steps = (self.origin[:, None] + np.atleast_1d(np.asarray(at, np.int64))[None]).ravel()
        values = np.broadcast_to(
            np.asarray(each, np.float64), (self.origin.size, steps.size // self.origin.size)
        ).ravel()
        self.book.add(name, self.number[population], part.core, np.minimum(steps, self.book.steps - 1), values)

    def _layer(self, k: int, layer: Layer) -> None:
        shape, name, plan = self.shape, layer.population.name, self.plan
        below = len(self.net.layers) - 1 - k
        visit = shape.answer + 1 + below  # chip steps from a model step to its late visit
        taus = np.arange(shape.steps)
        live = np.concatenate([self._live(g.projections) for g in layer.groups], axis=1)  # [ports, M, H]
        events = self._events(layer)
        costs, due = KERNEL_OPERATIONS[layer.psp], shape.due(plan)
        for part in self._parts(name):
            mine = live[:, :, part.columns]
            synapses = mine.sum(axis=(1, 2)).astype(np.float64)
            total = float(synapses.sum())
            self._add("feature_rmw", name, part, taus + layer.number, part.size)
            self._add("history_write", name, part, taus + layer.number, _history(layer, part.size))
            self._add("lut", name, part, taus + layer.number, part.size)
            self._third_factor(k, layer, part, visit)
            if plan.form == "dense":
                self._add("trace_rmw", name, part, taus + visit, float(synapses @ np.array(costs.sizes())))
                self._add("trace_mac", name, part, taus + visit, float(synapses @ np.array(costs.trace_macs())))
                self._add("weight_mac", name, part, self.labelled + visit, total * self._share(name).errors)
            else:
                self._sweeps(layer, part, mine, events, visit, due)
            ends = [t + visit for t, _ in due]
            self._update(name, part, ends, live.shape[0], live.shape[1], total, ("b_z", "b_d", "b_c", "D"))
        if layer.shared is not None:
            self._shared(layer, layer.shared.name, events, visit, due)

    def _shared(
        self, layer: Layer, name: str, events: tuple[I64, I64, I64], visit: int, due: list[tuple[int, int]]
    ) -> None:
        """Count the sums of s6: words from every core of the layer; a step later the neurons of B and C walk the same events."""
        live, spiking = np.concatenate([self._live((g.shared,)) for g in layer.groups], axis=1), self._spiking(layer)
        ends, back = np.array([t for t, _ in due]) + visit, np.array([n for _, n in due])
        for part in self._parts(layer.population.name):
            self._add("shared_words", layer.population.name, part, ends, back * 2.0 * layer.states)
        for part in self._parts(name):
            mine = live[:, :, part.columns]
            self._add("events", name, part, ends + 1, self._replayed(events, mine.sum(axis=(0, 2)) * spiking, due))
            self._update(name, part, list(ends + 1), 1, live.shape[1], float(mine.sum()), ("b",), reached=1.0)

    def _live(self, projections: tuple[int, ...]) -> Bools:
        return np.stack([live_synapses(self.program, k) for k in projections])

    def _spiking(self, layer: Layer) -> Floats:
        """Return the events of each line over those of inference: 1 for those of inputs."""
        inputs = {p.name for p in self.program.populations if p.role == "input"}
        each = [np.full(g.size, 1.0 if g.source in inputs else self.shares.spikes) for g in layer.groups]
        return np.concatenate(each)

    def _events(self, layer: Layer) -> tuple[I64, I64, I64]:
        """Return (sample, model step, line) of every event that the layer receives in its model steps."""
        shape, found = self.shape, []
        step = np.repeat(np.arange(self.spikes.steps), np.diff(self.spikes.ptr))
        sample, at = step // shape.learn_steps, step % shape.learn_steps
        for g in layer.groups:
            line = self.spikes.ids.astype(np.int64) - self.first[g.source]
            tau = at + 1 + g.delay - layer.number
            on = (line >= 0) & (line < g.size) & (tau >= 0) & (tau < shape.steps)
            found.append(np.stack([sample[on], tau[on], line[on] + g.start]))
        rows = np.concatenate(found, axis=1)
        return rows[0], rows[1], rows[2]

    def _sweeps(
        self, layer: Layer, part: Part, live: Bools, events: tuple[I64, I64, I64], visit: int,
        due: list[tuple[int, int]],
    ) -> None:  # fmt: skip
        shape, name, costs = self.shape, layer.population.name, KERNEL_OPERATIONS[layer.psp]
        # BLK injects each event too
        each = np.ones(live.shape[0]) + (np.array(costs.sizes()) if self.plan.form == "blk" else 0)
        replayed = self._replayed(events, each @ live.sum(axis=2) * self._spiking(layer), due)
        ends, back = np.array([t for t, _ in due]), np.array([n for _, n in due])
        at = ends + visit
        self._add("sweep_mac", name, part, at, back * float(part.size * _sweep_macs(layer)))
        self._add("history_read", name, part, at, back * float(_history(layer, part.size)))
        if self.plan.form == "blk":
            synapses = live.sum(axis=(1, 2)).astype(np.float64)
            self._add("carry_mac", name, part, np.arange(shape.steps) + visit, float(part.size * costs.propagator_macs))
            self._add("carry_mac", name, part, self.labelled + visit, float(part.size * costs.states))
            self._add(
                "carry_mac", name, part, at, back * float(part.size * (costs.propagator_macs + costs.injection_macs))
            )
            self._add("trace_rmw", name, part, at, float(synapses @ np.array(costs.sizes())))
            self._add("trace_mac", name, part, at, float(synapses @ np.array(costs.carry_macs)))
        self._add("events", name, part, at, replayed)

    def _replayed(self, events: tuple[I64, I64, I64], per_line: Floats, due: list[tuple[int, int]]) -> Floats:
        """Return the synaptic words of the events that each update walks again [samples, updates]; `per_line`: of a line."""
        shape, (sample, tau, line) = self.shape, events
        met = np.bincount(sample * shape.steps + tau, per_line[line], shape.samples * shape.steps)
        running = np.zeros((shape.samples, shape.steps + 1))
        np.cumsum(met.reshape(shape.samples, shape.steps), axis=1, out=running[:, 1:])
        ends, back = np.array([t for t, _ in due]), np.array([n for _, n in due])
        return running[:, ends + 1] - running[:, ends + 1 - back]

    def _third_factor(self, k: int, layer: Layer, part: Part, visit: int) -> None:
        """Count error words through the readout weights, and from layer to layer through input weights (filt-Win)."""
        labelled, name = self.labelled, layer.population.name
        if self.net.from_layer[k] is not None:
            self._add("error_mac", name, part, labelled + self.shape.answer + 1, part.size * self.net.readout.size)
        if k:
            self._add("error_messages", name, part, labelled + visit, part.size * self._share(name).errors)
        if k + 1 < len(self.net.layers):
            upper = self.net.layers[k + 1].population
            self._add(
                "error_mac", name, part, labelled + visit - 1, part.size * upper.size * self._share(upper.name).errors
            )

    def _update(
        self, name: str, part: Part, at: list[int], rows: int, lines: int, synapses: float, biases: tuple[str, ...],
        reached: float | None = None,
    ) -> None:  # fmt: skip
        """Count the optimiser's words, the random numbers and the weights written of each update at a core."""
        steps, share = np.array(at), self._share(name)
        seen = self._reached(share) if reached is None else np.full(len(at), reached)
        own = [b for b in biases if b in self.program.population(name).params]
        self._add("optimiser_rmw", name, part, steps, (rows + len(own)) * part.size)
        self._add("lut", name, part, steps, (rows + len(own)) * part.size)
        drawn = (rows * lines + len(own)) * part.size * seen
        self._add("optimiser_mac", name, part, steps, drawn)
        self._add("random", name, part, steps, drawn)
        self._add("weight_updates", name, part, steps, synapses * seen * share.changed)
        self._add("neuron_word_updates", name, part, steps, len(own) * part.size * seen * share.words)

    def _reached(self, share: Share) -> Floats:
        """Return the share of neurons with an error by each update: none, where no step since the last one has a label."""
        ends = np.array([t for t, _ in self.shape.due(self.plan)])
        seen = np.searchsorted(self.labelled, ends, side="right")
        return np.where(np.diff(seen, prepend=0) > 0, share.reached, 0.0)

    def _readout(self) -> None:
        shape, name = self.shape, self.net.readout.name
        labelled = self.labelled
        features = sum(
            layer.size for layer, q in zip(self.net.layers, self.net.from_layer, strict=True) if q is not None
        )
        parts = self._parts(name)
        self._add("error_words", name, parts[0], labelled + shape.answer, self.net.readout.size)
        ends = [t + shape.answer + 1 for t, _ in shape.due(self.plan)]
        for part in parts:
            synapses = float(features * part.size)
            self._add("weight_mac", name, part, labelled + shape.answer + 1, synapses * self._share(name).errors)
            self._update(name, part, ends, 1, features, synapses, ("b",))


def _history(layer: Layer, neurons: int) -> int:
    """Return the history words of a step at a core; B and C of s6 are kept once a core."""
    return neurons * s6_history_words(layer.states) + 2 * layer.states if layer.states else neurons * HISTORY_WORDS


def _sweep_macs(layer: Layer) -> int:
    """Return the MACs of one backward step of a neuron."""
    costs = KERNEL_OPERATIONS[layer.psp]
    return s6_sweep_macs(costs, layer.states, layer.zoh, rates=False) if layer.states else costs.sweep_macs
