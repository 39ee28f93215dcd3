"""Numbers that a long run leaves behind: on the disk, in the order in which they came, instead of in memory."""

from __future__ import annotations

import contextlib
import math
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from simulator.base.arrays import Array
from simulator.base.writing import os_errors

_BLOCK_BYTES = 1 << 20


class Spool:
    """Rows of one type and shape in an unnamed file, which goes with the object and with the process.

    Args:
        dtype: of every number.
        row: shape of a row; () where a row is one number.
        folder: on whose disk the rows lie; by default the system's folder for temporary files.
        each: rows that belong together: the array has the shape [rows / each, each, ...]; None: [rows, ...].

    Attributes:
        rows: how many there are.
    """

    def __init__(
        self, dtype: npt.DTypeLike, row: tuple[int, ...] = (), folder: Path | None = None, each: int | None = None
    ) -> None:
        self.dtype, self.row, self.rows, self._each = np.dtype(dtype), row, 0, each
        self._shown = str(folder or tempfile.gettempdir())
        with os_errors(self._shown):
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
        weakref.finalize(self, _close, self._file)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of all rows as one array."""
        return (self.rows, *self.row) if self._each is None else (self.rows // self._each, self._each, *self.row)

    def add(self, rows: Array) -> None:
        """Append rows, one array [n, ...] of this type.

        Raises:
            InputError: the disk is full.
        """
        assert rows.dtype == self.dtype and rows.shape[1:] == self.row
        with os_errors(self._shown):
            self._file.write(np.ascontiguousarray(rows).data if rows.size else b"")
        self.rows += len(rows)

    def fill(self, value: int, rows: int) -> None:
        """Append rows that hold one value."""
        most = max(1, _BLOCK_BYTES // self._row_bytes)
        for start in range(0, rows, most):
            self.add(np.full((min(most, rows - start), *self.row), value, self.dtype))

    def blocks(self) -> Iterator[Array]:
        """Yield all rows in order, some at a time."""
        most = max(1, _BLOCK_BYTES // self._row_bytes)
        for start in range(0, self.rows, most):
            yield self.read(start, min(self.rows, start + most))

    def read(self, start: int, stop: int) -> Array:
        """Return some rows."""
        with os_errors(self._shown):
            self._file.seek(start * self._row_bytes)
            data = self._file.read((stop - start) * self._row_bytes)
            self._file.seek(0, 2)
        rows: Array = np.frombuffer(data, self.dtype).reshape(stop - start, *self.row)
        return rows

    def array(self) -> Array:
        """Return all rows as one array in memory."""
        rows: Array = np.concatenate([np.zeros((0, *self.row), self.dtype), *self.blocks()])
        return rows.reshape(self.shape)

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.row)


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # a full disk, which `add` or `read` has said already
        file.close()
