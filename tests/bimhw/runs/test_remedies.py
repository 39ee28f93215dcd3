"""Quantisation advice in points: each figure is that of the program compiled and run in that way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bimhw
from bimhw.cli.main import cli
from bimhw.compiler.advice import MARK
from bimhw.learning.finetune import finetune
from bimhw.models.stack import LIF, Stack
from bimhw.runs.remedies import EPOCHS, remedies
from simulator.base.errors import InputError


@pytest.fixture(scope="module")
def outlier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a network with one weight far beyond the others, and labels that are its own answers in float."""
    pytest.importorskip("nir")
    folder = tmp_path_factory.mktemp("outlier")
    torch.manual_seed(0)
    net = Stack(torch.nn.Linear(10, 30), LIF(keep=0.75), torch.nn.Linear(30, 4), LIF(keep=0.75))
    with torch.no_grad():
        net[0].weight.mul_(3)
        net[2].weight.mul_(4)
        net[0].weight[3, 4] = 60.0
    bimhw.export_nir(net, folder / "net.nir")
    x = (torch.rand(20, 16, 10, generator=torch.Generator().manual_seed(1)) < 0.4).double()
    np.savez(folder / "data.npz", x=x.numpy(), y=net.double().run(x).sum(0).argmax(1).numpy())
    return folder / "net.nir", folder / "data.npz"


def test_a_scale_for_each_row_mends_an_outlier(outlier: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = outlier
    found = remedies(model, data=data, bits=4)
    asked, ways = found.ways[0], {w.option: w for w in found.ways[1:]}
    assert found.samples == 16 and found.float_accuracy == 1.0 and asked.points == 0
    assert ways["--per-row"].accuracy > asked.accuracy + 0.1
    program = bimhw.compile(model, "loihi2", data=data, bits=4, per_row=True).program
    alone = bimhw.simulate(program, data=data, engine="none", output=tmp_path / "run")
    assert ways["--per-row"].accuracy == alone.result["accuracy"]
    assert ways["--per-row"].points == pytest.approx(100 * (alone.result["accuracy"] - asked.accuracy))


def test_one_output_has_no_classes_to_get_right(tmp_path: Path) -> None:
    """Whole numbers beside it are targets: `compile --data` ended in KeyError 'accuracy'."""
    pytest.importorskip("nir")
    bimhw.export_nir(Stack(torch.nn.Linear(3, 1), LIF(keep=0.75)), tmp_path / "net.nir")
    np.savez(tmp_path / "data.npz", x=np.ones((8, 12, 3)), y=np.arange(12) % 2)
    command = [
        "compile",
        str(tmp_path / "net.nir"),
        "--data",
        str(tmp_path / "data.npz"),
        "-o",
        str(tmp_path / "p.bimhw"),
    ]
    said = CliRunner().invoke(cli, command)
    assert said.exit_code == 0, said.output
    assert "accuracy" not in said.stdout


def test_compile_says_the_points(outlier: tuple[Path, Path], tmp_path: Path) -> None:
    model, data = outlier
    command = ["compile", str(model), "--data", str(data), "--bits", "4", "-o", str(tmp_path / "p.bimhw")]
    said = CliRunner().invoke(cli, command)
    assert said.exit_code == 0, said.output
    assert "accuracy on 16 samples:" in said.stdout and "100.0% in float" in said.stdout
    assert "--per-row: " in said.stdout and " points" in said.stdout


def test_weights_whose_rounding_costs_no_accuracy_are_no_alarm(tmp_path: Path) -> None:
    pytest.importorskip("nir")
    torch.manual_seed(0)
    net = Stack(torch.nn.Linear(4, 4, bias=False), LIF(keep=0.75))
    with torch.no_grad():
        net[0].weight.mul_(0.4).add_(2 * torch.eye(4))  # each class has a channel of its own; 3 bits lose the rest
    bimhw.export_nir(net, tmp_path / "net.nir")
    y = np.arange(60) % 4
    np.savez(tmp_path / "data.npz", x=np.tile(np.eye(4)[y], (8, 1, 1)), y=y)
    files = [str(tmp_path / name) for name in ("net.nir", "data.npz", "p.bimhw")]
    said = CliRunner().invoke(cli, ["compile", files[0], "--data", files[1], "--bits", "3", "-o", files[2], "--json"])
    notes = json.loads(said.stdout)["notes"]
    assert "accuracy on 60 samples: 100.0% on the chip, 100.0% in float" in notes
    alarms = [n for n in notes if MARK in n]
    assert alarms and all(n.endswith("this costs no accuracy on 60 samples") for n in alarms)


def test_data_without_classes_is_one_message(outlier: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="no labels of classes"):
        remedies(outlier[0], data=bimhw.Dataset(np.zeros((5, 3, 10))))


def test_fine_tuning_is_measured_on_samples_that_it_does_not_see(tmp_path: Path) -> None:
    x, y = np.zeros((60, 6, 4), np.uint8), np.arange(60) % 2
    x[np.arange(60), :, y] = 1
    own = bimhw.Dataset(x, y, layout="bt", name="own")
    model = bimhw.save_model(bimhw.train(own, hidden=(6,), epochs=4).model, tmp_path / "m.pt")
    found = remedies(model, data=own, samples=4, bits=4)
    alone = finetune(model, own, bits=4, epochs=EPOCHS)
    assert found.trained is not None and found.trained.samples == 12
    assert (found.trained.before, found.trained.after) == (alone.rounded_accuracy, alone.accuracy)
    assert "bimhw finetune: " in found.lines()[-1] and "12 samples that it does not see" in found.lines()[-1]
