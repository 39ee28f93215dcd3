"""Counters survive a file, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.base.errors import InputError
from simulator.program.activity import Activity, Count


def _activity() -> Activity:
    count = Count(np.array([3, 4, 0]), np.array([5, 2]), np.array([0, 7]))
    return Activity({"spikes": count}, 2, 1, ("in", "hidden"), 12.5, 2, ("note",))


def test_save_and_load(tmp_path: Path) -> None:
    activity = _activity()
    activity.save(tmp_path / "a.npz")
    activity.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    back = Activity.load(tmp_path / "a.npz")
    assert back.total("spikes") == 7
    assert back.total("packets") == 0
    np.testing.assert_array_equal(back.counts["spikes"].by_core, [3, 4, 0])
    assert (back.steps, back.samples, back.populations, back.sim_time_ns, back.notes) == (
        2,
        1,
        ("in", "hidden"),
        12.5,
        ("note",),
    )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x93NUMPY"])
def test_not_counters(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz"):
        Activity.load(tmp_path / "a.npz")


def test_another_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with pytest.raises(InputError, match="counters of a run"):
        Activity.load(tmp_path / "a.npz")


def test_counters_whose_sum_leaves_64_bits_are_refused(tmp_path: Path) -> None:
    """Four times 2^62 wrap to 0, and would agree with counters of nothing."""
    nothing = np.zeros(2, np.int64)
    Activity({"spikes": Count(np.full(4, 2**62), nothing, nothing)}, 2, 1, ("in", "hidden")).save(tmp_path / "a.npz")
    with pytest.raises(InputError, match="sums to more than"):
        Activity.load(tmp_path / "a.npz")
