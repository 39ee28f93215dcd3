"""`bimhw bench` on chips whose steps do not end at a barrier."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from bimhw.runs.bench import bench
from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.chips.quantity import Quantity


def _net(folder: Path) -> Path:
    arrays = {
        "indptr": np.array([0, 1, 2]), "indices": np.array([1, 1]), "weights": np.array([7, -8], np.int8),
        "bias": np.zeros(2, int), "v0": np.zeros(2, int), "thr": np.array(3), "n_in": np.array(1),
        "in_ptr": np.array([0, 1, 2]), "in_idx": np.array([0, 0]), "core": np.zeros(2, int),
    }  # fmt: skip
    np.savez(folder / "net.npz", **arrays)  # type: ignore[arg-type]
    return folder / "net.npz"


def _chip(folder: Path, sync: str) -> str:
    chip = load_chip("generic")
    assert chip.timing is not None
    timing = msgspec.structs.replace(chip.timing, handshake=Quantity(10.0, "ns", "test", "assumed"))
    can = msgspec.structs.replace(chip.capabilities, sync=(sync,))
    own = msgspec.structs.replace(chip, name="own", capabilities=can, timing=timing)
    (folder / f"{sync}.yaml").write_bytes(msgspec.json.encode(own))
    return str(folder / f"{sync}.yaml")


def test_neighbours_take_the_place_of_barriers(tmp_path: Path) -> None:
    net = _net(tmp_path)
    found = bench(net, chip=_chip(tmp_path, "neighbour"))
    assert found.sim_time_us_per_step and found.spikes == bench(net, chip="generic").spikes


@pytest.mark.parametrize("sync", ["tick", "free"])
def test_a_chip_of_ticks_is_answered_with_a_way(sync: str, tmp_path: Path) -> None:
    net, chip = _net(tmp_path), _chip(tmp_path, sync)
    with pytest.raises(InputError, match=rf"has no steps that end by themselves \({sync}\).* --sync tick --period"):
        bench(net, chip=chip)
    assert bench(net, chip=chip, engine="none").spikes
