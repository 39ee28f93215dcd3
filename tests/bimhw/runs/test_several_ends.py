"""Networks with several inputs and outputs, their data, and the four ways to decode an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bimhw
from bimhw.frontends.nir import choose, read_graph, run_graph
from bimhw.runs.answers import reduce
from bimhw.tasks.dataset import Dataset
from simulator.base.errors import InputError
from tests.bimhw.frontends.test_nir_reader import write_raw

STEPS, BATCH = 12, 5


def two_ended(path: Path) -> Path:
    """Inputs ``left`` [3] and ``right`` [2] into one layer; its spikes are an output, and so are those of a second layer."""
    rng = np.random.default_rng(2)
    nodes: Any = {
        "left": ("Input", {"shape": np.array([3])}),
        "right": ("Input", {"shape": np.array([2])}),
        "wl": ("Linear", {"weight": rng.integers(-10, 40, (4, 3)) / 32}),
        "wr": ("Linear", {"weight": rng.integers(-10, 40, (4, 2)) / 32}),
        "a": ("IF", {"r": np.ones(4), "v_threshold": np.ones(4)}),
        "w": ("Linear", {"weight": rng.integers(-10, 40, (3, 4)) / 32}),
        "b": ("IF", {"r": np.ones(3), "v_threshold": np.ones(3)}),
        "first": ("Output", {"shape": np.array([4])}),
        "second": ("Output", {"shape": np.array([3])}),
    }
    edges = [("left", "wl"), ("wl", "a"), ("right", "wr"), ("wr", "a"), ("a", "w"), ("w", "b")]
    return write_raw(path, nodes, [*edges, ("a", "first"), ("b", "second")])


def values() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: (rng.random((BATCH, STEPS, n)) < 0.4).astype(np.uint8) for name, n in (("left", 3), ("right", 2))}


def test_several_inputs_and_outputs_go_the_whole_way(tmp_path: Path) -> None:
    model, x = two_ended(tmp_path / "m.nir"), values()
    np.savez(tmp_path / "d.npz", **{f"x.{name}": v for name, v in x.items()}, y=np.arange(BATCH))
    graph = read_graph(model)
    wanted = run_graph(
        graph, choose(graph, None, 1.0), {n: v.swapaxes(0, 1).astype(float) for n, v in x.items()}
    ).outputs
    program = bimhw.compile(model, data=tmp_path / "d.npz", dt=1.0).program
    run = bimhw.simulate(program, data=tmp_path / "d.npz", model=model, output=tmp_path / "run", engine="none")
    both = np.concatenate([wanted["first"], wanted["second"]], axis=2).swapaxes(0, 1)
    assert both.any()
    np.testing.assert_array_equal(run.outputs["values"], both)  # weights on the grid: nothing is rounded
    assert run.result["decisions_agree"] == 1.0
    assert np.asarray(run.result["confusion"]).sum() == BATCH
    pytest.importorskip("brian2")
    assert all(c.equal for c in bimhw.cross_check(model, data=Dataset.open(tmp_path / "d.npz")))


def test_an_input_that_is_not_there_is_named(tmp_path: Path) -> None:
    model, x = two_ended(tmp_path / "m.nir"), values()
    np.savez(tmp_path / "d.npz", **{"x.left": x["left"]})
    with pytest.raises(InputError, match=r"holds x\.left.*takes x\.left, x\.right"):
        bimhw.compile(model, data=tmp_path / "d.npz", dt=1.0)
    short = {"x.left": x["left"], "x.right": x["right"][:, :5]}
    np.savez(tmp_path / "e.npz", **short)
    with pytest.raises(InputError, match="different samples and steps"):
        bimhw.compile(model, data=tmp_path / "e.npz", dt=1.0)


def test_one_array_is_all_inputs_side_by_side(tmp_path: Path) -> None:
    model, x = two_ended(tmp_path / "m.nir"), values()
    named = Dataset(x["left"], inputs=x)
    joined = Dataset(np.concatenate([x["left"], x["right"]], axis=2), layout="bt")
    program = bimhw.compile(model, data=named, dt=1.0).program
    runs = [
        bimhw.simulate(program, data=replace(d, layout="bt"), output=tmp_path / name, engine="none")
        for name, d in (("named", named), ("joined", joined))
    ]
    np.testing.assert_array_equal(runs[0].outputs["values"], runs[1].outputs["values"])


def test_the_four_ways_to_decode() -> None:
    value = np.array([[[0.0, 1, 0], [2, 0, 0], [0, 3, 0], [1, 0, 0.5]]])
    np.testing.assert_array_equal(reduce(value, "count", (3,)), [[3, 4, 0.5]])
    np.testing.assert_array_equal(reduce(value, "max", (3,)), [[2, 3, 0.5]])
    np.testing.assert_array_equal(reduce(value, "membrane", (1, 3)), [[1.5, 0, 0.25]])
    np.testing.assert_array_equal(reduce(value, "first", (3,)), [[3, 4, 1]])  # steps left when each fired
    assert reduce(np.zeros((1, 4, 3)), "first", (3,)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("decode", ["count", "first", "membrane", "max"])
def test_answers_on_the_chip_are_those_of_the_float_network(tmp_path: Path, decode: str) -> None:
    model, x = two_ended(tmp_path / "m.nir"), values()
    data = Dataset(x["left"], np.arange(BATCH) % 3, inputs=x, layout="bt")
    program = bimhw.compile(model, data=data, dt=1.0).program
    run = bimhw.simulate(program, data=data, decode=decode, model=model, output=tmp_path / "run", engine="none")
    assert run.result["decisions_agree"] == 1.0
    assert run.result["accuracy"] == run.result["float_accuracy"]
    assert run.result["scores_rms_error"] < 1e-3


def test_real_targets_are_judged_by_their_rms_error(tmp_path: Path) -> None:
    model, x = two_ended(tmp_path / "m.nir"), values()
    data = Dataset(x["left"], inputs=x, layout="bt")
    program = bimhw.compile(model, data=data, dt=1.0).program
    scores = bimhw.simulate(program, data=data, output=tmp_path / "a", engine="none").outputs["scores"]
    judged = replace(data, y=scores + 0.5)
    result = bimhw.simulate(program, data=judged, output=tmp_path / "b", engine="none").result
    assert result["rms_error"] == pytest.approx(0.5) and "accuracy" not in result
    with pytest.raises(InputError, match="outputs"):
        bimhw.simulate(program, data=replace(data, y=np.ones((BATCH, 2))), output=tmp_path / "c", engine="none")
