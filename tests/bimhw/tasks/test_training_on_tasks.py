"""`bimhw train` on tasks with data of the user's: options, presets, areas under the curve."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from bimhw.cli.commands.data import command as data_command
from bimhw.cli.commands.train import command as train_command
from bimhw.tasks import load_named
from bimhw.tasks.metrics import auc_roc
from bimhw.tasks.registry import task_preset
from bimhw.tasks.sources.sequences import Part, graded_task
from simulator.base.errors import InputError


def toy(metric: str = "auc") -> bimhw.BimNet:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = [rng.normal(size=(6, 3)) + 2 * label for label in y]
    return graded_task("toy", Part(x[:30], y[:30]), Part(x[30:], y[30:]), 2, {}, metric=metric)


def test_a_task_judged_by_areas_says_them() -> None:
    task = toy()
    result = bimhw.train(task, hidden=(8,), epochs=2, batch=10)
    summary = result.summary()
    score = result.final.scores[:, 1] - result.final.scores[:, 0]
    assert summary["auc_roc"] == auc_roc(score, task.test.y)
    assert summary["auc_roc"] > 0.9
    assert "auc_roc" not in bimhw.train(toy("accuracy"), hidden=(8,), epochs=1).summary()


def test_every_task_has_a_preset() -> None:
    assert task_preset("fsdd-without-theo") == "fsdd"
    assert task_preset("japanese-vowels") == "series"
    assert task_preset("something") == "level"


def test_task_options_are_understood(tmp_path: Path) -> None:
    task = load_named("digits", None, ["repeat=3"])
    assert task.steps == 24
    with pytest.raises(InputError, match="NAME=VALUE"):
        load_named("digits", None, ["repeat"])
    with pytest.raises(InputError, match="does not exist"):
        load_named("fsdd", tmp_path / "no", ["leave-out=theo"])


def test_train_command_takes_data(tmp_path: Path) -> None:
    lines = ["@dimensions 1", "@classLabel true a b", "@data"]
    lines += [",".join(str(v + 3 * (i % 2)) for v in range(5)) + ":" + "ab"[i % 2] for i in range(12)]
    for split in ("TRAIN", "TEST"):
        (tmp_path / f"Toy_{split}.ts").write_text("\n".join(lines) + "\n")
    arguments = [
        "archive",
        "--data",
        str(tmp_path),
        "--hidden",
        "4",
        "--epochs",
        "1",
        "--json",
        "--task-option",
        "steps=5",
    ]
    result = CliRunner().invoke(train_command, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["sequences"] == 12


def test_data_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIMHW_DATA", str(tmp_path))
    listed = CliRunner().invoke(data_command, ["list", "--json"])
    rows = {r["name"]: r for r in json.loads(listed.stdout)}
    assert rows["scp1"]["data"] == "bimhw data fetch scp1"
    assert rows["digits"]["origin"] == "package"
    (tmp_path / "note.txt").write_text("a text of some length. " * 100)
    checked = CliRunner().invoke(data_command, ["check", str(tmp_path / "note.txt"), "--json"])
    assert json.loads(checked.stdout)["task"] == "lm"
    assert "note.txt" in CliRunner().invoke(data_command, ["check", str(tmp_path / "note.txt")]).output
    assert isinstance(CliRunner().invoke(data_command, ["fetch", "fsdd"]).exception, InputError)
