"""The run of a program on a small chip: figures against the float model, bytes, and errors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from bimhw.cli.commands.simulate import MOST_CORES, command
from bimhw.compiler.pipeline import compile
from bimhw.learning.api import train
from bimhw.runs.folder import RunFolder
from bimhw.runs.simulate import SimulationResult, simulate
from bimhw.views.build import write_report
from simulator.base.errors import InputError, SaturationError, UnjudgedWarning
from simulator.chips.load import load_chip
from simulator.program.program import Program

SAMPLES = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulate")
    train("digits", path / "m.pt", hidden=(24,), epochs=2, psp="delta")
    compile(path / "m.pt", chip="loihi2").program.save(path / "x.bimhw")
    return path


@pytest.fixture(scope="module")
def done(folder: Path) -> SimulationResult:
    return simulate(folder / "x.bimhw", samples=SAMPLES, model=folder / "m.pt", output=folder / "run")


def test_chip_is_near_the_float_model(done: SimulationResult) -> None:
    result = done.result
    assert abs(result["accuracy"] - result["float_accuracy"]) <= 0.1
    assert result["decisions_agree"] >= 0.85
    assert 0 < result["spikes_that_differ"] < 0.1 * result["spike_slots"]  # quantised, so some do and few do


def test_each_layer_is_compared(folder: Path, done: SimulationResult) -> None:
    (layer,) = done.result["layers"]
    assert layer["population"] == "layer1" and not layer["graded"]
    assert layer["differ"] == done.result["spikes_that_differ"] and layer["of"] == done.result["spike_slots"]
    # spikes are 0 or 1: the squares of the differences count the differing neuron-steps
    assert layer["rms_error"] == pytest.approx((layer["differ"] / (layer["float_rate"] * layer["of"])) ** 0.5)
    assert 0 < done.result["scores_rms_error"] < 0.3
    coarse = compile(folder / "m.pt", chip="loihi2", bits=4).program
    far = simulate(coarse, samples=SAMPLES, model=folder / "m.pt", output=folder / "coarse", engine="none").result
    assert far["scores_rms_error"] > done.result["scores_rms_error"]
    assert far["spikes_that_differ"] > layer["differ"]


def test_a_graded_layer_is_judged_by_its_error(tmp_path: Path) -> None:
    train("digits", tmp_path / "m.pt", hidden=(12, 10), epochs=1, psp="delta", readout="membrane")
    program = compile(tmp_path / "m.pt", chip="loihi2").program
    result = simulate(program, samples=5, model=tmp_path / "m.pt", output=tmp_path / "run", engine="none").result
    below, top = result["layers"]
    assert top["graded"] and not below["graded"]
    assert 0 < top["rms_error"] < 0.3
    assert result["spike_slots"] == below["of"] == top["of"] // 10 * 12


def test_folder_holds_what_was_run(done: SimulationResult) -> None:
    run = RunFolder.open(done.folder)
    program, activity, spikes = run.program(), run.activity(), run.spikes()
    assert run.manifest["program_sha256"] == program.sha256()
    assert spikes.steps == SAMPLES * program.meta["chip_steps"] == activity.steps
    width = program.population(program.meta["input"]["population"]).size
    assert activity.total("spikes") == int((spikes.ids >= width).sum())
    timing = run.timing()
    assert timing is not None
    tick_ns = run.result["tick_ns"]
    assert activity.sim_time_ns == pytest.approx(float(timing["step_ticks"].sum()) * tick_ns)
    assert run.result["mean_latency_us"] * SAMPLES == pytest.approx(activity.sim_time_ns / 1e3)


def test_same_seed_same_bytes(folder: Path, done: SimulationResult) -> None:
    again = simulate(folder / "x.bimhw", samples=SAMPLES, model=folder / "m.pt", output=folder / "again")
    for file in done.folder.iterdir():
        assert file.read_bytes() == (again.folder / file.name).read_bytes(), file.name


def test_engines_agree(folder: Path) -> None:
    runs = [
        simulate(folder / "x.bimhw", samples=2, engine=e, output=folder / e) for e in ("simpy", "clocked", "compiled")
    ]
    ticks = [np.load(r.folder / "timing.npz")["step_ticks"] for r in runs]
    np.testing.assert_array_equal(ticks[0], ticks[1])
    np.testing.assert_array_equal(ticks[0], ticks[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, "must be at least 1"),
        ({"samples": 501}, "has 500"),
        ({"engine": "fast"}, "Engines: "),
        ({"task": "fashion"}, "is not known"),
        ({"chip": "loihi1"}, "Compile it again with --chip loihi1"),
        ({"trace": "t.txt"}, "no kind of trace"),
        ({"trace": "t.npz", "trace_window": range(9, 999)}, "the run has the steps 0:36"),
        ({"trace": "t.npz", "engine": "bound"}, "cycle-level engine"),
    ],
)
def test_bad_input_leaves_no_run(folder: Path, change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"samples": 2, "output": folder / "bad"} | change
    with pytest.raises(InputError, match=message):
        simulate(folder / "x.bimhw", **arguments)  # type: ignore[arg-type]
    assert not (folder / "bad").exists()


def test_trace_of_a_window(folder: Path) -> None:
    for name in ("t.json", "t.npz", "t.vcd"):
        simulate(folder / "x.bimhw", samples=2, output=folder / "traced", trace=folder / name, trace_window=range(3, 9))
    events = json.loads((folder / "t.json").read_text())["traceEvents"]
    assert sum(e["ph"] == "X" for e in events) > 10
    assert "$timescale" in (folder / "t.vcd").read_text()
    steps = np.load(folder / "t.npz")
    assert steps["stamps"].shape[1] == 5
    assert set(steps["steps"]) == set(range(3, 9))


def test_own_chip_travels_with_the_program(folder: Path) -> None:
    own = msgspec.structs.replace(load_chip("loihi2"), name="mine")
    program = compile(folder / "m.pt", chip=own).program
    program.save(folder / "mine.bimhw")
    done = simulate(folder / "mine.bimhw", samples=2, output=folder / "own")
    assert done.manifest["chip"] == "mine"
    assert RunFolder.open(done.folder).chip() == own


def test_altered_program_is_refused(folder: Path) -> None:
    data = bytearray((folder / "x.bimhw").read_bytes())
    data[-3] ^= 1
    (folder / "altered.bimhw").write_bytes(data)
    with pytest.raises(InputError, match="was altered"):
        simulate(folder / "altered.bimhw", samples=1)
    (folder / "cut.bimhw").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut\.bimhw"):
        simulate(folder / "cut.bimhw", samples=1)


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json"):
        RunFolder.open(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match="not a JSON object"):
        _ = RunFolder.open(tmp_path).manifest


def test_faults_strictness_and_checkpoints_by_command(folder: Path, done: SimulationResult, tmp_path: Path) -> None:
    def call(name: str, *options: str) -> Result:
        arguments = [str(folder / "x.bimhw"), "--samples", str(SAMPLES), "-o", str(tmp_path / name), "--json", *options]
        return CliRunner().invoke(command, arguments)

    (tmp_path / "f.yaml").write_text("seed: 1\nstate_upset_rate: 1.0e-3\nclock_sigma: 0.1\n")
    broken = call("broken", "--faults", str(tmp_path / "f.yaml"))
    assert broken.exit_code == 0, broken.output
    result = json.loads(broken.stdout)
    assert result["faults"]["state_flips"] > 0
    assert result["manifest"]["faults"] == {
        "seed": 1, "dead_cores": [], "dead_links": [], "drop_rate": 0.0, "stuck_rate": 0.0, "stuck_value": "zero",
        "weight_flip_rate": 0.0, "weight_upset_rate": 0.0, "state_upset_rate": 0.001, "clock_sigma": 0.1,
    }  # fmt: skip
    assert result["mean_step_ticks"] != done.result["mean_step_ticks"]
    saturated = result["saturations"]
    assert sum(saturated["by_core"].values()) == saturated["total"] == sum(saturated["by_population"].values())
    page = write_report(tmp_path / "broken").read_text(encoding="utf-8")
    assert "Injected faults: seed 1, state_upset_rate 0.001, clock_sigma 0.1." in page
    assert f"state_flips {result['faults']['state_flips']:,}" in page
    whole, saved = call("whole"), call("saved", "--checkpoint", str(tmp_path / "c"), "--checkpoint-every", "37")
    assert whole.exit_code == saved.exit_code == 0
    for file in ("result.json", "spikes.npz", "activity.npz", "timing.npz", "manifest.json"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "saved" / file).read_bytes()


def test_saturations_are_shown_by_core_and_strict_refuses_them(folder: Path, tmp_path: Path) -> None:
    """Weights scaled up by 2^12: the membranes reach the ends of their words."""
    program = Program.load(folder / "x.bimhw")
    loud = tuple(dataclasses.replace(q, exponent=q.exponent + 12) for q in program.projections)
    dataclasses.replace(program, projections=loud).save(tmp_path / "loud.bimhw")
    arguments = [str(tmp_path / "loud.bimhw"), "--samples", "2", "-o", str(tmp_path / "run")]
    shown = CliRunner().invoke(command, arguments)
    assert shown.exit_code == 0, shown.output
    saturated = RunFolder.open(tmp_path / "run").result["saturations"]
    assert saturated["total"] > 0
    assert "saturated values by core" in " ".join(shown.output.split())
    for core, n in sorted(saturated["by_core"].items(), key=lambda item: -item[1])[:MOST_CORES]:
        assert any(core in line and f"{n:,}" in line for line in shown.output.splitlines())
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert f"{saturated['total']:,} values saturated" in page
    refused = CliRunner().invoke(command, [*arguments, "--strict"])
    assert isinstance(refused.exception, SaturationError)
    assert "and the run is strict" in str(refused.exception)


def test_areas_under_curves_where_a_task_is_judged_by_them() -> None:
    """Scores whose order is known: of 3 x 2 pairs, 5 are in order; a single class has no area."""
    from bimhw.runs.trials import SequenceTrial
    from bimhw.tasks.base import Split, Task

    x, y = np.zeros((5, 4, 2), np.int32), np.array([0, 1, 0, 1, 0])
    steps = np.array([False, False, False, True])
    task = Task("t", 2, 1.0, Split(x, y), Split(x, y), steps, steps, metric="auc")
    scores = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [0.5, 0.8], [3.0, 0.0]])
    figures = SequenceTrial("t", task, task.test).judge(scores)
    assert figures["auc_roc"] == pytest.approx(5 / 6) and figures["accuracy"] == 0.8
    assert figures["auc_pr"] == pytest.approx((1 + 2 / 3) / 2)  # mean precision at the two positives, best scores first
    two = np.stack([y, np.array([1, 1, 0, 0, 0])], 1)  # two labels at once: areas 5/6 and 1/2, decisions by the sign
    both = dataclasses.replace(task, train=Split(x, two), test=Split(x, two), metric="macro_auc")
    columns = np.stack([scores[:, 1] - scores[:, 0], [-1.0, 2.0, -0.5, 1.0, 0.5]], 1)
    figures = SequenceTrial("t", both, both.test).judge(columns)
    assert figures["auc_roc"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert figures["accuracy"] == pytest.approx(((columns > 0) == two).mean())
    with pytest.warns(UnjudgedWarning, match="is a copy of a copy; figures of it say nothing of new data"):
        SequenceTrial("t", dataclasses.replace(both, makeshift="is a copy of a copy"), both.test).judge(columns)
    alone = SequenceTrial("t", task, task.test.take(np.array([0, 2, 4]))).judge(scores[[0, 2, 4]])
    assert alone["auc_roc"] is None and alone["auc_pr"] is None
