"""Neurons that saturated: a kernel says how many values left their word, not whose.

It is asked again on copies, for halves of the population whose count is not 0, down to single neurons. A kernel is a function
of its arguments, so the parts add up to the whole; nothing is spent in steps in which nothing saturates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simulator.base.arrays import I32, I64
from simulator.function.layout import Cells


def add_saturated(
    cells: Cells, acc: Any, before: I32, params: I32, step: int, seed: int, first_id: int, total: int, counts: I64
) -> None:
    """Add to ``counts`` how many values each neuron had to saturate in one update.

    Args:
        cells: the population.
        acc: [ports, n], what arrived.
        before: int32 [states, n], the states before the update.
        params: int32 [params, n], of the same neurons.
        step, seed, first_id: as the kernel got them.
        total: what the kernel returned for all n.
        counts: int64 [n].
    """
    kernel: Callable[..., int] | None = cells.model.kernel
    assert kernel is not None
    n = before.shape[1]
    words, out = np.empty_like(before), np.empty(n, np.int32)
    open_parts = [(0, n, total)]
    while open_parts:
        lo, hi, here = open_parts.pop()
        if hi - lo == 1:
            counts[lo] += here
            continue
        middle = (lo + hi) // 2
        words[:, lo:middle] = before[:, lo:middle]
        left = int(kernel(acc, words, params, cells.table, out, lo, middle, step, seed, first_id))
        open_parts += [part for part in ((lo, middle, left), (middle, hi, here - left)) if part[2]]


def add_clipped(out: I32, limit: int, counts: I64) -> None:
    """Add 1 to ``counts`` of each neuron whose payload is beyond +-limit."""
    counts += (out > limit) | (out < -limit)
