"""Drive the fast loop from a simulation's state and put the state back, so that both loops may follow one another."""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import I32, Integers
from simulator.function.fast import Plain, Rule, run_steps
from simulator.function.state import Running
from simulator.program.spikes import SpikeTrain

_CHUNK_EVENTS = 1 << 20


def advance_plain(simulation: Running, form: Plain, inputs: SpikeTrain, steps: int, count_active: bool = True) -> None:
    """Do `steps` steps of a simulation whose layout has this fast form."""
    rule = form.rule
    v, u = load(simulation, rule)
    flag = np.zeros(v.size, np.uint8)
    active = np.zeros(v.size if count_active else 0, np.int32)
    n_active, ptr = np.zeros(steps, np.int64), np.zeros(steps + 1, np.int64)
    in_ptr = np.full(steps + 1, inputs.ids.size, np.int64)
    known = min(steps, inputs.steps) + 1
    in_ptr[:known] = inputs.ptr[:known]
    in_ids = np.ascontiguousarray(inputs.ids, np.int32)
    t, counts = 0, np.zeros(steps, np.int64)
    while t < steps:
        ids = np.empty(_CHUNK_EVENTS + rule.n_in + v.size + 1, np.int32)
        begin = t
        ptr[t] = 0
        t, end = run_steps(
            t, steps, rule.n_in, form.row_ptr, form.target, form.weight, v, u, rule.bias, flag, rule.threshold,
            rule.decay_shift, rule.exponent, in_ptr, in_ids, ids, 0, ptr, active, n_active,
        )  # fmt: skip
        counts[begin:t] = np.diff(ptr[begin : t + 1])
        simulation.record.ids.append(ids[: int(end)] if t < steps else ids[: int(end)].copy())
        simulation.record.payload.append(None)
    store(simulation, rule, v, u)
    simulation.state.step += steps
    simulation.record.counts.extend(counts.tolist())
    simulation.record.active.extend(n_active.tolist())
    simulation.record.saturated.extend([0] * steps)
    if count_active:
        simulation.active_of_neuron[rule.n_in :] += active[: rule.n]


def load(simulation: Running, rule: Rule) -> tuple[I32, Integers]:
    """Return potentials and sums of a simulation as the fast loops hold them, padded."""
    v = np.zeros(rule.bias.size, np.int32)
    u = np.zeros(rule.bias.size, rule.sum_type)
    for k, c in enumerate(simulation.layout.cells):
        if c.model.kernel is not None:
            part = slice(c.first - rule.n_in, c.first - rule.n_in + c.size)
            v[part] = simulation.state.words[k][0]
            u[part] = simulation.state.rings[k][0, 0] >> rule.exponent
    return v, u


def store(simulation: Running, rule: Rule, v: I32, u: Integers) -> None:
    """Put potentials and sums back into the simulation."""
    for k, c in enumerate(simulation.layout.cells):
        if c.model.kernel is not None:
            part = slice(c.first - rule.n_in, c.first - rule.n_in + c.size)
            simulation.state.words[k][0] = v[part]
            simulation.state.rings[k][0, 0] = u[part].astype(np.int32) << rule.exponent
