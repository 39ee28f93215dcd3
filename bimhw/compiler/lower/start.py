"""Start values of neurons that cannot wait: a constant input acts on them before their layer's first input arrives.

A neuron of layer l updates l times before its first step. It starts from the value that these updates, with its constant
input alone, turn into the value it must have then.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.base.arrays import I64, Bools

Longs = I64
DECAY_ONE = 4096  # decays are in 1/4096 a step


def before(v: Longs, dv: Longs) -> Longs:
    """Return the smallest |V| whose decayed value trunc(V (4096 - dv) / 4096) is v; 0 where nothing is kept."""
    keep = DECAY_ONE - dv
    magnitude = -((-np.abs(v) * DECAY_ONE) // np.maximum(keep, 1))
    return np.asarray(np.where(keep > 0, np.sign(v) * magnitude, 0), np.int64)


def decayed(v: Longs, dv: Longs) -> Longs:
    """Return trunc(V (4096 - dv) / 4096), toward zero."""
    return np.asarray(np.sign(v) * ((np.abs(v) * (DECAY_ONE - dv)) >> 12), np.int64)


def start_value(
    v: Longs, dv: Longs, bias: Longs, layer: int, limit: int, fires: Callable[[Longs], Bools]
) -> tuple[Longs, bool]:
    """Return (V before step 0, whether the neurons are then at v, silent until then, when their layer starts).

    Args:
        v: value that the neuron must have before its own first step, [n] or ().
        dv: decay in 1/4096 a step.
        bias: constant input, in units of V.
        layer: updates before the first step.
        limit: largest |V|.
        fires: the neuron's comparison.
    """
    first = v
    for _ in range(layer):
        first = before(first - bias, dv)
        if (np.abs(first) > limit).any():
            return v, not bias.any() and not v.any()
    now, silent = first, True
    for _ in range(layer):
        now = decayed(now, dv) + bias
        silent = silent and not fires(now).any()
    kept = dv < DECAY_ONE
    return first, silent and bool((np.where(kept, now - v, 0) == 0).all())
