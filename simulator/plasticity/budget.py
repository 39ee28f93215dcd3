"""Words that learning needs on the cores, by population and kind: what the fit check adds to the network's own memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.plasticity.config import LearnConfig
from simulator.plasticity.layers.net import Layer, learning_net
from simulator.plasticity.layers.s6 import RATE_BITS, SUM_BITS
from simulator.plasticity.methods import chip_form
from simulator.plasticity.operations import HISTORY_WORDS, KERNEL_OPERATIONS, s6_history_words
from simulator.plasticity.rules.optimiser import SECOND_MOMENT_BITS
from simulator.program.program import Program


@dataclass(frozen=True)
class Item:
    """Words of one kind that a population needs.

    Attributes:
        population: whose cores hold them (a core holds the share of its neurons).
        kind: what they are.
        words: number over the whole population.
        bits: of a word.
        place: ``synapse`` memory or ``neuron`` state memory.
    """

    population: str
    kind: str
    words: int
    bits: int
    place: Literal["synapse", "neuron"]

    @property
    def bytes(self) -> int:
        """Memory of the population, rounded up."""
        return (self.words * self.bits + 7) // 8


def learning_memory(program: Program, config: LearnConfig, steps: int) -> tuple[Item, ...]:
    """Return all learning words of a program whose samples have `steps` steps (seq keeps a history of that many).

    The program's own words (weights, neuron states) are not in it.
    """
    net = learning_net(program)
    items: list[Item] = []
    depth, n_out = len(net.layers), net.readout.size
    for k, layer in enumerate(net.layers):
        below = depth - 1 - k
        lag = net.readout.layer + 1 - layer.number + (below if config.credit == "filt-win" else 0)
        upper = net.layers[k + 1].size if below and config.credit == "filt-win" else 0
        of_gradient = _gradient_s6 if layer.states else _gradient
        items += of_gradient(program, layer, config, steps, lag) if config.gradient else []
        items += _stdp(layer, config) if config.stdp else []
        name = layer.population.name
        items.append(Item(name, "feature traces", layer.size * (lag + 1), config.trace_bits, "neuron"))
        if config.gradient:
            read = n_out if net.from_layer[k] is not None else 0
            items.append(Item(name, "feedback weights", layer.size * (read + upper), config.weight_bits, "synapse"))
    return tuple(i for i in (*items, *_readout(program, config)) if i.words)


def synapses_by_port(program: Program, layer: Layer) -> tuple[int, ...]:
    """Return the stored synapses at the ports z, d, c (s6: z, d)."""
    ports = range(len(layer.groups[0].projections))
    return tuple(sum(program.projections[g.projections[p]].n_synapses for g in layer.groups) for p in ports)


def _gradient(program: Program, layer: Layer, c: LearnConfig, steps: int, lag: int) -> list[Item]:
    name, h, synapses = layer.population.name, layer.size, synapses_by_port(program, layer)
    kept = _steps_kept(c, steps, lag)
    per = KERNEL_OPERATIONS[layer.psp].sizes()
    items = [
        Item(name, "history", HISTORY_WORDS * kept * h, c.history_bits, "neuron"),
        Item(name, "input events", layer.lines * kept, 24 if layer.number == 1 else 1, "neuron"),
    ]
    form = chip_form(c.form)
    if form.traces:
        items.append(
            Item(
                name,
                "eligibility traces",
                sum(n * p for n, p in zip(synapses, per, strict=True)),
                c.trace_bits,
                "synapse",
            )
        )
        items.append(Item(name, "eligibility traces of biases", (sum(per) + per[2]) * h, c.trace_bits, "neuron"))
    if form.sweep is not None:
        items.append(Item(name, "adjoint", (5 + 4) * h, c.adjoint_bits, "neuron"))
    if form.carries:
        items.append(Item(name, "block propagators", (15 + 5) * h, max(c.history_bits, c.adjoint_bits), "neuron"))
    if not (form.sweep is None and c.every == 1 == c.accumulate and c.optimiser == "sgd"):
        items.append(Item(name, "gradient sums", sum(synapses), c.accumulator_bits, "synapse"))
        items.append(Item(name, "gradient sums of biases", 4 * h, c.accumulator_bits, "neuron"))
    if c.optimiser == "rms":
        items.append(Item(name, "optimiser", 7 * h, SECOND_MOMENT_BITS, "neuron"))
    return items


def _steps_kept(c: LearnConfig, steps: int, lag: int) -> int:
    """Return the steps of the history, with those on the error's way."""
    return chip_form(c.form).kept(c, steps) + lag + 1


def _gradient_s6(program: Program, layer: Layer, c: LearnConfig, steps: int, lag: int) -> list[Item]:
    """Return the words of the layer's neurons, and of those that compute B and C for them."""
    assert layer.shared is not None
    name, shared, h, n = layer.population.name, layer.shared.name, layer.size, layer.states
    kept, event_bits = _steps_kept(c, steps, lag), 24 if layer.groups[0].source == program.populations[0].name else 1
    first = program.first_ids()[name]
    cores = len(set(program.core[first : first + h].tolist()))
    own = sum(synapses_by_port(program, layer))
    below = sum(program.projections[g.shared].n_synapses for g in layer.groups)
    words = 3 + n * c.learn_a_log  # b_z, b_d, D, A_log of a neuron
    alike = all(np.asarray(layer.population.params[f"l{k}"]).size == 1 for k in range(n)) and not c.learn_a_log
    items = [
        Item(name, "history", s6_history_words(n) * kept * h, c.history_bits, "neuron"),
        Item(name, "history of B and C", 2 * n * kept * cores, c.history_bits, "neuron"),
        Item(name, "input events", layer.lines * kept, event_bits, "neuron"),
        Item(name, "decay rates", 2 * n * (cores if alike else h), RATE_BITS, "neuron"),
        Item(name, "adjoint", (4 + n + 3) * h, c.adjoint_bits, "neuron"),
        Item(name, "gradient sums", own, c.accumulator_bits, "synapse"),
        Item(name, "gradient sums of biases", words * h, c.accumulator_bits, "neuron"),
        Item(shared, "sums over channels", 2 * n * kept, SUM_BITS, "neuron"),
        Item(shared, "input events", layer.lines * kept, event_bits, "neuron"),
        Item(shared, "gradient sums", below, c.accumulator_bits, "synapse"),
        Item(shared, "gradient sums of biases", 2 * n, c.accumulator_bits, "neuron"),
    ]
    if c.optimiser == "rms":
        items.append(Item(name, "optimiser", (2 + words) * h, SECOND_MOMENT_BITS, "neuron"))
        items.append(Item(shared, "optimiser", 2 * 2 * n, SECOND_MOMENT_BITS, "neuron"))
    return items


def _stdp(layer: Layer, c: LearnConfig) -> list[Item]:
    name = layer.population.name
    return [
        Item(name, "pre-synaptic traces", layer.lines, c.trace_bits, "neuron"),
        Item(name, "post-synaptic traces", layer.size, c.trace_bits, "neuron"),
        Item(name, "STDP sums", layer.lines * layer.size, c.accumulator_bits, "synapse"),
    ]


def _readout(program: Program, c: LearnConfig) -> list[Item]:
    net = learning_net(program)
    name, n_out = net.readout.name, net.readout.size
    inputs = sum(layer.size for layer, k in zip(net.layers, net.from_layer, strict=True) if k is not None)
    items = [
        Item(name, "error words", n_out, c.error_bits, "neuron"),
        Item(name, "gradient sums", inputs * n_out, c.accumulator_bits, "synapse"),
    ]
    if c.optimiser == "rms":
        items.append(Item(name, "optimiser", 2 * n_out, SECOND_MOMENT_BITS, "neuron"))
    return items
