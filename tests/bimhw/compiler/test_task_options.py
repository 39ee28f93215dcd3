"""`--data` and `--task-option` of compile, fit and simulate: the task as the model was trained on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bimhw.cli.main import cli

SIZES = [a for o in ("steps=30", "train=20", "test=10") for a in ("--task-option", o)]


def test_a_model_of_a_task_with_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained = ["train", "recall", *SIZES, "--family", "p-spikessm", "--hidden", "4,4", "--epochs", "1", "-o", "m.pt"]
    compiled = ["compile", "m.pt", "--task", "recall", *SIZES, "--json"]
    fitted = ["fit", "m.pt", "--task", "recall", *SIZES, "--json"]
    simulated = ["simulate", "m.bimhw", "--task", "recall", *SIZES, "--model", "m.pt", "-o", "run", "--json"]
    out = []
    for arguments in (trained, compiled, fitted, simulated):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        out.append(done.stdout)
    assert json.loads(out[1])["sample_steps"] == 30
    assert json.loads(out[1])["calibration"] == "20 training samples of recall"
    assert json.loads(out[2])["fits"]
    assert json.loads(out[3])["samples"] == 10


def test_options_need_a_task() -> None:
    for command in (["compile", "m.pt"], ["fit", "m.pt"], ["simulate", "m.bimhw"]):
        done = CliRunner().invoke(cli, [*command, "--task-option", "steps=30"])
        assert done.exit_code == 2
        assert "belong to --task" in done.output
