"""Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

The random word of (seed, step, logical id, stream) is a pure function of its key, so results do not depend on mapping,
thread count, chunking or on what else drew numbers. Key = seed (64 bits), counter = (step, id, stream, block); one call
gives four 32-bit words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from simulator.base.arrays import I64, Floats

# Streams: who draws. A number is never used twice.
STREAM_NEURON = 0
STREAM_WEIGHT_UPDATE = 1
STREAM_TRACE = 2
STREAM_ELIGIBILITY = 4
STREAM_DROP = 16
STREAM_FAULT = 17
STREAM_CLOCK = 18
STREAM_TRAINING = 32  # spikes that a float model draws while it is trained
STREAM_USER = 1024  # from here on free for a user's own models

Word = int | np.integer
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


@numba.njit(cache=True, nogil=True)
def philox4x32(
    c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return four random words (uint64 holding 32 bits each) of a counter (4 words) and a key (2 words)."""
    x0, x1, x2, x3 = np.uint64(c0) & _LOW, np.uint64(c1) & _LOW, np.uint64(c2) & _LOW, np.uint64(c3) & _LOW
    key0, key1 = np.uint64(k0) & _LOW, np.uint64(k1) & _LOW
    for _ in range(10):
        p0, p1 = _M0 * x0, _M1 * x2
        x0, x1, x2, x3 = (p1 >> _32) ^ x1 ^ key0, p1 & _LOW, (p0 >> _32) ^ x3 ^ key1, p0 & _LOW
        key0, key1 = (key0 + _W0) & _LOW, (key1 + _W1) & _LOW
    return x0, x1, x2, x3


@numba.njit(cache=True, nogil=True)
def random_word(seed: Word, step: Word, logical_id: Word, stream: Word) -> np.uint64:
    """Return one random 32-bit word (as uint64) of a key; negative inputs are taken modulo 2^64."""
    s = np.uint64(seed)
    return philox4x32(step, logical_id, stream, 0, s & _LOW, s >> _32)[0]


@numba.njit(cache=True, nogil=True)
def _fill_uniforms(seed: Word, first_steps: I64, first_id: int, stream: int, out: Floats) -> None:
    for b in range(out.shape[0]):
        for t in range(out.shape[1]):
            for i in range(out.shape[2]):
                word = random_word(seed, first_steps[b] + t, first_id + i, stream)
                out[b, t, i] = np.float64(word >> np.uint64(16)) / 65536.0


def uniforms(
    seed: int,
    first_steps: Sequence[int] | I64,
    steps: int,
    first_id: int,
    n: int,
    stream: int = STREAM_NEURON,
) -> Floats:
    """Draw what neurons that fire at random compare with their probability: the upper 16 bits of their word, over 2^16.

    Args:
        seed: of the run.
        first_steps: number of the first step of each sample.
        steps: steps of a sample.
        first_id: logical id of the first neuron.
        n: neurons.
        stream: who draws.

    Returns:
        Values in [0, 1), float64 [samples, steps, n].
    """
    out = np.empty((len(first_steps), steps, n))
    _fill_uniforms(seed, np.asarray(first_steps, np.int64), first_id, stream, out)
    return out
