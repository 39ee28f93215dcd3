"""Kernels of the step loops: rows fetched and added, who fired, what neurons emit, sums read."""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I32, I64, U8, AnyInts, Floats, Integers
from simulator.base.intrinsics import LOOPS_WELL, add_eight, mask64, prefetch, trailing_zeros

_0, _8 = np.uint64(0), np.uint64(8)


@numba.njit(nogil=True)
def add_row_by_eight(
    sums: Integers, offset: np.uint64, target: AnyInts, weight: Integers, start: np.uint64,
    end: np.uint64, factor: int,
) -> None:  # fmt: skip
    """Do as `add_row_by_one`, eight synapses in a row."""
    while start + _8 <= end:
        add_eight(sums, offset, target, weight, start, factor)
        start += _8
    add_row_by_one(sums, offset, target, weight, start, end, factor)


@numba.njit(nogil=True)
def add_row_by_one(
    sums: Integers, offset: np.uint64, target: AnyInts, weight: Integers, start: np.uint64,
    end: np.uint64, factor: int,
) -> None:  # fmt: skip
    """sums[target + offset] += weight * factor for the synapses `start` to `end` - 1."""
    for j in range(start, end):
        sums[np.uint64(target[j]) + offset] += int(weight[j]) * factor


add_row = add_row_by_one if LOOPS_WELL else add_row_by_eight


_LAST, _U0, _U1, _U64 = np.uint64(1 << 63), np.uint64(0), np.uint64(1), np.uint64(64)


@numba.njit(nogil=True)
def compact(flag: U8, first: np.int32, ids: I32, at: np.uint64) -> np.uint64:
    """Append the ids of the flagged neurons, ascending; `ids` has room for one more, which is written and not counted.

    Three at once without a branch: how many of 64 neurons fire is not foreseen, that few do is.
    """
    base = np.uint64(flag.ctypes.data)
    for block in range(_U0, np.uint64(flag.size), _U64):
        word = mask64(base + block)
        origin = np.int32(first + np.int32(block))
        while word != _U0:
            for _ in range(3):
                some = np.uint64(word != _U0)
                ids[at] = np.int32(origin + np.int32(trailing_zeros(word | _LAST)))
                at += some
                word &= word - some
    return at


@numba.njit(nogil=True)
def fetch_row(address: np.uint64, start: np.uint64, end: np.uint64, size: np.uint64) -> None:
    """Prefetch the cache lines of entries `start` to `end` - 1 of an array.

    Steps begin at the first entry, not at its line: rows of one length then take one number of steps, which is foreseen.
    """
    byte, last = address + start * size, address + end * size - _U1
    while byte < last:
        prefetch(byte)
        byte += _U64
    prefetch(last)


@numba.njit(cache=True, nogil=True)
def collect(
    acc: Integers, out: I32, first_id: int, limit: int, ids: I32, payload: I32, at: int, active: I64
) -> tuple[int, int, int]:
    """Append what a population emits to the step's events and clear its accumulators.

    Args:
        acc: int32 [ports, n], cleared.
        out: int32 [n], payloads, clipped to +-limit.
        first_id: logical id of neuron 0.
        limit: largest payload.
        ids, payload: int32 event buffers, written from `at` on.
        active: int64 [n], incremented where an input was not 0 or the neuron fired.

    Returns:
        end of the events, number of active neurons, number of clipped payloads.
    """
    n_active, clipped = 0, 0
    for i in range(out.size):
        used = False
        for port in range(acc.shape[0]):
            used |= acc[port, i] != 0
            acc[port, i] = 0
        if out[i] != 0:
            used = True
            value = min(max(out[i], -limit), limit)
            clipped += int(value != out[i])
            ids[at], payload[at] = first_id + i, value
            at += 1
        if used:
            active[i] += 1
            n_active += 1
    return at, n_active, clipped


@numba.njit(cache=True, nogil=True)
def narrow(wide: I64, acc: Integers, counts: I64) -> int:
    """Move int64 sums [ports, n] to int32, saturating; clears the sums and returns how many saturated.

    ``counts`` (int64 [n]) grows by those of each neuron.
    """
    saturated = 0
    for port in range(wide.shape[0]):
        for i in range(wide.shape[1]):
            x = wide[port, i]
            if x > 2147483647 or x < -2147483647:
                saturated += 1
                counts[i] += 1
                x = min(max(x, -2147483647), 2147483647)
            acc[port, i] = x
            wide[port, i] = 0
    return saturated


@numba.njit(cache=True, nogil=True)
def scatter_binary(
    ids: I32, first_id: int, indptr: I64, indices: I32, weights: Integers, shift: int, acc: Integers
) -> None:
    """Add weight << shift to acc[target] for every synapse of every event."""
    for k in range(ids.size):
        row = ids[k] - first_id
        add_row(acc, _0, indices, weights, np.uint64(indptr[row]), np.uint64(indptr[row + 1]), 1 << shift)


@numba.njit(cache=True, nogil=True)
def scatter_graded(
    ids: I32, payload: I32, first_id: int, indptr: I64, indices: I32, weights: Integers, shift: int, acc: Integers
) -> None:
    """Add weight * payload << shift to acc[target] for every synapse of every event."""
    for k in range(ids.size):
        row = ids[k] - first_id
        value = int(payload[k]) << shift
        add_row(acc, _0, indices, weights, np.uint64(indptr[row]), np.uint64(indptr[row + 1]), value)


@numba.njit(cache=True, nogil=True)
def scatter_shared(
    ids: I32, payload: I32, first_id: int, row: I32, offset: I32, template: I64, indices: I32, weights: Integers,
    shift: int, acc: Integers,
) -> None:  # fmt: skip
    """Do as `scatter_graded` for shared rows (`simulator.program.shared`); a binary spike has the payload 1."""
    for k in range(ids.size):
        source = ids[k] - first_id
        value, at = int(payload[k]) << shift, offset[source]
        for j in range(np.uint64(template[row[source]]), np.uint64(template[row[source] + 1])):
            acc[np.uint32(indices[j] + at)] += int(weights[j]) * value


@numba.njit(cache=True, nogil=True)
def scatter_delayed(
    ids: I32, payload: I32, first_id: int, indptr: I64, indices: I32, weights: Integers, shift: int, delays: I32,
    next_step: int, ring: AnyInts, port: int,
) -> None:  # fmt: skip
    """`scatter_graded` where each synapse has a delay: it adds to the slot of step ``next_step + delay`` of its target's ring."""
    for k in range(ids.size):
        row = ids[k] - first_id
        value = int(payload[k]) << shift
        for j in range(indptr[row], indptr[row + 1]):
            ring[(next_step + delays[j]) % ring.shape[0], port, np.uint32(indices[j])] += int(weights[j]) * value


@numba.njit(cache=True, nogil=True)
def add_magnitudes(indices: I32, weights: Integers, scale: float, bound: I32 | Floats) -> None:
    """Add |weight| * scale to bound[target] for every synapse."""
    for j in range(indices.size):
        bound[np.uint32(indices[j])] += abs(int(weights[j])) * scale


@numba.njit(cache=True, nogil=True)
def first_unordered_row(indptr: I64, indices: I32) -> int:
    """Return the first row whose targets do not ascend strictly, or -1."""
    for row in range(indptr.size - 1):
        for j in range(np.uint64(indptr[row]) + np.uint64(1), np.uint64(indptr[row + 1])):
            if indices[j] <= indices[j - np.uint64(1)]:
                return row
    return -1
