"""Run a Catalyst N1 core over several steps and record what it did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.base.arrays import I64
from simulator.base.errors import InputError
from simulator.events.machines.n1.core import step
from simulator.events.machines.n1.state import (
    EARLY_ENTRIES,
    HUNG,
    LOST_SPIKES,
    SYNAPTIC_OPS,
    THRESHOLD,
    Core,
    Options,
    Table,
)


@dataclass(frozen=True, eq=False)
class CoreRun:
    """Result of a core's T steps.

    Attributes:
        spikes: int64 [spikes, 4], (step, cycle within the step, neuron, payload).
        cycles: int64 [T], cycles of each step.
        v, u, held: int64 [T, n], membrane, current and refractory count after each step.
        snaps: by name, int64 [snapshots, n or m]: weight, eligibility, delay, tag (by pool address), trace1, x2, trace2, y2,
            y3, threshold (by neuron).
        synaptic_ops: synapses walked.
        lost_spikes: spikes beyond the 64 that a core keeps in a step; their synapses were not walked.
        early_entries: delayed currents that met a full slot and arrived at once.
    """

    spikes: I64
    cycles: I64
    v: I64
    u: I64
    held: I64
    snaps: dict[str, I64]
    synaptic_ops: int
    lost_spikes: int
    early_entries: int


_BY_ENTRY = ("weight", "eligibility", "delay", "tag")
_TRACES = ("trace1", "x2", "trace2", "y2", "y3")


def run_core(
    core: Core, options: Options, steps: int, external: Table, reward: Table, snap_steps: npt.ArrayLike = ()
) -> CoreRun:
    """Run a programmed core, which keeps the state that it ends in.

    Args:
        core: from `program_core`.
        options: switches.
        steps: how many.
        external: [k, 3], (step, neuron, value): the neuron's input sum is overwritten, the last one of a step wins.
        reward: [k, 2], (step, value).
        snap_steps: steps after which the slow states are kept.

    Raises:
        InputError: an input outside the core or the run, or microcode that does not come to a halt.
    """
    n, options = core.v.size, Options.of(options)
    given = _by_step(external, 3, steps, "external")
    rewards = _by_step(reward, 2, steps, "reward")
    if given.size and not 0 <= int(given[:, 1].min()) <= int(given[:, 1].max()) < n:
        raise InputError("external", f"names a neuron outside 0..{n - 1}", "Give neurons of the core")
    out, states, cycles = np.zeros((n, 3), np.int64), np.zeros((3, steps, n), np.int64), np.zeros(steps, np.int64)
    spikes: list[I64] = []
    wanted = set(np.asarray(snap_steps, np.int64).tolist())
    snaps: dict[str, list[I64]] = {name: [] for name in (*_BY_ENTRY, *_TRACES, "threshold")}
    for t in range(steps):
        for _, neuron, value in given[given[:, 0] == t].tolist():
            core.total[neuron] = value
        value = int(rewards[rewards[:, 0] == t, 1].sum())
        cycles[t], fired = step(core, options, value, out)
        spikes.append(np.column_stack([np.full(fired, t, np.int64), out[:fired]]))
        states[0, t], states[1, t], states[2, t] = core.v, core.u, core.held
        if t in wanted:
            _keep(core, snaps)
    if core.scalars[HUNG]:
        raise InputError("ucode", "does not come to a halt", "End each program with the instruction 13 (halt)")
    return CoreRun(
        np.concatenate([np.zeros((0, 4), np.int64), *spikes]),
        cycles,
        states[0],
        states[1],
        states[2],
        {k: np.array(v, np.int64) for k, v in snaps.items()},
        int(core.scalars[SYNAPTIC_OPS]),
        int(core.scalars[LOST_SPIKES]),
        int(core.scalars[EARLY_ENTRIES]),
    )


def _by_step(rows: Table, width: int, steps: int, name: str) -> I64:
    table = np.asarray(rows, np.int64).reshape(-1, width)
    if table.size and not 0 <= int(table[:, 0].min()) <= int(table[:, 0].max()) < steps:
        raise InputError(name, f"names a step outside 0..{steps - 1}", "Give steps of the run")
    return table


def _keep(core: Core, snaps: dict[str, list[I64]]) -> None:
    for name in _BY_ENTRY:
        snaps[name].append(getattr(core, name).copy())
    for row, name in enumerate(_TRACES):
        snaps[name].append(core.traces[row].copy())
    snaps["threshold"].append(core.params[THRESHOLD].copy())
