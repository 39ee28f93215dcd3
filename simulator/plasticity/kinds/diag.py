"""Forms of the gradient of a BIM-D layer on a chip: dense traces, SEQ, TR and BLK, with what each counts."""

from __future__ import annotations

import numpy as np

from simulator.plasticity.forms import block
from simulator.plasticity.forms.base import dense_step, dense_step_at
from simulator.plasticity.forms.dense import dense_lines, dense_lines_at
from simulator.plasticity.forms.sweep import replay
from simulator.plasticity.forms.sweep import sweep as sweep_back
from simulator.plasticity.layers.diag import LayerLearner, Visit
from simulator.plasticity.layers.parts import Part
from simulator.plasticity.methods import ChipForm, register_form
from simulator.plasticity.operations import HISTORY_WORDS
from simulator.plasticity.words.words import H_DELTA
from simulator.program.program import HOST


def advance_traces(layer: LayerLearner, part: Part, tau: int, labelled: bool) -> None:
    """Advance all traces by a step and add to the gradient sums where the step carries an error (dense)."""
    if part.whole:
        advance_all_traces(layer, tau, labelled)
        count_traces(layer, part, tau, labelled)
        return
    slot, mine = tau % layer.ring, part.columns
    hist, const = (np.ascontiguousarray(a[:, mine]) for a in (layer.hist[slot], layer.const))
    psp, membrane = layer.layer.psp, layer.layer.membrane
    lines = np.flatnonzero(layer.touched)
    at = (slice(None), lines, slice(None), mine) if layer.fast else (slice(None), slice(None), lines, mine)
    here = (slice(None), lines, mine)
    e, g = np.ascontiguousarray(layer.e[at]), np.ascontiguousarray(layer.g[here])
    args = (e, g, layer.events[slot, lines], hist, const, np.ascontiguousarray(layer.live[here]), psp, membrane)
    if layer.fast:
        dense_lines(*args, labelled, layer.words, layer.noise(part), lines)
    else:
        dense_step(*args, labelled, layer.words)
    layer.e[at], layer.g[here] = e, g
    count_traces(layer, part, tau, labelled)


def advance_all_traces(layer: LayerLearner, tau: int, labelled: bool) -> None:
    """Advance the traces of all cores at once: they do not look at each other, so the bits are those of core by core."""
    slot = tau % layer.ring
    lines, whole = np.flatnonzero(layer.touched), Part(HOST, 0, layer.h, True)
    psp, membrane = layer.layer.psp, layer.layer.membrane
    args = (layer.e, layer.g, layer.events[slot], layer.hist[slot], layer.const, layer.live, psp, membrane)
    if layer.fast:
        dense_lines_at(*args, labelled, layer.words, layer.noise(whole), lines, lines)
    else:
        dense_step_at(*args, labelled, layer.words, lines)


def count_traces(layer: LayerLearner, part: Part, tau: int, labelled: bool) -> None:
    """Count what a core does in `advance_traces`."""
    c, costs, live = layer.config, layer.costs, part.take(layer.live)
    hist = layer.hist[tau % layer.ring][:, part.columns]
    synapses = live[:, :-1].sum(axis=(1, 2), dtype=np.int64)
    words = int(np.dot(synapses, costs.sizes()))
    layer.count("trace_rmw", part, words)
    layer.count("random", part, words if c.trace_rounding == "stochastic" and layer.fast else 0)
    layer.count("trace_mac", part, int(np.dot(synapses, costs.trace_macs())))
    if labelled:
        touched = hist[H_DELTA] != 0 if c.skip_zero else np.ones(part.size, bool)
        layer.count("weight_mac", part, int(live[:, :-1, touched].sum(dtype=np.int64)))


def advance_propagators(layer: LayerLearner, part: Part, tau: int, labelled: bool) -> None:
    """Advance the block propagators of a core's neurons by a step (BLK)."""
    slot, mine, costs = tau % layer.ring, part.columns, layer.costs
    hist, const = (np.ascontiguousarray(a[:, mine]) for a in (layer.hist[slot], layer.const))
    psp, membrane = layer.layer.psp, layer.layer.membrane
    block.forward(hist, const, psp, membrane, labelled, layer.s[mine], layer.deferred[mine], layer.words)
    layer.count("carry_mac", part, part.size * (costs.propagator_macs + labelled * costs.states))


def sweep_history(layer: LayerLearner, part: Part, visit: Visit) -> None:
    """Sweep back over what is new (and over older steps where the form looks back) and replay its events (SEQ, TR)."""
    psp, membrane, costs = layer.layer.psp, layer.layer.membrane, layer.costs
    order = np.arange(visit.tau, max(visit.tau - visit.reach, -1), -1) % layer.ring
    hist, const, live, g = part.take(layer.hist), part.take(layer.const), part.take(layer.live), part.take(layer.g)
    p = np.zeros((order.size, 3, part.size))
    sweep_back(hist, order, min(visit.fresh, order.size), const, psp, membrane, p, g[3, 0], layer.words)
    done = replay(layer.events, order, p, live, g, layer.words)
    part.give(layer.g, g)
    layer.count("sweep_mac", part, order.size * part.size * costs.sweep_macs)
    layer.count("history_read", part, order.size * part.size * HISTORY_WORDS)
    layer.count("events", part, done)


def sweep_block(layer: LayerLearner, part: Part, visit: Visit) -> None:
    """End a block: apply and move the carried traces, sweep back over the block, inject its events (BLK)."""
    psp, membrane, costs, mine = layer.layer.psp, layer.layer.membrane, layer.costs, part.columns
    live, e, g = part.take(layer.live), part.take(layer.e), part.take(layer.g)
    s, deferred = layer.s[mine], layer.deferred[mine]
    block.carry(e, g, s, deferred, live, layer.words)
    part.give(layer.g, g)
    synapses = live[:, :-1].sum(axis=(1, 2), dtype=np.int64)
    layer.count("trace_rmw", part, int(np.dot(synapses, costs.sizes())))
    layer.count("trace_mac", part, int(np.dot(synapses, costs.carry_macs)))
    sweep_history(layer, part, visit)
    order = np.arange(visit.tau, max(visit.tau - visit.reach, -1), -1) % layer.ring
    hist, const = part.take(layer.hist), part.take(layer.const)
    injected = block.inject(hist, layer.events, order, const, psp, membrane, live, e, layer.words)
    part.give(layer.e, e)
    layer.count("carry_mac", part, order.size * part.size * (costs.propagator_macs + costs.injection_macs))
    layer.count("events", part, int(np.dot(injected, costs.sizes())))
    s[:], deferred[:] = np.eye(5), 0.0


register_form(
    ChipForm(
        "dense",
        lambda c, steps: 0,
        step=advance_traces,
        step_all=advance_all_traces,
        count_step=count_traces,
        traces=True,
        narrow=True,
    )
)
register_form(ChipForm("seq", lambda c, steps: steps, sweep=sweep_history, shared=True))
register_form(
    ChipForm("tr", lambda c, steps: c.block + c.history, sweep=sweep_history, blocks=True, lookback=True, shared=True)
)
register_form(
    ChipForm(
        "blk",
        lambda c, steps: c.block,
        step=advance_propagators,
        sweep=sweep_block,
        traces=True,
        carries=True,
        blocks=True,
    )
)
