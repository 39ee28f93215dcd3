"""Who got input: neurons whose accumulators are not 0 at a step, or that fire; their update may cost more time."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain


def active_updates(program: Program, spikes: SpikeTrain, first: int, last: int) -> npt.NDArray[np.bool_]:
    """Neurons with an input that is not 0, or with a spike, at the steps [first, last): bool [last - first, N].

    Weights are those of the program; where learning changes them the functional run has to tell (`run_timing(active=...)`).
    """
    start = program.first_ids()
    size = {p.name: p.size for p in program.populations}
    step_of = np.repeat(np.arange(spikes.steps), spikes.counts())
    payload = np.ones(spikes.ids.size, np.int32) if spikes.payload is None else spikes.payload
    active = np.zeros((last - first, program.n_neurons), bool)
    window = slice(int(spikes.ptr[first]), int(spikes.ptr[last]))
    active[step_of[window] - first, spikes.ids[window]] = True
    ports: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    for p in program.projections:
        key = (p.target, p.port)
        if key not in ports:
            ports[key] = np.zeros((last - first, size[p.target]), np.int64)
        from_step = max(0, first - 1 - p.delay)
        to_step = min(max(0, last - 1 - p.delay), spikes.steps)
        window = slice(int(spikes.ptr[from_step]), int(spikes.ptr[to_step]))
        source = spikes.ids[window] - start[p.source]
        inside = (source >= 0) & (source < size[p.source])
        row = step_of[window][inside] + 1 + p.delay - first
        _scatter(row, source[inside], payload[window][inside], p.indptr, p.indices, p.weights, p.exponent, ports[key])
    for (target, _), acc in ports.items():
        active[:, start[target] : start[target] + size[target]] |= acc != 0
    return active


@numba.njit(cache=True, nogil=True)
def _scatter(
    row: Any, source: Any, payload: Any, indptr: Any, indices: Any, weights: Any, exponent: int, acc: Any
) -> None:
    for k in range(row.size):
        for s in range(indptr[source[k]], indptr[source[k] + 1]):
            acc[row[k], indices[s]] += (np.int64(weights[s]) * np.int64(payload[k])) << exponent
