"""The kernels of both loops against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.function.kernels import add_row_by_eight, add_row_by_one, compact

_TYPES = [
    (np.int16, np.uint16, np.int8), (np.int32, np.uint32, np.int16), (np.int64, np.int32, np.int32),
    (np.int32, np.uint16, np.int8),
]  # fmt: skip


@pytest.mark.parametrize("add_row", [add_row_by_eight, add_row_by_one])
@pytest.mark.parametrize(("sums", "target", "weight"), _TYPES)
def test_add_row_adds_each_synapse_once_wherever_the_row_begins(
    sums: type, target: type, weight: type, add_row: Any
) -> None:
    rng = np.random.default_rng(5)
    targets, weights = rng.integers(3, 40, 64).astype(target), rng.integers(-128, 128, 64).astype(weight)
    for start in range(9):
        for end in (start, start + 1, start + 7, start + 8, start + 9, 40, 64):
            for offset, factor in ((0, 1), (2**64 - 3, -9)):
                found, expected = np.ones(40, sums), np.ones(40, sums)
                add_row(found, np.uint64(offset), targets, weights, np.uint64(start), np.uint64(end), factor)
                places = (targets[start:end].astype(np.int64) + (offset - 2**64 if offset else 0)).tolist()
                np.add.at(expected, places, weights[start:end].astype(sums) * sums(factor))
                assert (found == expected).all()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.3, 1.0])
def test_compact_appends_who_fired_and_writes_at_most_one_entry_more(share: float) -> None:
    rng = np.random.default_rng(7)
    for size in (64, 320):
        flag = (rng.random(size) < share).astype(np.uint8)
        ids = np.full(size + 8, -1, np.int32)
        end = int(compact(flag, np.int32(100), ids, np.uint64(2)))
        expected = 100 + np.flatnonzero(flag)
        assert ids[:2].tolist() == [-1, -1]
        assert ids[2:end].tolist() == expected.tolist()
        assert (ids[end + 1 :] == -1).all()
