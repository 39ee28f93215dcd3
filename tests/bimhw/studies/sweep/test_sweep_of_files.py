"""Sweeps of a .nir file with recorded outputs and no labels: chips with neurons of their own, chips without figures, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import bimhw
from bimhw.studies.sweep.pareto import rank
from bimhw.studies.sweep.plot import plot_sweep
from bimhw.studies.sweep.run import run_sweep
from bimhw.studies.sweep.spec import SweepSpec
from simulator.base.errors import InputError

DT = 1e-4


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Write a leaky layer of weights in 1/16 that resets to 0, its input and its spikes by a plain loop (v > 1)."""
    rng = np.random.default_rng(3)
    weight, keep = rng.integers(-4, 14, (5, 6)) / 16, 0.75
    tau = np.full(5, DT / (1 - keep))
    nodes = {
        "in": nir.Input(np.array([6])),
        "w": nir.Linear(weight),
        "cells": nir.LIF(tau, tau / DT, np.zeros(5), np.ones(5), np.zeros(5)),
        "out": nir.Output(np.array([5])),
    }
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, [("in", "w"), ("w", "cells"), ("cells", "out")]))
    x = (rng.random((12, 3, 6)) < 0.5).astype(np.float32)
    v, out = np.zeros((3, 5)), []
    for step in x:
        v = keep * v + step @ weight.T
        out.append(v > 1)
        v = np.where(out[-1], 0, v)
    np.savez(tmp_path / "data.npz", x=x, out=np.array(out, np.float32))
    return tmp_path / "net.nir", tmp_path / "data.npz"


def _spec(files: tuple[Path, Path], **more: Any) -> SweepSpec:
    return SweepSpec(source=str(files[0]), data=str(files[1]), **more)


def test_chips_with_neurons_of_their_own_give_what_compile_gives(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The functional run was of the float model's neuron, which loihi1 then refused."""
    result = run_sweep(_spec(files, axes={"chip": ("loihi1", "loihi2", "loihi1-fitted")}), tmp_path / "s.sqlite")
    assert result.failed == 0 and result.functional_runs == 2  # the two forms of loihi1 share theirs
    own = result.rows[0]
    made = bimhw.compile(files[0], "loihi1", data=files[1])
    assert own["fidelity"] == "approximate: cells: leaky runs as the chip's loihi_cuba"
    assert own["neurons"] == made.program.n_neurons and result.rows[1]["fidelity"] == "faithful"


def test_recorded_outputs_say_how_the_file_is_read(files: tuple[Path, Path], tmp_path: Path) -> None:
    """As for `compile`: one step later, what is subtracted is not what this file does, and `out` tells."""
    spec = _spec(files, axes={"chip": ("loihi2",)})
    profile = spec.network(spec.source).meta["reading"]
    assert profile == bimhw.compile(files[0], "loihi2", data=files[1]).network.meta["reading"]


def test_without_labels_the_picture_is_latency_against_energy(files: tuple[Path, Path], tmp_path: Path) -> None:
    result = run_sweep(_spec(files, axes={"chip": ("loihi2", "speck")}), tmp_path / "s.sqlite")
    loihi2, speck = result.rows
    assert speck["total_uj"] is None and speck["latency_us"] is None and loihi2["total_uj"] > 0
    assert loihi2["pareto"] and not speck["pareto"], "what nobody published beats nothing"
    plot_sweep(result, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
    alone = run_sweep(_spec(files, axes={"chip": ("speck",)}), tmp_path / "s.sqlite")
    with pytest.raises(InputError, match="no point whose energy and accuracy or latency are known"):
        plot_sweep(alone, tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_what_is_unknown_ranks_last() -> None:
    assert rank(None, 2.0, None) == (0.0, 2.0, float("inf")) and rank(0.5, None, 3.0) == (-0.5, float("inf"), 3.0)
