"""The readout ``lz76``: phrases of each neuron's train, by the recurrence of `simulator.neurons.lz76`."""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import I64, Bools


def phrases(trains: Bools) -> I64:
    """Return the phrases so far, the open one included, [T, ...] of trains [T, ...]."""
    steps, *rest = trains.shape
    past = trains.reshape(steps, -1)
    ends = np.zeros_like(past)
    opened = np.zeros(past.shape[1], np.bool_)
    count = np.zeros(past.shape, np.int64)
    for t in range(steps):
        moved = np.vstack([np.zeros_like(past[:1]), ends[:-1]]) | ~opened
        ends = moved & (past == past[t])
        ends[t:] = False
        count[t] = (count[t - 1] if t else 0) + ~opened
        opened = ends.any(0)
    return count.reshape(steps, *rest)
