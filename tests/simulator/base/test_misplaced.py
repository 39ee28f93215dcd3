"""A run folder in the place of a file, a file in that of a run folder: one message that names what takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bimhw.cli.main import cli
from simulator.base.errors import unknown_name
from simulator.base.misplaced import MANIFEST, PROGRAM, TAKES_A_RUN

PLACES = (
    "bench run",
    "compile run",
    "crosscheck run",
    "data check run",
    "diagram run",
    "finetune run",
    "fit run",
    "forgetting run",
    "learn run",
    "learn p.bimhw --data run",
    "map run",
    "nir check run --data run",
    "nir export run -o x.nir",
    "nir run run",
    "nir show run",
    "rules run",
    "simulate run",
    "sweep run --db s.sqlite",
    "train run",
    "train --data run",
    "verify --model run --data run",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name in (f"run/{MANIFEST}", f"run/{PROGRAM}", "p.bimhw"):
        (tmp_path / name).write_text("{}")
    return tmp_path


def _told(line: str) -> str:
    done = CliRunner().invoke(cli, line.split())
    assert done.exit_code != 0
    return " ".join(f"{done.output} {done.exception}".split())


@pytest.mark.parametrize("line", PLACES)
def test_a_run_folder_is_named(line: str, folder: Path) -> None:
    told = _told(line)
    assert "run: is a run folder" in told, told
    assert TAKES_A_RUN in told


@pytest.mark.parametrize("command", ["energy", "report", "codesign", "table"])
def test_a_file_where_a_run_folder_is_expected(command: str, folder: Path) -> None:
    assert "is not a folder of a run. Run this program: bimhw simulate p.bimhw -o run" in _told(f"{command} p.bimhw")
    assert "Give its folder: run" in _told(f"{command} run/{PROGRAM}")


def test_a_word_of_the_same_stem_is_near() -> None:
    items = ("neuron updates", "synaptic events", "synaptic memory reads", "static")
    assert "Did you mean 'synaptic events' or 'synaptic memory reads'?" in str(unknown_name("item", "synapse", items))
    power = ("neuron operations: state read", "static power")
    assert "Did you mean 'static power' or " in str(unknown_name("item", "statc", power)), "the nearest word first"
    assert "Did you mean" not in str(unknown_name("item", "joule", items))
