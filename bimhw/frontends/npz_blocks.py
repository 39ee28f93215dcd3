"""Synapses of a large plain network file, read piece by piece into blocks of 16-bit targets.

The file is read twice: once to count and check, once to place. No more than one piece of it is held beside the blocks, so a
network takes 3 bytes a synapse at the peak (with 8-bit weights) where its file has 5.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numba
import numpy as np

from mapping.words import value_bits
from simulator.base.arrays import I64, U16, AnyInts
from simulator.base.errors import InputError
from simulator.program.blocks import Pointers, n_blocks, of_blocks, place_blocks, pointer_type
from simulator.program.graph import Projection

SYNAPSES = ("indices", "weights")
_PIECE = 1 << 20  # entries


def read_blocks(path: Path, indptr: I64, n_in: int, like: tuple[Projection, ...]) -> tuple[Projection, ...]:
    """Read the synapses of a plain network file.

    Args:
        path: a file whose headers were checked.
        indptr: its row pointers, checked.
        n_in: rows of the inputs, which come first.
        like: the projections of the inputs, if there are any, and of the neurons, but for their synapses.

    Raises:
        InputError: targets out of range or order, or as many weights as there are no synapses.
    """
    n = indptr.size - 1
    ptr: Pointers = np.zeros((n_blocks(n - n_in), n + 1), pointer_type(int(indptr[-1])))
    with zipfile.ZipFile(path) as archive:
        _count(archive, indptr, n_in, ptr, str(path))
        place_blocks(ptr)
        indices, weights = _place(archive, indptr, n_in, ptr, str(path))
    found: list[Projection] = []
    for q in like:
        own = ptr[:, : n_in + 1].copy() if q.source != q.target else ptr[:, n_in:]
        parts = of_blocks(q, own, indices, weights)
        bits = max((value_bits(p.weights) for p in parts), default=q.weight_bits)
        found += [replace(p, weight_bits=bits) for p in parts]
    return tuple(found)


def _count(archive: zipfile.ZipFile, indptr: I64, n_in: int, ptr: Pointers, where: str) -> None:
    row, last, at = 0, -1, 0
    with _array(archive, "indices", int(indptr[-1]), where) as pieces:
        for piece in pieces:
            row, last = _count_piece(indptr, piece, at, row, last, n_in, ptr)
            if row < 0:
                raise InputError(
                    f"{where}: indices",
                    f"row {-row - 1} has the target {last}; targets must be LIF neurons {n_in}..{indptr.size - 2}, ascending "
                    "and unique in a row",
                )
            at += piece.size


def _place(archive: zipfile.ZipFile, indptr: I64, n_in: int, ptr: Pointers, where: str) -> tuple[U16, AnyInts]:
    total = int(indptr[-1])
    with _array(archive, "indices", total, where) as targets, _array(archive, "weights", total, where) as words:
        first = next(words)
        indices, weights = np.empty(total, np.uint16), np.empty(total, first.dtype)
        state, at = (0, -1, 0), 0
        for piece in targets:
            state = _place_piece(indptr, piece, first, at, *state, n_in, ptr, indices, weights)
            at += piece.size
            first = next(words, first[:0])
    return indices, weights


@contextmanager
def _array(archive: zipfile.ZipFile, name: str, size: int, where: str) -> Iterator[Iterator[AnyInts]]:
    """Open an array of integers; yields its pieces."""
    form: Any = np.lib.format  # untyped in numpy
    with archive.open(f"{name}.npy") as stream:
        old = form.read_magic(stream) == (1, 0)
        shape, _, dtype = (form.read_array_header_1_0 if old else form.read_array_header_2_0)(stream)
        if dtype.kind not in "iu":
            raise InputError(f"{where}: {name}", f"has type {dtype}; it must hold integers")
        if shape != (size,):
            raise InputError(f"{where}: {name}", f"has shape {shape}; it must be {(size,)}")
        yield _pieces(stream, dtype, size)


def _pieces(stream: IO[bytes], dtype: np.dtype[np.integer], size: int) -> Iterator[AnyInts]:
    for at in range(0, size, _PIECE):
        data = stream.read(min(_PIECE, size - at) * dtype.itemsize)
        piece: AnyInts = np.frombuffer(data, dtype)
        yield piece.astype(dtype.newbyteorder("="), copy=False)


@numba.njit(cache=True, nogil=True)
def _count_piece(indptr: I64, piece: AnyInts, at: int, row: int, last: int, low: int, out: Pointers) -> tuple[int, int]:
    """Count a piece that begins at place `at`; returns (row, last target), the row as -1 - row where a target is wrong."""
    high = indptr.size - 1
    for k in range(piece.size):
        while at + k >= indptr[row + 1]:
            row += 1
            last = -1
        target = int(np.int64(piece[k]))
        if target < low or target <= last or target >= high:
            return -1 - row, target
        last = target
        out[(target - low) >> 16, row + 1] += 1
    return row, last


@numba.njit(cache=True, nogil=True)
def _place_piece(
    indptr: I64, piece: AnyInts, words: AnyInts, at: int, row: int, block: int, place: int, low: int, ptr: Pointers,
    indices: U16, weights: AnyInts,
) -> tuple[int, int, int]:  # fmt: skip
    """Put a piece that begins at place `at` where it belongs; returns (row, block, next place in it)."""
    for k in range(piece.size):
        while at + k >= indptr[row + 1]:
            row += 1
            block = -1
        target = int(np.int64(piece[k])) - low
        if target >> 16 != block:
            block = target >> 16
            place = ptr[block, row]
        indices[place], weights[place] = target & 65535, words[k]
        place += 1
    return row, block, place
