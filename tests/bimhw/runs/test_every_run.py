"""Every kind of network goes the whole way by the same commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from benchmarks.nets import write_net
from bimhw import nn
from bimhw.cli.main import cli
from tests.bimhw.frontends.test_nir_reader import write_raw

STEPS, SAMPLES = 8, 4


def bimhw_command(*arguments: object) -> Any:
    """Run a command; its JSON."""
    done = CliRunner().invoke(cli, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def nir(folder: Path) -> Path:
    rng = np.random.default_rng(4)
    nodes: Any = {
        "in": ("Input", {"shape": np.array([6])}),
        "fc": ("Linear", {"weight": rng.integers(-32, 64, (8, 6)) / 64}),
        "a": ("IF", {"r": np.ones(8), "v_threshold": np.ones(8)}),
        "fc2": ("Linear", {"weight": rng.integers(-32, 64, (3, 8)) / 64}),
        "b": ("IF", {"r": np.ones(3), "v_threshold": np.ones(3)}),
        "out": ("Output", {"shape": np.array([3])}),
    }
    return write_raw(folder / "m.nir", nodes, [("in", "fc"), ("fc", "a"), ("a", "fc2"), ("fc2", "b"), ("b", "out")])


def npz(folder: Path) -> Path:
    return write_net(folder / "m.npz", 60, (2, 6), 0.2, n_in=12, steps=20)


def bim(folder: Path) -> Path:
    model = bimhw.BimNet(bimhw.BimConfig(n_in=6, hidden=(8,), n_out=3), seed=1)
    return bimhw.save_model(model, folder / "m.safetensors")


def p_spikessm(folder: Path) -> Path:
    from bimhw.models.spikessm.config import PSpikeConfig
    from bimhw.models.spikessm.net import PSpikeNet

    return bimhw.save_model(PSpikeNet(PSpikeConfig(n_in=6, hidden=(4,), n_out=3)), folder / "m.pt")


def p_spikessm_s4(folder: Path) -> Path:
    from bimhw.models.spikessm.s4_config import S4SpikeConfig
    from bimhw.models.spikessm.s4_net import S4SpikeNet

    config = S4SpikeConfig(n_in=6, hidden=(8,), n_out=3, n_states=4, steps=STEPS)
    return bimhw.save_model(S4SpikeNet(config, seed=1), folder / "m.pt")


def torch_stack(folder: Path) -> Any:
    import torch

    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), nn.IF(), torch.nn.Linear(8, 3), nn.IF())


def brian2_network(folder: Path) -> Any:
    b2 = pytest.importorskip("brian2")
    b2.prefs.codegen.target = "numpy"
    source = b2.SpikeGeneratorGroup(6, [0], [0] * b2.ms, dt=1 * b2.ms, name="source")
    group = b2.NeuronGroup(
        4, "dv/dt = -v / (8*ms) : 1", threshold="v > 1", reset="v = 0", method="exact", dt=1 * b2.ms, name="group"
    )
    synapses = b2.Synapses(source, group, "w : 1", on_pre="v += w", dt=1 * b2.ms, name="synapses")
    synapses.connect()
    synapses.w = np.linspace(0.1, 0.9, 24)
    return b2.Network(source, group, synapses)


KINDS: dict[str, Callable[[Path], Any]] = {
    "nir": nir, "npz": npz, "torch": torch_stack, "brian2": brian2_network, "bim": bim, "p-spikessm": p_spikessm,
    "p-spikessm-s4": p_spikessm_s4,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # Brian2's parser warns of its own deprecations
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_way(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = KINDS[kind](tmp_path)
    rng = np.random.default_rng(2)
    x = (rng.random((SAMPLES, STEPS, 6)) < 0.5).astype(np.int32)
    np.savez(tmp_path / "d.npz", x=x, y=rng.integers(0, 3, SAMPLES))
    own = kind == "npz"
    how = ["--data", "d.npz"] if not own else []
    reading = {"dt": 1.0} if kind == "nir" else {}
    result = bimhw.compile(model, "loihi2", data=None if own else "d.npz", reading=reading)
    result.program.save("m.bimhw")

    figures = bimhw_command("simulate", "m.bimhw", *how, "-o", "run", "--trace", "t.json", "--trace-window", "0:5")
    assert figures["samples"] == (1 if own else SAMPLES)
    assert ("accuracy" in figures) is not own
    assert figures["spikes_per_sample"] > 0
    assert json.loads(Path("t.json").read_text(encoding="utf-8"))
    assert bimhw_command("energy", "run")["chip"]["items"]
    assert bimhw_command("codesign", "run")
    assert bimhw_command("table", "run")
    assert bimhw_command("map", "m.bimhw", "--run", "run")
    page = Path(bimhw_command("report", "run")["report"]).read_text(encoding="utf-8")
    assert (
        "Placement on the chip" in page and "Time of each step" in page and ("accuracy on the chip" in page) is not own
    )
    swept = bimhw_command("sweep", "m.bimhw", *how, "--chip", "loihi2", "--mapping", "blocks,auto", "--db", "s.sqlite",
                         "--workers", "1")  # fmt: skip
    assert [row["status"] for row in swept["rows"]] == ["done", "done"]
    for row in swept["rows"]:
        assert row["accuracy"] == figures.get("accuracy")
        assert row["spike_rate"] == pytest.approx(figures["spike_rate"])
        assert row["total_uj"] > 0
    program_in_another_simulator(kind, model)


def program_in_another_simulator(kind: str, model: Any) -> None:
    """Integers of neurons that Brian2 knows are equal there; others lie beside the float network, which is equal."""
    against = "torch" if kind.startswith("p-spikessm") else "brian2"  # Brian2 has no such random neurons
    own = integers_in_another_simulator(kind)
    if kind == "torch":
        model = nn.save(model, Path("stack.safetensors"))
    if isinstance(model, Path):
        checked = bimhw_command("crosscheck", model, "--against", against)
        assert checked["equal"] and checked["runs"][0]["events"] > 0
        more = [] if kind == "npz" else ["--model", model]
        *exact, beside = bimhw_command("crosscheck", "m.bimhw", "--against", against, *more)["runs"]
        assert all(run["equal"] for run in exact)
    else:
        assert all(run.equal and run.events > 0 for run in bimhw.cross_check(model))
        *exact, last = bimhw.cross_check("m.bimhw", source=model)
        assert exact and all(run.equal for run in exact)
        exact, beside = [run.as_json() for run in exact], last.as_json()
    assert not own or [run["stage"] for run in exact] == ["float", "integer"]
    assert beside["stage"] == "integer"
    share = beside["differ"] / (beside["steps"] * 11)  # of neuron-steps; rounding moves a spike now and then
    assert share <= (0 if kind == "npz" else 0.1)


def integers_in_another_simulator(kind: str) -> bool:
    """Return whether Brian2 computes the program's integers, by the command; then they are equal to the bit."""
    known = kind in ("nir", "npz", "torch", "brian2")  # BIM's neurons have no integer form there
    if known:
        (run,) = bimhw_command("crosscheck", "m.bimhw", "--rate", "0.4")["runs"]
        assert (run["stage"], run["equal"], run["tolerance"]) == ("integer", True, 0)
        assert run["events"] > 0
    return known and kind != "npz"


def test_a_model_file_is_swept_as_its_program_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    np.savez("d.npz", x=(rng.random((SAMPLES, STEPS, 6)) < 0.5).astype(np.int32), y=rng.integers(0, 3, SAMPLES))
    how = ["--data", "d.npz", "--chip", "loihi2", "--mapping", "blocks"]
    for model in (nir(tmp_path), bim(tmp_path), p_spikessm(tmp_path)):
        bimhw_command("compile", model, "--chip", "loihi2", "--data", "d.npz", "-o", "m.bimhw")
        ours = bimhw_command("sweep", model, *how, "--db", f"{model.name}.sqlite")["rows"][0]
        again = bimhw_command("sweep", "m.bimhw", *how, "--db", f"{model.name}.program.sqlite")["rows"][0]
        assert {k: ours[k] for k in ("accuracy", "spike_rate")} == {k: again[k] for k in ("accuracy", "spike_rate")}


def test_a_program_is_mapped_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = bimhw.compile(npz(tmp_path), "loihi1").program
    program.save("a.bimhw")
    again = bimhw.compile("a.bimhw", "loihi2", mapping="blocks").program
    assert again.chip == "loihi2"
    steps = program.inputs.steps
    ours, theirs = (bimhw.run(p, p.inputs, steps).spikes for p in (program, again))
    np.testing.assert_array_equal(ours.ids, theirs.ids)
    done = CliRunner().invoke(cli, ["compile", "a.bimhw", "--chip", "loihi2"])
    assert "Name another file" in str(done.exception)
    assert bimhw.Program.load("a.bimhw").chip == "loihi1"
