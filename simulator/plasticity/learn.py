"""`learn`: present samples one at a time and change the program's weights as the chip would."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.base.arrays import I64, U8, Array
from simulator.base.errors import InputError
from simulator.base.schedule import learning_rate
from simulator.function.counting import Counter
from simulator.function.run import finish
from simulator.plasticity.config import LearnConfig, learn_config
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.layers.net import plastic
from simulator.plasticity.learner import Learner
from simulator.plasticity.prepare import with_weights
from simulator.plasticity.words.words import NAMES, SATURATED
from simulator.program.activity import Activity, Count
from simulator.program.graph import Population, Projection
from simulator.program.program import Program


@dataclass(frozen=True)
class EpochResult:
    """One pass over the samples: mean loss of labelled steps, spikes per neuron and step of each layer, CPU seconds."""

    loss: float
    rates: tuple[float, ...]
    cpu_s: float


@dataclass(frozen=True, eq=False)
class LearnResult:
    """Result of learning.

    Attributes:
        program: with the weights and biases learnt.
        history: by epoch.
        operations: totals of the ``learn_*`` counters.
        saturations: word class -> how often it saturated (never: absent).
        updates: weight updates of the readout.
        chip_steps: steps that the chip did.
        learner: its state, to go on or to look.
    """

    program: Program
    history: tuple[EpochResult, ...]
    operations: dict[str, int]
    saturations: dict[str, int]
    updates: int
    chip_steps: int
    learner: Learner

    def activity(self) -> Activity:
        """Return all counters, those of inference and those of learning (integer programs that kept their events)."""
        return activity(self.learner)


def learn(
    program: Program,
    samples: Sequence[Array] | Array,
    labels: Sequence[I64] | I64,
    config: LearnConfig | None = None,
    *,
    epochs: int = 1,
    seed: int = 0,
    shuffle: bool = True,
    learner: Learner | None = None,
    epoch: int = 0,
    of_epochs: int = 0,
    progress: Callable[[int], None] | None = None,
) -> LearnResult:
    """Learn on the chip, one sample at a time.

    Args:
        program: prepared and calibrated (`prepare`, `calibrate`), or a float program for wide words.
        samples: payloads [T, n_in] each (wide words: real values).
        labels: [T] each: the class at labelled steps, -1 elsewhere.
        config: else the program's.
        epochs: passes.
        seed: of stochastic rounding and of the order.
        shuffle: present the samples in a seeded order, another one in each epoch.
        learner: go on with this one (from a checkpoint) instead of a new one.
        epoch: epochs done before (key of the order).
        of_epochs: epochs of the whole run, for the course of the learning rate (0: `epochs`).
        progress: called with the number of samples done since the last call.

    Raises:
        InputError: samples, labels or configuration that do not fit the program.
    """
    config = config or learn_config(program.learning)
    if len(samples) != len(labels) or not len(samples):
        raise InputError("samples", f"are {len(samples)} with {len(labels)} label rows", "Give as many, at least one")
    if not config.wide and not config.fracs:
        raise InputError("learning", "has no binary points for its words", "Run simulator.plasticity.calibrate first")
    running = learner or Learner(program, config, seed)
    history, total = [], (of_epochs or epochs) * len(samples)
    for number in range(epoch + 1, epoch + epochs + 1):
        order = np.arange(len(samples))
        if shuffle:
            order = np.random.default_rng((seed, number)).permutation(len(samples))
        history.append(_epoch(running, samples, labels, order, total, progress))
    return LearnResult(
        program_of(running), tuple(history), running.counts.totals(), saturations(running), running.readout.updates,
        running.steps_done, running,
    )  # fmt: skip


def _epoch(
    learner: Learner,
    samples: Any,
    labels: Any,
    order: I64,
    total: int,
    progress: Callable[[int], None] | None,
) -> EpochResult:
    start, losses, spikes, steps = time.process_time(), [], np.zeros(learner.depth), 0
    c = learner.config
    for k in order:
        learner.lr = learning_rate(c.lr, c.lr_end, learner.learnt / max(total - 1, 1), c.lr_course)
        result = learner.sample(np.asarray(samples[k]), np.asarray(labels[k]))
        losses.append(result.loss)
        spikes += result.spikes
        steps += len(samples[k])
        if progress:
            progress(1)
    sizes = np.array([layer.h for layer in learner.layers])
    return EpochResult(
        float(np.mean(losses)), tuple(float(r) for r in spikes / (steps * sizes)), time.process_time() - start
    )


def saturations(learner: Learner) -> dict[str, int]:
    """Count how often each word class saturated, as ``population.word``; the neurons' own words as ``population.states``."""
    out = {}
    if isinstance(learner.forward, ChipForward):
        of_neuron, first = learner.forward.simulation.saturated_of_neuron, learner.program.first_ids()
        of_neurons = {
            p.name: of_neuron[first[p.name] : first[p.name] + p.size].sum() for p in learner.program.populations
        }
        out = {f"{name}.states": int(n) for name, n in of_neurons.items() if n}
    for layer in learner.layers:
        for k in np.flatnonzero(layer.words[SATURATED]):
            out[f"{layer.layer.population.name}.{NAMES[k]}"] = int(layer.words[SATURATED, k])
        out |= {f"{layer.layer.population.name}.{n} bound": r.bounded for n, r in layer.rows.items() if r.bounded}
    for shared in learner.shared:
        out |= {f"{shared.name}.{n} bound": r.bounded for n, r in shared.rows.items() if r.bounded}
    return out


def live_synapses_of(learner: Learner) -> dict[int, U8]:
    """Return projection number -> uint8 [n_source, n_target], 0 where the synapse is pruned or absent (the readout's not)."""
    rows = [layer.rows[p] for layer in learner.layers for p in layer.ports] + [s.rows["w"] for s in learner.shared]
    return {b.key: b.live for row in rows for b in row.blocks}


def program_of(learner: Learner) -> Program:
    """Return the program with the weights and biases as they are now; pruned synapses are absent."""
    program, net, live = learner.program, learner.net, live_synapses_of(learner)
    projections: list[Projection] = list(program.projections)
    for k in plastic(net):
        weights = learner.forward.weights[k]
        mask = live[k].astype(bool) if k in live else np.ones(weights.shape, bool)
        old = projections[k]
        projections[k] = with_weights(old, weights.copy(), mask, old.exponent, old.weight_bits, learner.config.rule)
    names = {layer.layer.population.name: layer.bias_names for layer in learner.layers}
    names |= dict.fromkeys((net.readout.name, *(s.name for s in learner.shared)), ("b",))
    populations = tuple(_with_biases(p, names.get(p.name, ()), learner) for p in program.populations)
    return replace(program, populations=populations, projections=tuple(projections))


def _with_biases(p: Population, names: tuple[str, ...], learner: Learner) -> Population:
    return (
        replace(p, params=dict(p.params) | {n: learner.forward.bias(p.name, n)[0].copy() for n in names})
        if names
        else p
    )


def activity(learner: Learner) -> Activity:
    """Return the counters of everything that the learner did, inference and learning.

    Synapses keep their place in memory while they learn: a packet visits those too that pruning has switched off.

    Raises:
        InputError: wide words (there is no chip that does them).
    """
    if not isinstance(learner.forward, ChipForward):
        raise InputError("activity", "is counted on the chip's words", "Learn with words='chip'")
    if learner.forward.counted is not None:
        return learner.forward.counted(learner.samples)
    program = learner.forward.simulation.layout.program
    counter = Counter(program)
    run = finish(learner.forward.simulation, counter, learner.samples)
    sizes = [p.size for p in program.populations]
    counts: dict[str, Count] = dict(run.activity.counts)
    counts |= learner.counts.counts(run.activity.steps, program.core, sizes, counter.n_cores)
    return replace(run.activity, counts=counts)
