"""A file of one kind given where another thing is expected: one message that names the way in, exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from bimhw.cli.main import cli

CASES = {
    "sweep x.pth --db s.sqlite": "Give the module itself from Python",
    "sweep x.xyz --db s.sqlite": "does not exist. Did you mean 'x.pth'? Give a task's name or a model file",
    "train x.pth": "is the name of a file, not of a task. Give a task's name",
    "train x.nir": "a model is compiled: bimhw compile FILE",
    "forgetting x.pth": "is the name of a file, not of a task",
    "simulate x.pth": "weights without the graph that uses them. Give the module itself",
    "map x.pth": "weights without the graph that uses them. Give the module itself",
    "learn x.pth": "weights without the graph that uses them. Give the module itself",
    "bench x.pth": "is not a plain network, which ends in .npz. Compile it (bimhw compile x.pth)",
    "energy x.pth": "is not a folder of a run. Make one with: bimhw simulate",
}


@pytest.mark.parametrize("line", CASES)
def test_a_file_in_the_wrong_place_is_told_the_way_in(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": torch.zeros(2, 2)}, "x.pth")
    done = CliRunner().invoke(cli, line.split())
    told = " ".join(str(done.exception if not done.output else done.output).split())
    assert done.exit_code != 0 and CASES[line] in told, told
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]
