"""Neurons that got input: those whose accumulators are not 0 at a step, or that fire; their update may cost more time."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.base.arrays import I32, I64, Bools
from simulator.program.program import Program
from simulator.program.shared import unrolled_all
from simulator.program.spikes import SpikeTrain


def active_updates(program: Program, spikes: SpikeTrain, first: int, last: int) -> Bools:
    """Return the neurons with an input that is not 0, or with a spike, at the steps [first, last): bool [last - first, N].

    Weights are those of the program; where learning changes them the functional run has to tell (`run_timing(active=...)`).
    """
    start = program.first_ids()
    size = {p.name: p.size for p in program.populations}
    active = np.zeros((last - first, program.n_neurons), bool)
    step_of, ids, _ = _events(spikes, first, last)
    active[step_of - first, ids] = True
    ports: dict[tuple[str, str], I64] = {}
    for p in unrolled_all(program.projections):
        key = (p.target, p.port)
        if key not in ports:
            ports[key] = np.zeros((last - first, size[p.target]), np.int64)
        from_step = max(0, first - 1 - p.delay)
        to_step = min(max(0, last - 1 - p.delay), spikes.steps)
        step_of, ids, payload = _events(spikes, from_step, to_step)
        source = ids - start[p.source]
        inside = (source >= 0) & (source < size[p.source])
        row = step_of[inside] + 1 + p.delay - first
        _scatter(
            row, source[inside], payload[inside], p.indptr, p.indices, p.weights, p.exponent, ports[key][:, p.first :]
        )
    for (target, _), acc in ports.items():
        active[:, start[target] : start[target] + size[target]] |= acc != 0
    return active


def _events(spikes: SpikeTrain, first: int, last: int) -> tuple[I64, I32, I32]:
    """Step, neuron and payload of every event of the steps [first, last)."""
    window = slice(int(spikes.ptr[first]), int(spikes.ptr[max(first, last)]))
    step = np.repeat(np.arange(first, max(first, last)), np.diff(spikes.ptr[first : max(first, last) + 1]))
    ids = spikes.ids[window]
    return step, ids, np.ones(ids.size, np.int32) if spikes.payload is None else spikes.payload[window]


@numba.njit(cache=True, nogil=True)
def _scatter(
    row: Any, source: Any, payload: Any, indptr: Any, indices: Any, weights: Any, exponent: int, acc: Any
) -> None:
    for k in range(row.size):
        for s in range(indptr[source[k]], indptr[source[k] + 1]):
            acc[row[k], indices[s]] += (np.int64(weights[s]) * np.int64(payload[k])) << exponent
