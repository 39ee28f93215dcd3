"""`bimhw nir run`: integers beside float, by population."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bimhw.cli.commands.nir import command
from bimhw.runs.nir import run_nir
from simulator.base.errors import InputError
from tests.bimhw.frontends.test_nir_reader import write_raw


def if_chain(weight_scale: float) -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    nodes: Any = {
        "in": ("Input", {"shape": np.array([10])}),
        "fc": ("Affine", {"weight": rng.integers(-64, 64, (8, 10)) * weight_scale, "bias": np.full(8, weight_scale)}),
        "a": ("IF", {"r": np.ones(8), "v_threshold": np.ones(8)}),
        "fc2": ("Linear", {"weight": rng.integers(-64, 64, (4, 8)) * weight_scale}),
        "b": ("IF", {"r": np.ones(4), "v_threshold": np.ones(4)}),
        "out": ("Output", {"shape": np.array([4])}),
    }
    return nodes, [("in", "fc"), ("fc", "a"), ("a", "fc2"), ("fc2", "b"), ("b", "out")]


def test_weights_on_the_grid_change_no_spike(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "m.nir", *if_chain(1 / 64))
    found = run_nir(path, steps=30)
    assert found.comparison["differ"] == 0 and found.comparison["of"] == 4 * 30 * 12
    assert all(row["float_rate"] > 0.05 for row in found.comparison["populations"])


def test_coarse_weights_change_spikes_and_the_command_counts_them(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "m.nir", *if_chain(0.0137))
    result = CliRunner().invoke(command, ["run", str(path), "--bits", "3", "--json"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert found["float"]["differ"] > 0
    assert found["float"]["differ"] == sum(row["differ"] for row in found["float"]["populations"])
    assert found["cores"] >= 1 and found["chip"] == "loihi2"


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "m.nir", *if_chain(0.0137))
    found = set()
    for workers in ("1", "3", None):
        folder = tmp_path / f"run{workers}"
        chosen = [] if workers is None else ["--workers", workers]
        words = ["run", str(path), "--samples", "5", "-o", str(folder), "--json", *chosen]
        said = CliRunner().invoke(command, words, catch_exceptions=False)
        written = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
        assert "timing.npz" in written
        found.add((said.stdout, tuple(sorted(written.items()))))
    assert len(found) == 1


def test_recorded_outputs_are_compared_too(tmp_path: Path) -> None:
    from bimhw.frontends.nir import choose, read_graph, run_graph

    path = write_raw(tmp_path / "m.nir", *if_chain(1 / 64))
    x = (np.random.default_rng(1).random((20, 3, 10)) < 0.4).astype(np.float32)
    graph = read_graph(path)
    out = run_graph(graph, choose(graph), {"in": x.astype(float)}).outputs["out"]
    np.savez(tmp_path / "d.npz", x=x, out=out)
    found = run_nir(path, data=tmp_path / "d.npz")
    assert (found.differ, found.of) == (0, out.size)


def test_real_values_are_quantised_with_a_stated_scale(tmp_path: Path) -> None:
    from bimhw.frontends.nir import choose, read_graph, run_graph

    path = write_raw(tmp_path / "m.nir", *if_chain(1 / 64))
    x, y = np.random.default_rng(1).random((20, 3, 10)), np.array([0, 1, 3])
    graph = read_graph(path)
    out = run_graph(graph, choose(graph), {"in": x}).outputs["out"]
    np.savez(tmp_path / "d.npz", x=x, out=out, y=y)
    found = run_nir(path, data=tmp_path / "d.npz", output=tmp_path / "run")
    assert "values in units of 0.015625 = 2^-6" in found.report["calibration"]
    assert found.differ is not None and found.of == out.size and found.differ < 0.05 * out.size
    recorded = out.sum(axis=0).argmax(axis=1)
    assert found.result["recorded_accuracy"] == pytest.approx((recorded == y).mean())
    assert found.result["recorded_decisions_agree"] == 1.0
    assert found.result["accuracy"] == found.result["recorded_accuracy"]
    with np.load(tmp_path / "run" / "outputs.npz") as arrays:
        assert arrays["values"].shape == (3, 20, 4) and (arrays["scores"] == arrays["values"].sum(axis=1)).all()


def test_a_run_folder_is_timed_and_has_an_energy(tmp_path: Path) -> None:
    import bimhw
    from bimhw.runs.folder import RunFolder

    path = write_raw(tmp_path / "m.nir", *if_chain(1 / 64))
    found = run_nir(path, "loihi1-fitted", steps=10, output=tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    activity = folder.activity()
    spikes = sum(round(row["rate"] * row["of"]) for row in found.comparison["populations"])
    assert 0 < spikes <= activity.total("spikes")  # the folder also counts the steps in which the pipeline empties
    assert activity.sim_time_ns is not None and activity.sim_time_ns > 0
    assert folder.result["mean_latency_us"] > 0
    assert bimhw.energy(tmp_path / "run").as_json()["chip"]


def test_fit_reads_profiles_of_nir_files(tmp_path: Path) -> None:
    from bimhw.compiler.fit import fit

    nodes, edges = if_chain(1 / 64)
    shape = {"r": np.ones(8), "tau": np.full(8, 4.0), "v_leak": np.zeros(8), "v_threshold": np.ones(8)}
    path = write_raw(tmp_path / "m.nir", nodes | {"a": ("LIF", shape)}, edges)
    with pytest.raises(InputError, match="does not tell the time step"):
        fit(path)
    assert fit(path, dt=1.0)["fits"]
    assert "several times a step" in fit(path, "loihi1", profile="sinabs")["reason"]


def test_recorded_values_that_are_no_spikes_are_named(tmp_path: Path) -> None:
    """Membranes were compared with spikes, and all that differed was said to differ by quantisation."""
    path = write_raw(tmp_path / "m.nir", *if_chain(1 / 64))
    x = (np.random.default_rng(0).random((2, 20, 10)) < 0.3).astype(np.int8)
    for name, out in (("spikes", np.zeros((2, 20, 4))), ("membrane", np.full((2, 20, 4), -0.25))):
        np.savez(tmp_path / f"{name}.npz", x=x, out=out)
        result = CliRunner().invoke(command, ["run", str(path), "--data", str(tmp_path / f"{name}.npz")])
        assert result.exit_code == 0, result.output
        assert ("are no spikes (-0.25 to -0.25)" in result.output.replace("\n", " ")) == (name == "membrane")
        assert "by quantisation" not in result.output
