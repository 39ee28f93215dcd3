"""Run a sample on ReckOn and record states, spikes, phases and the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I64
from simulator.base.errors import InputError
from simulator.events.machines.reckon.eprop import learn
from simulator.events.machines.reckon.state import Net, Registers, Table
from simulator.events.machines.reckon.tick import EPROP, PROP, QUIET, SCAN, SDONE, SEND, STEP, events, leak

SEEN = 3  # cycles from the tick's rise to the first phase


@dataclass(frozen=True, eq=False)
class Sample:
    """Result of a sample of T ticks; w = max(inputs, neurons) units.

    Attributes:
        spikes: int64 [spikes, 2], (tick, neuron).
        phases: int64 [changes, 4], (tick, cycles since its rise, controller state, event state).
        u, trace_in, trace_rec, trace_out: int64 [T, w], after the ticks 1..T.
        out: int64 [T + 1, outputs], after the ticks 0..T.
        answer: output that was the largest most often.
    """

    spikes: I64
    phases: I64
    u: I64
    trace_in: I64
    trace_rec: I64
    trace_out: I64
    out: I64
    answer: int


def run_sample(registers: Registers, net: Net, ticks: int, label: int, valid: int, inputs: Table) -> Sample:
    """Run one sample; weights and random generators go on, all other states are 0 at its end.

    Args:
        registers: from `program_net`.
        net: changed in place.
        ticks: number of the last tick; tick 0 only delivers events, the last one only leaks.
        label: class that the net should learn.
        valid: first tick with a target.
        inputs: [k, 2], (tick, input); an input counts once a tick.

    Raises:
        InputError: an input or tick that does not exist.
    """
    given = np.asarray(inputs, np.int64).reshape(-1, 2)
    if given.size and not (given.min() >= 0 and given[:, 1].max() < registers.inputs):
        raise InputError("inputs", f"name an input outside 0..{registers.inputs - 1}", "Count from 0")
    units, most = net.u.size, 4 * net.u.size + 8
    driven = np.zeros((ticks + 1, units), np.int64)
    within = given[given[:, 0] <= ticks]
    driven[within[:, 0], within[:, 1]] = 1
    points, out = np.zeros(registers.outputs, np.int64), [np.zeros(registers.outputs, np.int64)]
    states: list[list[I64]] = [[], [], [], []]
    spikes: list[tuple[int, int]] = []
    phases: list[I64] = []
    rows = np.zeros((most, 3), np.int64)
    for t in range(ticks + 1):
        at, now = 1, SEEN
        rows[0] = (1, PROP if t else 0, QUIET)
        if t:
            now = _phase_one(net, registers, rows, spikes, t)
            at = 3
            if t >= valid:
                points[int(net.out.argmax())] += 1
        if t == ticks:
            rows[at] = (now, SEND, QUIET)
            at += 1
        else:
            if t and t >= valid and registers.do_eprop:
                rows[at] = (now, EPROP, QUIET)
                at += 1
                now += int(learn(net, registers, label))
            rows[at] = (now, PROP, SCAN)
            at = int(events(net, registers, driven[t], now, rows, at + 1))
        phases.append(np.column_stack([np.full(at, t), rows[:at]]))
        if t:
            for kept, array in zip(states, (net.u, net.trace_in, net.trace_rec, net.trace_out), strict=True):
                kept.append(array.copy())
            out.append(net.out.copy())
        else:
            out[0] = net.out.copy()
    for array in (net.u, net.z, net.trace_in, net.trace_rec, net.trace_out, net.out):
        array[:] = 0
    u, trace_in, trace_rec, trace_out = (np.array(kept).reshape(ticks, units) for kept in states)
    fired = np.array(spikes, np.int64).reshape(-1, 2)
    answer = int(points.argmax())
    return Sample(fired, np.concatenate(phases), u, trace_in, trace_rec, trace_out, np.array(out), answer)


def _phase_one(net: Net, registers: Registers, rows: I64, spikes: list[tuple[int, int]], t: int) -> int:
    """Leak and fire in tick t; return the cycle after it."""
    rows[1] = (SEEN, STEP, QUIET)
    now = SEEN + int(leak(net, registers))
    rows[2] = (now, SDONE, QUIET)
    spikes.extend((t, int(j)) for j in np.flatnonzero(net.z))
    return now + 1
