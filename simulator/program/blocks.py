"""Synapses of a large population in blocks of 65,536 targets: 16-bit indices, 3 bytes a synapse with 8-bit weights.

A block is a projection of its own (`Projection.first`), so every engine runs it as it runs any other. It costs row
pointers: 8 bytes a source in a file, 4 in memory, where those of a block have 32 bits. A projection is split only where the 8
bytes are less than the 2 saved at each synapse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numba
import numpy as np

from simulator.base.arrays import I32, I64, U16, AnyInts, Integers
from simulator.program.graph import Projection

BLOCK = 1 << 16
LEAST = 1 << 22  # synapses below which a split saves nothing worth having
_POINTER_BYTES, _SAVED_BYTES = 8, 2  # as stored in a file
_MOST_32 = 2**31 - 1

Pointers = Integers  # int32 where `pointer_type` allows, else int64


def n_blocks(size: int) -> int:
    """Return how many blocks a population of `size` targets has."""
    return -(-size // BLOCK)


def pointer_type(synapses: int) -> type[np.int32 | np.int64]:
    """Return the type of row pointers into so many synapses of 16-bit targets."""
    return np.int32 if synapses <= _MOST_32 else np.int64


def has_short_targets(q: Projection) -> bool:
    """Return whether the targets have 16 bits: those of a block, or of a small population where the front end has them so."""
    return q.indices.dtype == np.uint16


def with_short_pointers(q: Projection) -> Projection:
    """Return a checked projection with row pointers of `pointer_type` beside 16-bit targets; itself with other targets."""
    kind = pointer_type(q.n_synapses)
    return replace(q, indptr=q.indptr.astype(kind)) if has_short_targets(q) and q.indptr.dtype != kind else q


def worth_blocks(rows: int, synapses: int, size: int) -> bool:
    """Return whether synapses from `rows` sources onto `size` targets take less memory in blocks."""
    return size > BLOCK and synapses >= LEAST and _SAVED_BYTES * synapses > _POINTER_BYTES * rows * n_blocks(size)


def in_blocks(q: Projection, size: int) -> tuple[Projection, ...]:
    """Split a projection of 32-bit indices into blocks; it is returned as it is where that saves no memory.

    Args:
        q: neither plastic nor split; rows ascending.
        size: of its target population.
    """
    rows = q.indptr.size - 1
    if q.plastic or q.layout != "sparse" or q.indices.itemsize < 4 or not worth_blocks(rows, q.n_synapses, size):
        return (q,)
    ptr = block_pointers(q.indptr, q.indices, n_blocks(size))
    indices, weights = np.empty(q.n_synapses, np.uint16), np.empty(q.n_synapses, q.weights.dtype)
    _deal(q.indptr, q.indices, q.weights, ptr, indices, weights)
    return of_blocks(q, ptr, indices, weights)


def of_blocks(like: Projection, ptr: Pointers, indices: U16, weights: AnyInts) -> tuple[Projection, ...]:
    """Return one projection a block.

    Args:
        like: what they have in common; its name gets the number of the block.
        ptr: [blocks, rows + 1], row pointers into `indices` and `weights`, of `pointer_type` or int64; block follows block. They
            are counted anew in each block, in place, and those of 32 bits are not copied.
        indices: uint16, targets counted from the first of each block.
        weights: of the same length.
    """
    parts = []
    for b, row in enumerate(ptr):
        own = slice(int(row[0]), int(row[-1]))
        if own.start < own.stop:
            row -= own.start
            indptr = row.astype(pointer_type(own.stop - own.start), copy=False)
            rows = {"indptr": indptr, "indices": indices[own], "weights": weights[own]}
            parts.append(replace(like, name=f"{like.name}.{b}", first=BLOCK * b, **rows))
    return tuple(parts)


def rows_of(parts: Sequence[Projection]) -> tuple[I64, AnyInts]:
    """Return (row pointers, targets ascending in each row) of blocks of one source, in ascending order of `first`."""
    if len(parts) == 1:
        q = parts[0]
        return q.indptr.astype(np.int64, copy=False), q.indices if q.first == 0 else q.targets
    indptr: I64 = np.zeros(parts[0].indptr.size, np.int64)
    for q in parts:
        indptr += q.indptr
    targets, at = np.empty(int(indptr[-1]), np.int32), indptr[:-1].copy()
    for q in parts:
        _append(q.indptr, q.indices, q.first, at, targets)
    return indptr, targets


def block_pointers(indptr: I64, indices: AnyInts, blocks: int) -> Pointers:
    """Return the row pointers of each block, [blocks, rows + 1], block following block."""
    out: Pointers = np.zeros((blocks, indptr.size), pointer_type(int(indptr[-1])))
    count_blocks(indptr, indices, 0, out)
    place_blocks(out)
    return out


@numba.njit(cache=True, nogil=True)
def count_blocks(indptr: I64, indices: AnyInts, low: int, out: Pointers) -> None:
    """out[block, row + 1] += 1 for every synapse; `low` is subtracted from every index."""
    for row in range(indptr.size - 1):
        for j in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            out[(np.int64(indices[j]) - low) >> 16, row + 1] += 1


@numba.njit(cache=True, nogil=True)
def place_blocks(out: Pointers) -> None:
    """Turn counts of `count_blocks` into pointers."""
    at = 0
    for b in range(out.shape[0]):
        for row in range(out.shape[1]):
            at += out[b, row]
            out[b, row] = at


@numba.njit(cache=True, nogil=True)
def _deal(indptr: I64, indices: AnyInts, weights: AnyInts, ptr: Pointers, local: U16, values: AnyInts) -> None:
    for row in range(indptr.size - 1):
        block, at = np.int64(-1), np.int64(0)
        for j in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            target = np.int64(indices[j])
            if target >> 16 != block:
                block = target >> 16
                at = ptr[block, row]
            local[at], values[at] = target & 65535, weights[j]
            at += 1


@numba.njit(cache=True, nogil=True)
def _append(indptr: I64, indices: AnyInts, first: int, at: I64, targets: I32) -> None:
    for row in range(indptr.size - 1):
        place = at[row]
        for j in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            targets[place] = np.int64(indices[j]) + first
            place += 1
        at[row] = place
