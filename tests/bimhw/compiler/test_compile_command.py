"""`bimhw compile` on the chips that come with bimhw: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import bimhw
from bimhw.cli.main import main
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import save_model
from simulator.base.errors import FitError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(BimNet(BimConfig(n_in=8, hidden=(12, 9), n_out=10, input_scale=1 / 16)), tmp_path / "m.pt")


def run_command(*arguments: str) -> int:
    try:
        main(["compile", *arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def test_writes_a_program_and_prints_its_use(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(str(model), "--json", "--save-mapping", "map.json") == 0
    report = json.loads(capsys.readouterr().out)
    program = bimhw.Program.load(tmp_path / "m.bimhw")
    assert report["program"] == "m.bimhw"
    assert report["neurons"] == 12 + 9 + 10
    assert report["synapses"] == sum(q.n_synapses for q in program.projections)
    assert {r["name"] for r in report["resources"]} >= {"neurons", "synapse_bytes", "in_axons"}
    assert set(json.loads((tmp_path / "map.json").read_text())["cores"]) == {"layer1", "layer2", "readout"}
    assert run_command(str(model), "-o", "again.bimhw", "--mapping", "map.json") == 0
    again = bimhw.Program.load(tmp_path / "again.bimhw")
    assert (again.core == program.core).all()
    assert "in_axons: no published limit" in capsys.readouterr().out
    assert run_command(str(model), "-o", "third.bimhw", "--mapping", "manual", "map.json") == 0
    assert (bimhw.Program.load(tmp_path / "third.bimhw").core == program.core).all()
    capsys.readouterr()
    for wrong, message in ((["--mapping", "manual"], "which?"), (["map.json"], "goes with --mapping manual")):
        assert run_command(str(model), "-o", "none.bimhw", *wrong) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "none.bimhw").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chip", "loihi1"], "needs the neuron model 'bim_d_alpha', and chip 'loihi1' runs only"),
        (["--chip", "loihi9"], "chip 'loihi9': is not known"),
        (["--bits", "9"], "has weights of 9 bits, and chip 'loihi2' stores 1, 2"),
        (["--bits", "0"], "option bits: is 0, must be 1 to 9"),
        (["--state-bits", "30"], "option state_bits: is 30"),
        (["--task", "nothing"], "task 'nothing': is not known"),
        (["--calibration", "none.npy"], "does not exist"),
        (["--mapping", "none.json"], "does not exist"),
        (["-o", "nowhere/x.bimhw"], "nowhere' does not exist"),
    ],
)
def test_bad_arguments_are_one_message_and_no_file(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(str(model), *arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("*.bimhw"))


def test_refused_models_are_told_what_would_fit(model: Path) -> None:
    with pytest.raises(FitError, match=r"Chips with its neuron models: .*loihi2"):
        bimhw.compile(str(model), chip="loihi1")


def test_calibration_that_is_a_pickle_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert run_command(str(model), "--calibration", "evil.npy") == 2
    assert "holds pickled objects" in capsys.readouterr().err
    torch.save(BimNet(BimConfig(n_in=2, hidden=(2,), n_out=2)), tmp_path / "module.pt")
    assert run_command("module.pt") == 2
    assert "pickled" in capsys.readouterr().err
