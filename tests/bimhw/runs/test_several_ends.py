"""Networks with several inputs and outputs, their data, and the four ways to decode an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bimhw
from bimhw.frontends.nir import choose, read_graph, run_graph
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.stack import LI, LIF, Stack
from bimhw.runs.outputs import reduce
from bimhw.tasks.dataset import Dataset
from simulator.base.errors import InputError
from tests.bimhw.frontends.test_nir_reader import write_raw

STEPS, BATCH = 12, 5


def two_ended(path: Path) -> Path:
    """Write a net of inputs ``left`` [3] and ``right`` [2] into one layer, whose spikes and a second layer's are outputs."""
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


@pytest.mark.parametrize(
    "last, decode, message", [("li", "first", "sends its value in every step"), ("readout", "count", "never fires"),
                              ("readout", "first", "never fires"), ("li", "count", "")],
)  # fmt: skip
def test_spikes_are_not_read_where_an_output_has_none(last: str, decode: str, message: str, tmp_path: Path) -> None:
    """All scores were 0, or all of them T: class 0 for every sample, and its share for an accuracy."""
    torch.manual_seed(0)
    li: Any = Stack(torch.nn.Linear(4, 6), LIF(0.75), torch.nn.Linear(6, 3), LI(0.75))
    net: Any = BimNet(BimConfig(n_in=4, hidden=(5,), n_out=3), 0) if last == "readout" else li
    x = np.random.default_rng(0).integers(0, 2, (4, 6, 4))
    program = bimhw.compile(net, "loihi2", calibration=x).program
    data = Dataset(x, np.arange(4) % 3, layout="bt")
    if message:
        with pytest.raises(InputError, match=message):
            bimhw.simulate(program, data=data, decode=decode, output=tmp_path / "run", engine="none")
        assert not (tmp_path / "run").exists()
        return
    scores = bimhw.simulate(program, data=data, decode=decode, output=tmp_path / "run", engine="none").outputs["scores"]
    assert np.ptp(scores, axis=1).min() > 0


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


def graph_outputs(model: Path, x: dict[str, Any]) -> dict[str, Any]:
    """Return the graph engine's own values [B, T, n] of each Output node."""
    graph = read_graph(model)
    given = {n: v.swapaxes(0, 1).astype(float) for n, v in x.items()}
    return {n: v.swapaxes(0, 1) for n, v in run_graph(graph, choose(graph, None, 1.0), given).outputs.items()}


def test_each_output_is_judged_by_the_values_of_its_name(tmp_path: Path) -> None:
    model, x = two_ended(tmp_path / "m.nir"), values()
    wanted = graph_outputs(model, x)
    labels = wanted["first"].sum(axis=1).argmax(axis=1)
    labels[0] = (labels[0] + 1) % 4  # one is wrong
    arrays: dict[str, Any] = {f"x.{name}": v for name, v in x.items()}
    arrays |= {"y.first": labels, "y.second": wanted["second"].sum(axis=1) + 0.25, "out.second": wanted["second"]}
    np.savez(tmp_path / "d.npz", **arrays)
    program = bimhw.compile(model, data=tmp_path / "d.npz", dt=1.0).program
    run = bimhw.simulate(program, data=tmp_path / "d.npz", model=model, output=tmp_path / "run", engine="none")
    first, second = run.result["outputs"]["first"], run.result["outputs"]["second"]
    assert first["accuracy"] == first["float_accuracy"] == 1 - 1 / BATCH
    assert np.trace(np.asarray(first["confusion"])) == BATCH - 1
    assert second["rms_error"] == second["float_rms_error"] == pytest.approx(0.25)
    assert second["recorded_differ"] == 0 and second["recorded_of"] == wanted["second"].size
    assert "accuracy" not in run.result and "rms_error" not in run.result
    np.testing.assert_array_equal(run.outputs["values.second"], wanted["second"])
    np.testing.assert_array_equal(run.outputs["scores.first"], wanted["first"].sum(axis=1))
    page = bimhw.report(run.folder, tmp_path / "page.html")
    text = page.read_text() if isinstance(page, Path) else Path(tmp_path / "page.html").read_text()
    assert "Confusion matrix of first" in text and "Outputs" in text
    checked = bimhw.check_nir(model, _time_first(tmp_path, arrays), dt=1.0)
    assert (checked.differ, checked.of) == (0, wanted["second"].size)


def _time_first(folder: Path, arrays: dict[str, Any]) -> Path:
    kept = {k: v.swapaxes(0, 1) for k, v in arrays.items() if not k.startswith("y.")}
    np.savez(folder / "t.npz", **kept)
    return folder / "t.npz"


def test_values_of_an_output_that_is_not_there_are_refused(tmp_path: Path) -> None:
    model, x = two_ended(tmp_path / "m.nir"), values()
    data = Dataset(x["left"], inputs=x, layout="bt", targets={"third": np.arange(BATCH)})
    program = bimhw.compile(model, data=data, dt=1.0).program
    with pytest.raises(InputError, match=r"third.*Outputs: first, second"):
        bimhw.simulate(program, data=data, output=tmp_path / "run", engine="none")
    short = replace(data, targets={"first": np.arange(BATCH - 1)})
    with pytest.raises(InputError, match=r"y\.first"):
        bimhw.simulate(program, data=short, output=tmp_path / "run", engine="none")


def test_an_only_output_may_be_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes: Any = {
        "in": ("Input", {"shape": np.array([3])}),
        "w": ("Linear", {"weight": rng.integers(-10, 40, (2, 3)) / 32}),
        "a": ("IF", {"r": np.ones(2), "v_threshold": np.ones(2)}),
        "class": ("Output", {"shape": np.array([2])}),
    }
    model = write_raw(tmp_path / "m.nir", nodes, [("in", "w"), ("w", "a"), ("a", "class")])
    x = (rng.random((BATCH, STEPS, 3)) < 0.4).astype(np.uint8)
    y = np.arange(BATCH) % 2
    program = bimhw.compile(model, data=Dataset(x, layout="bt"), dt=1.0).program
    named = Dataset(x, layout="bt", targets={"class": y})
    runs = [
        bimhw.simulate(program, data=d, output=tmp_path / str(k), engine="none").result
        for k, d in enumerate((named, Dataset(x, y, layout="bt")))
    ]
    assert runs[0]["accuracy"] == runs[1]["accuracy"] and "outputs" not in runs[0]


def test_each_output_is_decoded_by_its_own_rule(tmp_path: Path) -> None:
    """A spiking output counts; a leaky integrator beside it shows its membrane at the last step."""
    rng = np.random.default_rng(1)
    nodes: Any = {
        "in": ("Input", {"shape": np.array([3])}),
        "w": ("Linear", {"weight": rng.integers(-10, 40, (2, 3)) / 32}),
        "a": ("IF", {"r": np.ones(2), "v_threshold": np.ones(2)}),
        "v": ("Linear", {"weight": rng.integers(-10, 40, (2, 2)) / 32}),
        "li": ("LI", {"tau": np.full(2, 2.0), "r": np.ones(2), "v_leak": np.zeros(2)}),
        "class": ("Output", {"shape": np.array([2])}),
        "value": ("Output", {"shape": np.array([2])}),
    }
    edges = [("in", "w"), ("w", "a"), ("a", "class"), ("a", "v"), ("v", "li"), ("li", "value")]
    model = write_raw(tmp_path / "m.nir", nodes, edges)
    x = (rng.random((BATCH, STEPS, 3)) < 0.4).astype(np.uint8)
    wanted = graph_outputs(model, {"in": x})
    data = Dataset(x, layout="bt", targets={"value": wanted["value"][:, -1], "class": np.arange(BATCH) % 2})
    program = bimhw.compile(model, data=data, dt=1.0).program
    run = bimhw.simulate(program, data=data, output=tmp_path / "run", engine="none")
    np.testing.assert_array_equal(run.outputs["scores.class"], wanted["class"].sum(axis=1))
    assert run.result["outputs"]["value"]["relative_rms_error"] < 0.02  # the word's rounding
