"""Weight update with stochastic rounding: w <- clip(w + floor(dw + r)), r uniform in [0, 1) with 16 random bits.

``E[floor(dw + r)] = dw`` exactly for a dw of 16 fractional bits, so updates far below one unit in the last place still move
the weight on average (rounded to nearest they are lost and learning freezes). The 16 bits of synapse (source j, target i) of
projection p in update n are Philox4x32-10(counter = (n, j, stream + 256 p, i // 8), key = seed), half-word i % 8: they depend
on logical numbers only, never on mapping, threads, order or on what else is plastic. One call serves 8 synapses.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I64, U8, U32, Floats, Integers
from simulator.base.random import STREAM_WEIGHT_UPDATE, Word, philox4x32

Words = U32

FRACTION_BITS = 16
NEAREST, STOCHASTIC = 0, 1
MODES = {"nearest": NEAREST, "stochastic": STOCHASTIC}
_LOW = np.uint64(0xFFFFFFFF)
_GROUP = 16
_16, _32, _HALF = np.uint64(16), np.uint64(32), np.uint64(0xFFFF)


@numba.njit(nogil=True)
def _draw_row(rows: Words, seed: Word, update: Word, source: Word, stream: Word, left: Word) -> None:
    """Draw Philox words of one source's blocks from `left` on, by word number: uint32 [4, blocks]. The loop is vectorised."""
    key = np.uint64(seed)
    k0, k1, c0, c1, c2 = key & _LOW, key >> _32, np.uint64(update), np.uint64(source), np.uint64(stream)
    first = np.uint64(left)
    for block in range(np.uint64(rows.shape[1])):
        a, b, c, d = philox4x32(c0, c1, c2, first + block, k0, k1)
        rows[0, block], rows[1, block], rows[2, block], rows[3, block] = a, b, c, d


@numba.njit(nogil=True)
def _draw(rows: Words, seed: Word, update: Word, first: Word, stream: Word, left: Word) -> None:
    """Do as `_draw_row` for several sources: uint32 [sources, 4, blocks]."""
    for r in range(rows.shape[0]):
        _draw_row(rows[r], seed, update, first + r, stream, left)


@numba.njit(nogil=True)
def _in_order(rows: Words, words: Words) -> None:
    """Return the words of one source in the order of their synapses: uint32 [4 blocks]."""
    for block in range(np.uint64(words.size) >> np.uint64(2)):
        at = block << np.uint64(2)
        words[at] = rows[0, block]
        words[at + np.uint64(1)] = rows[1, block]
        words[at + np.uint64(2)] = rows[2, block]
        words[at + np.uint64(3)] = rows[3, block]


@numba.njit(cache=True, nogil=True)
def fill_random(out: I64, seed: Word, update: Word, source: Word, stream: Word) -> None:
    """Fill int64 `out` (a row, its length a multiple of 8) with 16-bit random numbers of one source."""
    rows, words = np.empty((1, 4, out.size // 8), np.uint32), np.empty(out.size // 2, np.uint32)
    _draw(rows, seed, update, source, stream, 0)
    _in_order(rows[0], words)
    for i in range(words.size):
        out[2 * i] = words[i] & _HALF
        out[2 * i + 1] = words[i] >> _16


@numba.njit(cache=True, nogil=True)
def fill_uniform(out: Floats, seed: Word, step: Word, source: Word, stream: Word, left: Word) -> None:
    """Fill float64 `out` (targets `left`, left + 1 ... of one source) with random numbers in [0, 1) of 16 bits."""
    skip = left % 8
    rows = np.empty((1, 4, (skip + out.size + 7) // 8), np.uint32)
    words = np.empty(rows.size, np.uint32)
    _draw(rows, seed, step, source, stream, left // 8)
    _in_order(rows[0], words)
    halves = words.view(np.uint16)
    for i in range(out.size):
        out[i] = halves[skip + i] * 2.0**-16


@numba.njit(cache=True, nogil=True)
def update_weights(
    weights: Integers, change: I64, live: U8, limit: int, mode: int, seed: Word,
    update: Word, projection: int, first: int, left: int,
) -> tuple[np.int64, np.int64, int]:  # fmt: skip
    """Apply a change to the weights of one projection (rows = sources, targets of a row in logical order).

    Args:
        weights: integer [M, H]; updated.
        change: int64 [M, H], change in units of 2^-16 of the weights' last place.
        live: uint8 [M, H], 0 where there is no synapse.
        limit: largest |weight|, the hard bound.
        mode: NEAREST or STOCHASTIC.
        seed, update, projection, first, left: keys of the random numbers; first and left are the numbers of row 0 and of
            column 0 in the projection.

    Returns:
        (weights written, weights at the bound, random numbers drawn).
    """
    m, n = weights.shape
    skip = left % 8  # of the first block of 8 targets
    words = np.full((skip + n + 7) // 8 * 4, 0x80008000, np.uint32)  # two halves of 2^15: to the nearest
    random = words.view(np.uint16)[skip:]  # low half first
    # Random words of a group of rows are drawn in a loop of their own, padded to whole vectors: 6 times faster than by row.
    rows = np.empty((_GROUP, 4, (words.size // 4 + 15) // 16 * 16), np.uint32)
    stream = STREAM_WEIGHT_UPDATE + 256 * projection
    written = bounded = np.int64(0)
    for j in range(m):
        if mode == STOCHASTIC:
            if j % _GROUP == 0:
                _draw(rows[: min(_GROUP, m - j)], seed, update, first + j, stream, left // 8)
            _in_order(rows[j % _GROUP], words)
        for i in range(n):
            w = np.int64(weights[j, i]) + ((change[j, i] + np.int64(random[i])) >> FRACTION_BITS)
            clipped = min(max(w, -limit), limit)
            on = np.int64(live[j, i])
            bounded += on * np.int64(clipped != w)
            written += on * np.int64(change[j, i] != 0)
            weights[j, i] = weights[j, i] + on * (clipped - np.int64(weights[j, i]))
    return written, bounded, weights.size if mode == STOCHASTIC else 0
