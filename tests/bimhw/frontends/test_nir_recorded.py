"""Recorded outputs choose the reading of a .nir file, and say so; labels alone only give a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bimhw
from bimhw.frontends.nir import choose, read_graph, run_graph
from bimhw.frontends.nir.recorded import recorded_reading
from bimhw.tasks.dataset import Dataset
from simulator.base.errors import InputError
from tests.bimhw.frontends.test_nir_reader import write_raw

DT = 1e-4


def leaky_net(path: Path) -> Path:
    """Two layers of LIF in snnTorch's way of export: tau = dt / (1 - beta), r = tau / dt."""
    rng = np.random.default_rng(3)
    tau = DT / 0.1
    lif: Any = {"tau": np.array([tau]), "r": np.array([tau / DT]), "v_leak": np.zeros(1), "v_threshold": np.ones(1)}
    nodes: Any = {
        "in": ("Input", {"shape": np.array([6])}),
        "fc": ("Linear", {"weight": rng.integers(-20, 40, (8, 6)) / 32}),
        "a": ("LIF", lif),
        "fc2": ("Linear", {"weight": rng.integers(-20, 40, (3, 8)) / 32}),
        "b": ("LIF", lif),
        "out": ("Output", {"shape": np.array([3])}),
    }
    return write_raw(path, nodes, [("in", "fc"), ("fc", "a"), ("a", "fc2"), ("fc2", "b"), ("b", "out")])


def recorded(model: Path, profile: str | None, batch: int = 12) -> Dataset:
    graph = read_graph(model)
    x = (np.random.default_rng(1).random((25, batch, 6)) < 0.5).astype(np.float64)
    out = run_graph(graph, choose(graph, profile), {"in": x}).outputs["out"]
    y = out.sum(axis=0).argmax(axis=1)
    return Dataset(x.astype(np.uint8), y, out.astype(np.uint8), layout="tb")


@pytest.mark.parametrize("profile", ["snntorch-subtract", "snntorch-subtract-now"])
def test_the_reading_that_gives_the_outputs_is_taken(tmp_path: Path, profile: str) -> None:
    model = leaky_net(tmp_path / "m.nir")
    data = recorded(model, profile)
    found = recorded_reading(model, data)
    assert found.profile == profile and "exactly" in found.note
    program = bimhw.compile(model, data=data).program
    assert any(note.startswith(f"profile {profile}") for note in program.meta["notes"])
    result = bimhw.simulate(program, data=data, output=tmp_path / "run", engine="none").result
    assert result["recorded_differ"] < 0.02 * result["recorded_of"] and result["accuracy"] >= 11 / 12


def test_the_files_own_reading_is_kept_where_it_is_exact(tmp_path: Path) -> None:
    model = leaky_net(tmp_path / "m.nir")
    assert recorded_reading(model, recorded(model, None)) == recorded_reading(model, Dataset(np.zeros((4, 2, 6))))
    assert recorded_reading(model, recorded(model, None)).profile is None


def test_a_profile_that_was_asked_for_is_not_overruled(tmp_path: Path) -> None:
    model = leaky_net(tmp_path / "m.nir")
    data = recorded(model, "snntorch-subtract")
    notes = bimhw.compile(model, data=data, profile="euler").program.meta["notes"]
    assert not any("exactly" in note for note in notes)


def test_outputs_of_no_reading_choose_nothing_and_the_nearest_is_named(tmp_path: Path) -> None:
    model = leaky_net(tmp_path / "m.nir")
    data = recorded(model, "snntorch-subtract")
    assert data.out is not None
    damaged = data.out.copy()
    damaged[0, 0] ^= 1
    found = recorded_reading(model, Dataset(data.x, data.y, damaged, layout="tb"))
    assert found.profile is None and "--profile snntorch-subtract" in found.note


def test_labels_alone_give_a_hint(tmp_path: Path) -> None:
    model = leaky_net(tmp_path / "m.nir")
    data, other = recorded(model, "snntorch-subtract", 600), recorded(model, None, 600)
    assert data.y is not None and other.y is not None
    parted = np.flatnonzero(data.y != other.y)[:16]
    assert parted.size >= 3
    found = recorded_reading(model, Dataset(data.x[:, parted], data.y[parted], layout="tb"))
    assert found.profile is None
    assert f"0 of {parted.size} samples are right" in found.note and f"{parted.size} with --profile" in found.note


def test_check_takes_every_form_of_data(tmp_path: Path) -> None:
    model = leaky_net(tmp_path / "m.nir")
    data = recorded(model, "snntorch-subtract")
    assert data.out is not None
    assert bimhw.check_nir(model, data, "snntorch-subtract").differ == 0
    first = {"x": data.x.swapaxes(0, 1), "out": data.out.swapaxes(0, 1), "y": data.y}
    np.savez(tmp_path / "bt.npz", **first)
    assert bimhw.check_nir(model, tmp_path / "bt.npz", "snntorch-subtract").differ == 0
    np.save(tmp_path / "x.npy", data.x)
    with pytest.raises(InputError, match="no recorded outputs"):
        bimhw.check_nir(model, tmp_path / "x.npy", "snntorch-subtract")


def test_data_read_the_wrong_way_round_is_hinted(tmp_path: Path) -> None:
    """Nothing in an .npz of x and out tells steps from samples."""
    model = leaky_net(tmp_path / "m.nir")
    data = recorded(model, None)
    np.savez(tmp_path / "d.npz", x=data.x.swapaxes(0, 1), out=data.out.swapaxes(0, 1))
    result = bimhw.check_nir(model, tmp_path / "d.npz")
    assert result.differ > 0
    assert result.hints[0] == "0 would differ with steps and samples of x swapped (--data-option layout=bt)"
    assert bimhw.check_nir(model, Dataset.open(tmp_path / "d.npz", layout="bt")).differ == 0
