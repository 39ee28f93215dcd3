"""Tokens between neighbours as counters of an activity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.base.arrays import I64
from simulator.program.activity import Activity, Count
from simulator.program.program import HOST, Program
from simulator.timing.result import TimingRun


def with_tokens(activity: Activity, timing: TimingRun, program: Program) -> Activity:
    """Return the counters of a run with ``sync_tokens`` and ``sync_token_hops``, where neighbours synchronised, else as they are.

    Tokens belong to the core that sends them, and to the population of its first neuron (those of a host without neurons to
    the last population).
    """
    if timing.tokens is None:
        return activity
    cores = timing.mesh.n_cores
    size = max((c.by_core.size for c in activity.counts.values()), default=cores + 1)
    t = timing.tokens
    each = {"sync_tokens": (t.sent, t.sent_by_step), "sync_token_hops": (t.hops, t.hops_by_step)}
    counts = {name: _count(*tokens, cores, size, activity, program) for name, tokens in each.items()}
    return replace(activity, counts={**activity.counts, **counts})


def _count(each: I64, by_step: I64, cores: int, size: int, activity: Activity, program: Program) -> Count:
    by_core, by_population = np.zeros(size, np.int64), np.zeros(len(activity.populations), np.int64)
    by_core[:cores] = each[:cores]
    by_core[HOST] = each[cores:].sum()
    of = np.repeat(np.arange(len(program.populations)), [p.size for p in program.populations])
    used, first = np.unique(program.core, return_index=True)
    np.add.at(by_population, of[first], by_core[used])
    by_population[-1] += by_core.sum() - by_population.sum()
    return Count(by_core, by_step, by_population)
