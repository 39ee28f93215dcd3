"""Count the operations and words of learning as a form runs; the costs are the table `simulator.plasticity.operations`.

One operation is one multiply-accumulate or one add; ``rmw`` are synaptic words read, changed and written. ``diag`` layers; all
figures are for one sequence (a chip has batch 1) and leave the forward pass out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch

from bimhw.learning.forms.history import Stacked
from bimhw.models.bim.config import BimConfig
from simulator.plasticity.operations import OPERATIONS, PORTS


@dataclass
class OpCounts:
    """Counted operations.

    Attributes:
        neuron_macs: multiply-accumulates on per-neuron words.
        event_ops: synaptic adds or MACs, done only where an input is not 0.
        dense_macs: synaptic MACs done for every synapse.
        rmw: synaptic words touched.
        events: non-zero inputs of a layer.
        steps: layer steps swept or traced.
    """

    neuron_macs: int = 0
    event_ops: int = 0
    dense_macs: int = 0
    rmw: int = 0
    events: int = 0
    steps: int = 0

    def __iadd__(self, other: OpCounts) -> OpCounts:
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))
        return self

    @property
    def total(self) -> int:
        """All operations."""
        return self.neuron_macs + self.event_ops + self.dense_macs


def sweep_counts(config: BimConfig, h: Stacked) -> OpCounts:
    """Count one sweep over a layer, from its real events; a batch counts as that many sequences."""
    steps, batch, neurons = h.s.shape
    return _swept(config, neurons, steps, batch, int(torch.count_nonzero(h.u)))


def swept(config: BimConfig, steps: int, batch: int, events: int) -> OpCounts:
    """Count sweeps over the one layer of a network: `steps` of `batch` sequences, so many inputs that were not 0."""
    return _swept(config, config.hidden[0], steps, batch, events)


def _swept(config: BimConfig, neurons: int, steps: int, batch: int, events: int) -> OpCounts:
    if config.kind == "diag":
        per_event = PORTS * neurons
        per_step = OPERATIONS[config.psp].sweep_macs * neurons
    else:
        n = config.n_states
        per_event = 2 * neurons + 2 * n
        per_step = (OPERATIONS[config.psp].sweep_macs + 6 * n) * neurons
    return OpCounts(
        neuron_macs=per_step * steps * batch,
        event_ops=per_event * events,
        rmw=per_event * events,
        events=events,
        steps=steps * batch,
    )


def dense_counts(config: BimConfig, fan_in: int, neurons: int, labelled: bool) -> OpCounts:
    """Count one step of the dense form in a ``diag`` layer."""
    synapses, costs = fan_in * neurons, OPERATIONS[config.psp]
    weight = PORTS * synapses if labelled else 0
    return OpCounts(
        dense_macs=sum(costs.trace_macs()) * synapses + weight,
        rmw=costs.words() * synapses + weight,
        steps=1,
    )


def lazy_counts(config: BimConfig, neurons: int, visits: Mapping[str, int], events: int, steps: int) -> OpCounts:
    """Count LAZY in a layer.

    Args:
        config: gives the kernel.
        neurons: H.
        visits: per neuron, see `bimhw.learning.forms.lazy_kernels.TALLY`: events that brought W up to date (A . e: a
        MAC a word), that
            caught e up, that added beta u (an add a word); live propagators moved, and that took an error signal (A: n MACs).
        events: non-zero inputs.
        steps: of the layer.
    """
    costs = OPERATIONS[config.psp]
    words, catch_up = costs.words(), sum(costs.catch_up_macs)
    per_event = words * visits["materialised"] + catch_up * visits["caught_up"] + words * visits["events"]
    return OpCounts(
        neuron_macs=neurons * (costs.live_macs * visits["moved"] + costs.states * visits["learnt"]),
        event_ops=neurons * per_event,
        rmw=neurons * (words * visits["events"] + PORTS * visits["materialised"]),
        events=events,
        steps=steps,
    )
