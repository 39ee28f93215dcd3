"""Weight update with stochastic rounding: w <- clip(w + floor(dw + r)), r uniform in [0, 1) with 16 random bits.

``E[floor(dw + r)] = dw`` exactly for a dw of 16 fractional bits, so updates far below one unit in the last place still move
the weight on average (rounded to nearest they are lost and learning freezes). The 16 bits of synapse (source j, target i) of
projection p in update n are Philox4x32-10(counter = (n, j, stream + 256 p, i // 8), key = seed), half-word i % 8: they depend
on logical numbers only, never on mapping, threads, order or on what else is plastic. One call serves 8 synapses.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simulator.philox import STREAM_WEIGHT_UPDATE, philox4x32

FRACTION_BITS = 16
NEAREST, STOCHASTIC = 0, 1
MODES = {"nearest": NEAREST, "stochastic": STOCHASTIC}
_LOW = np.uint64(0xFFFFFFFF)
_16, _32, _HALF = np.uint64(16), np.uint64(32), np.uint64(0xFFFF)


@numba.njit(cache=True, nogil=True)
def fill_random(out: Any, seed: Any, update: Any, source: Any, stream: Any) -> None:
    """Fill int64 `out` (a row, its length a multiple of 8) with 16-bit random numbers of one source."""
    key = np.uint64(seed)
    for block in range(out.size // 8):
        a, b, c, d = philox4x32(update, source, stream, block, key & _LOW, key >> _32)
        at = block * 8
        out[at], out[at + 1] = np.int64(a & _HALF), np.int64(a >> _16)
        out[at + 2], out[at + 3] = np.int64(b & _HALF), np.int64(b >> _16)
        out[at + 4], out[at + 5] = np.int64(c & _HALF), np.int64(c >> _16)
        out[at + 6], out[at + 7] = np.int64(d & _HALF), np.int64(d >> _16)


@numba.njit(cache=True, nogil=True)
def update_weights(
    weights: Any, change: Any, live: Any, limit: int, mode: int, seed: Any, update: Any, projection: int, first: int
) -> Any:
    """Apply a change to the weights of one projection (rows = sources, all targets of a row in logical order).

    Args:
        weights: integer [M, H]; updated.
        change: int64 [M, H], change in units of 2^-16 of the weights' last place.
        live: uint8 [M, H], 0 where there is no synapse.
        limit: largest |weight|, the hard bound.
        mode: NEAREST or STOCHASTIC.
        seed, update, projection, first: keys of the random numbers; first is the number of row 0 in its projection.

    Returns:
        (weights written, weights at the bound, random numbers drawn).
    """
    n = weights.shape[1]
    random = np.full((n + 7) // 8 * 8, 1 << (FRACTION_BITS - 1), np.int64)
    stream = STREAM_WEIGHT_UPDATE + 256 * projection
    written = bounded = np.int64(0)
    for j in range(weights.shape[0]):
        if mode == STOCHASTIC:
            fill_random(random, seed, update, first + j, stream)
        for i in range(n):
            w = np.int64(weights[j, i]) + ((change[j, i] + random[i]) >> FRACTION_BITS)
            clipped = min(max(w, -limit), limit)
            on = np.int64(live[j, i])
            bounded += on * np.int64(clipped != w)
            written += on * np.int64(change[j, i] != 0)
            weights[j, i] = weights[j, i] + on * (clipped - np.int64(weights[j, i]))
    return written, bounded, weights.size if mode == STOCHASTIC else 0


def update_weights_twin(
    weights: npt.NDArray[Any], change: npt.NDArray[np.int64], random: npt.NDArray[np.int64], limit: int
) -> npt.NDArray[Any]:
    """The same in plain numpy for given 16-bit random numbers [M, H] (2^15 everywhere: rounding to nearest)."""
    moved = weights.astype(np.int64) + ((change + random) >> FRACTION_BITS)
    return np.clip(moved, -limit, limit).astype(weights.dtype)
