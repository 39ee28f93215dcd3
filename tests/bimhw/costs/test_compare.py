"""`bimhw.energy` and the commands `energy` and `chips` on a run folder written here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bimhw
from bimhw.cli.main import main
from bimhw.runs.folder import seal, write_run
from bimhw.runs.manifest import run_manifest
from bimhw.runs.request import How
from simulator.chips.load import load_chip
from simulator.function import run
from simulator.neurons import base
from simulator.program.activity import Activity
from simulator.program.graph import Population, Projection, dense_to_csr
from simulator.program.program import HOST, Program
from simulator.program.spikes import SpikeTrain
from tests.bimhw.cli.provenance import lacking


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    chip = load_chip("loihi2")
    populations = (
        Population("in", "input", 6, role="input"),
        Population("hid", "lif", 8, {"dv": np.array(512), "vth": np.array(5)}, layer=1),
        Population("out", "izhikevich", 3, {}, layer=2, role="output"),
    )
    port = {"hid": "in", "out": "in"}
    port = {p.name: base.get(p.model).ports[0] for p in populations[1:]}
    q = [
        Projection(f"{a}-{b}", a, b, port[b], *dense_to_csr(rng.integers(1, 9, (m, n)).astype(np.int8)))
        for a, b, n, m in (("in", "hid", 6, 8), ("hid", "out", 8, 3))
    ]
    core = np.concatenate([np.full(6, HOST), np.zeros(8), np.ones(3)]).astype(np.int32)
    program = Program(chip.name, chip.sha256(), populations, tuple(q), core)
    ids = np.tile(np.arange(6, dtype=np.int32), 10)
    inputs = SpikeTrain(np.arange(11, dtype=np.int64) * 6, ids, None)
    done = run(program, inputs, 10)
    activity = replace(done.activity, sim_time_ns=2e4, samples=2)
    path = tmp_path_factory.mktemp("runs") / "a"
    manifest = run_manifest(program, chip, "own", 2, How(engine="none")).to_json()
    write_run(path, program, chip, manifest, {"task": "own", "samples": 2}, done.spikes, activity, None)
    return path


def call(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    out = capsys.readouterr()
    return int(done.value.code or 0), out.out, out.err


def test_json_has_items_that_sum_and_gpus_beside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call("energy", str(folder), "--gpu", "h100", "--json", capsys=capsys)
    assert not list(lacking("energy", json.loads(out)))
    value = json.loads(out)
    assert code == 0
    items = value["chip"]["items"]
    assert sum(i["energy_pj"] or 0 for i in items) == pytest.approx(value["chip"]["figures"]["total_pj"])
    assert all(i["source"] and i["quality"] for i in items)
    assert {c["mode"] for c in value["gpu"]} == {"inference", "bptt"}
    assert value["chip"]["unknown"] and value["chip"]["assumptions"]
    assert [(r["who"], r["batch"]) for r in value["compare"]][:3] == [
        ("loihi2", 1),
        ("loihi2", value["copies"]),
        ("h100", 1),
    ]
    assert {c["case"] for c in value["gpu"]} == {"fused", "graph", "eager"}
    assert {1, 32, 256, 4096} <= {c["batch"] for c in value["gpu"]} and value["verdict"]
    assert all(r["low_uj"] <= r["uj"] <= r["high_uj"] for r in value["compare"])
    assert {r["word"] for r in value["compare"]} <= {"scaled", "assumed"}  # times are modelled: no word is better
    chip, card = value["compare"][0], value["compare"][2]
    assert chip["system_uj"] is None and chip["unknown"]  # board and host of Loihi 2 are unknown, and said to be
    assert card["system_uj"] > card["uj"] and not card["unknown"]


def test_table_and_explanation(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")  # an item's name stays on one line
    code, out, _ = call("energy", str(folder), "--gpu", "a100", capsys=capsys)
    assert code == 0 and "synaptic events" in out and "assumptions" in out and "unknown" in out
    code, out, _ = call("energy", str(folder), "--explain", "synaptic_event", capsys=capsys)
    activity = Activity.load(folder / "activity.npz")
    n = activity.total("synaptic_events")
    assert code == 0 and f"{n:,} x 23.6 pJ = {n * 23.6:,.4f} pJ" in out and "Davies" in out


@pytest.mark.parametrize("by", ["item", "hardware", "kind", "core", "layer", "step"])
def test_every_grouping_is_shown_and_sums_to_the_total(
    folder: Path, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call("energy", str(folder), "--by", by, "--json", capsys=capsys)
    value = json.loads(out)
    total = bimhw.energy(folder).report.energy_pj()
    assert code == 0 and sum(value["pj"].values()) == pytest.approx(total, rel=1e-12) == value["total_pj"]
    if by == "step":
        assert len(value["pj"]) == 10
    if by == "layer":
        assert set(value["pj"]) == {"in", "hid", "out", "chip"}
    code, out, _ = call("energy", str(folder), "--by", by, capsys=capsys)
    assert code == 0 and "sum" in out and "no energy was ever published" in out


def test_memory_reads_are_an_item_where_the_table_has_them(folder: Path) -> None:
    plain, generic = (bimhw.energy(folder, chip).report for chip in ("loihi2", "generic"))
    assert all(i.key != "synaptic_memory_read" for i in plain.items)
    item = generic.item("synaptic memory reads")
    assert item.count == generic.synaptic_events and item.energy_pj == pytest.approx(1.07 * item.count)


def test_a_text_has_a_label_at_every_step(folder: Path, tmp_path: Path) -> None:
    """10 steps in 2 samples: 5 weight updates a sample where the next symbol is wanted at each, one where a class is."""
    import shutil

    assert bimhw.energy(folder).labelled_steps == 1
    shutil.copytree(folder, tmp_path / "text")
    result = {"task": "own", "samples": 2, "bits_per_character": 2.4, "accuracy": 0.5}
    (tmp_path / "text" / "result.json").write_text(json.dumps(result))
    seal(tmp_path / "text", json.loads((tmp_path / "text" / "manifest.json").read_text()))
    costs = bimhw.energy(tmp_path / "text")
    assert costs.labelled_steps == 5 and costs.accuracy == 0.5


def test_scan_of_a_card_is_a_bound_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call("energy", str(folder), "--gpu", "i7-4960x", "--scan", "--json", capsys=capsys)
    value = json.loads(out)
    costs = {(c["mode"], c["schedule"], c["case"], c["batch"]): c for c in value["gpu"]}
    assert code == 0 and value["steps_per_sample"] == 5
    for mode in ("inference", "bptt"):
        one, scan = costs[mode, "sequential", "eager", 1], costs[mode, "scan", "eager", 1]
        assert scan["work"]["launches"] < one["work"]["launches"]  # ceil(log2 5) = 3 rounds
        assert scan["work"]["matmul_flops"] == one["work"]["matmul_flops"]
        assert any("a bound only" in a for a in scan["assumptions"])
        assert (mode, "scan", "fused", 1) not in costs  # that bound does not depend on the schedule
    assert not any("scan" in line for line in value["verdict"])


def test_bounds_are_for_unknown_constants_and_reach_the_parts_of_a_sum(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call("energy", str(folder), "--bound", "synaptic_event=1:2", capsys=capsys)
    assert code == 2 and "has 23.6 pJ" in err and len(err.strip().splitlines()) == 1
    from energy_models.learning import learning_constant

    chip = load_chip("loihi1-fitted")
    key, known = learning_constant("learn_trace_rmw", chip)
    bounds = {"op_state_read": (1.0, 4.0), "op_state_write": (2.0, 5.0)}
    assert key == "op_state_read + op_state_write" and known.high is None
    bounded = learning_constant("learn_trace_rmw", chip, bounds)[1]
    assert (bounded.value, bounded.low, bounded.high) == (None, 3.0, 9.0)


def test_other_chip_and_bounds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call("energy", str(folder), "--bound", "host_packet=1:2", "--json", capsys=capsys)
    assert code == 0 and "host packets" not in json.loads(out)["chip"]["unbounded"]
    there = bimhw.energy(folder, "loihi1-fitted").report
    here = bimhw.energy(folder).report
    assert there.chip == "loihi1-fitted" and there.energy_pj("dynamic") != here.energy_pj("dynamic")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("energy", "nowhere"), "is not a folder of a run"),
        (("energy", "RUN", "--gpu", "b200"), "GPU 'b200': is not known"),
        (("energy", "RUN", "--chip", "loihi9"), "Chips: "),
        (("energy", "RUN", "--explain", "magic"), "is not known"),
        (("energy", "RUN", "--bound", "spike"), "is not KEY=LOW:HIGH"),
        (("chips", "show", "loihi9"), "Chips: "),
        (("chips", "check", "nowhere.yaml"), "does not exist"),
    ],
)
def test_bad_input_is_one_message(
    folder: Path, arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(*(str(folder) if a == "RUN" else a for a in arguments), capsys=capsys)
    assert code == 2 and expected in err and "Traceback" not in err and not out


def test_chips_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call("chips", "--json", capsys=capsys)
    assert code == 0 and {"loihi1", "loihi1-fitted", "loihi2"} <= {c["name"] for c in json.loads(out)}
    code, out, _ = call("chips", "show", "loihi2", "--yaml", capsys=capsys)
    mine = tmp_path / "mine.yaml"
    mine.write_text(out.replace("name: loihi2", "name: mine"))
    code, out, _ = call("chips", "check", str(mine), "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["name"] == "mine" and "$.energy.spike" in json.loads(out)["unknown"]
    mine.write_text(mine.read_text().replace("hop_east_west: {value: 4.1", "hop_east_west: {value: -4.1"))
    code, _, err = call("chips", "check", str(mine), capsys=capsys)
    assert code == 2 and "$.timing.hop_east_west: is -4.1 ns" in err


def test_schema_accepts_the_chips_and_knows_the_energy_keys(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call("chips", "schema", capsys=capsys)
    schema = json.loads(out)
    energy = schema["$defs"]["Chip"]["properties"]["energy"]
    assert code == 0 and "synaptic_event" in energy["properties"] and energy["additionalProperties"] is False
    assert set(schema["$defs"]["Chip"]["required"]) >= {"name", "topology", "limits", "timing", "energy"}


def test_codesign(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call("codesign", str(folder), "--json", capsys=capsys)
    value = json.loads(out)
    assert code == 0 and not list(lacking("codesign", value))
    report = bimhw.energy(folder).report
    swings = {r["item"]: r["swing_uj"] for r in value["energy_sensitivity"]}
    item = report.item("synaptic_event")
    assert swings[item.name] == pytest.approx(((item.high_pj or 0) - item.low_pj) / 1e6 / 2)
    times = {r["time"]: r["change_if_doubled"] for r in value["time_sensitivity"]}
    assert times["barrier"] > 0.5  # a step of two tiny cores is nearly all barrier
    assert all(change >= 0 for change in times.values())
    for row in value["break_even"]:
        if row["density"] is not None:
            synapse = row["chip_uj"] - row["chip_without_synapses_uj"]
            assert row["chip_without_synapses_uj"] + row["density"] * synapse == pytest.approx(row["gpu_uj"])
        else:
            assert row["chip_without_synapses_uj"] >= row["gpu_uj"]
        dear, cheap = row["chip_high_uj"], row["chip_low_uj"]
        for end, whole, card in (("low", dear, row["gpu_low_uj"]), ("high", cheap, row["gpu_high_uj"])):
            synapse = sum(
                (i.high_pj if end == "low" else i.low_pj) or 0.0 for i in report.items if i.hardware == "synapse"
            )
            rest = whole - synapse / 2e6
            expected = None if rest >= card else (card - rest) / (synapse / 2e6)
            assert row[f"density_{end}"] == (expected if expected is None else pytest.approx(expected))
    run_row = value["roofline"][-1]
    n = Activity.load(folder / "activity.npz").total("synaptic_events")
    assert run_row["gsynops_per_s"] == pytest.approx(n / 2e4)
    row = bimhw.energy(folder).rows()[0]
    assert row.us is not None and row.low_us is not None and row.high_us is not None
    ends = [
        run_row[f"{end}gsynops_per_s"] * us for end, us in (("low_", row.high_us), ("", row.us), ("high_", row.low_us))
    ]
    assert ends == pytest.approx([n / 2 / 1e3] * 3)
    limits = {r["limit"]: r for r in value["roofline"]}
    assert all(r["low_gsynops_per_s"] <= r["gsynops_per_s"] <= r["high_gsynops_per_s"] for r in limits.values())
    memory = limits["weight memories of the cores in use"]  # 0.7 ns a synapse, to 1.01
    assert [memory[f"{k}gsynops_per_s"] for k in ("low_", "", "high_")] == pytest.approx([2 / 1.01, 2 / 0.7, 2 / 0.7])
    assert memory["trust"] == "scaled"
    updates = Activity.load(folder / "activity.npz").counts["neuron_updates"].by_population
    program, ops = Program.load(folder / "program.bimhw"), base.get("izhikevich").ops
    assert program.populations[2].model == "izhikevich"  # a program on this chip: 5.81 ns an operation
    each = 5.81 * (ops.mul + ops.add + ops.lut + ops.state_read + ops.state_write)
    spikes = Activity.load(folder / "activity.npz").total("spikes")
    busy = 4.2 * float(updates[1]) + each * float(updates[2]) + 3 * spikes
    assert limits["somas of the cores in use"]["gsynops_per_s"] == pytest.approx(2 * n / busy)
    terms = {r["term"]: r for r in value["floorline"]}
    ends = [terms["barrier"][k] for k in ("mean_low_ns", "mean_ns", "mean_high_ns")]
    assert ends[0] < ends[1] < ends[2] and terms["barrier"]["trust"] == "fitted"
    code, out, _ = call("codesign", str(folder), capsys=capsys)
    assert code == 0 and "step time" in out and "density of synapses" in out
    code, out, _ = call("codesign", str(folder), "--plot", str(folder / "d.png"), capsys=capsys)
    assert code == 0 and (folder / "d.png").read_bytes().startswith(b"\x89PNG")
    assert "one copy" not in out
    code, _, err = call("codesign", str(folder), "--event-pj", "-1", capsys=capsys)
    assert code == 2 and "--event-pj: is -1.0" in err


def test_codesign_says_where_one_copy_is_all_that_fits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bimhw.costs import codesign

    monkeypatch.setattr(codesign, "most_copies", lambda *_: 1)
    assert any("takes 2 of 128 cores" in line for line in codesign.codesign(folder, copies=1).verdict)


def test_learning_is_held_against_inference_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run that learnt, the energy of inference leaves learning's items out."""
    import shutil

    from bimhw.costs import codesign

    seen: list[float] = []
    monkeypatch.setattr(codesign, "learning_forms", lambda *a: seen.append(a[3]) or [])
    codesign.codesign(folder)
    shutil.copytree(folder, tmp_path / "learnt")
    activity = Activity.load(folder / "activity.npz")
    counts = dict(activity.counts) | {"learn_trace_rmw": activity.counts["spikes"]}
    replace(activity, counts=counts).save(tmp_path / "learnt" / "activity.npz")
    seal(tmp_path / "learnt", json.loads((tmp_path / "learnt" / "manifest.json").read_text()))
    codesign.codesign(tmp_path / "learnt")
    assert bimhw.energy(tmp_path / "learnt").report.energy_pj("dynamic") > bimhw.energy(folder).report.energy_pj(
        "dynamic"
    )
    assert seen[0] == seen[1] > 0


def test_neurobench_by_hand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """6 inputs fire in each of 10 steps into 8 neurons; the rest from the run's own spikes."""
    from bimhw.runs.folder import RunFolder
    from bimhw.views.neurobench import neurobench

    value = neurobench(folder, ("h100",))
    run = RunFolder.open(folder)
    spikes = run.spikes()
    n_hidden = int(((spikes.ids >= 6) & (spikes.ids < 14)).sum())
    n_out = int((spikes.ids >= 14).sum())
    ops = value["SynapticOperations"]
    assert ops["Effective_ACs"] + ops["Effective_MACs"] == (60 * 8 + n_hidden * 3) / 2
    assert ops["Dense"] == (48 + 24) * 10 / 2
    assert value["ConnectionSparsity"] == 0.0
    assert 11 <= value["MembraneUpdates"] <= 11 * 10 / 2  # every neuron in the first step, and those that changed
    assert value["ActivationSparsity"] == pytest.approx(1 - (n_hidden + n_out) / 110)
    assert value["ActivationSparsityByLayer"]["hid"] == pytest.approx(1 - n_hidden / 80)
    names = {"ParameterCount", "Footprint", "ConnectionSparsity", "ActivationSparsity", "ActivationSparsityByLayer",
             "SynapticOperations", "MembraneUpdates", "NeuronOperations"}  # fmt: skip
    assert names <= set(value) and all(k in names or k.startswith("bimhw.") for k in value)
    code, out, _ = call("table", str(folder), "--neurobench", "--gpu", "h100", capsys=capsys)
    assert code == 0 and "µJ/inference" in out and "nothing was measured" in out
    stored = json.loads((folder / "neurobench.json").read_text())
    assert stored["SynapticOperations"] == ops
    code, _, err = call("table", "nowhere", capsys=capsys)
    assert code == 2 and "is not a folder of a run" in err
