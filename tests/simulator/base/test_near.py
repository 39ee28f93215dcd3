"""A mistyped path is answered with what lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

import bimhw
from simulator.base.errors import InputError
from simulator.base.near import missing_path, near_paths
from simulator.base.reading import read_text
from simulator.chips.load import load_chip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "examples").mkdir()
    for name in ("digits.safetensors", "mychip.yaml", ".digits.safetensor", "other.txt"):
        (tmp_path / "examples" / name).write_text("x", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("examples/digist.safetensors", "examples/digits.safetensors"),
        ("examples/Digits.safetensors", "examples/digits.safetensors"),
        ("examples/digits.pt", "examples/digits.safetensors"),  # another ending
        ("exmaples/digits.safetensors", "examples/digits.safetensors"),  # the folder mistyped
        ("exampels/mychp.yaml", "examples/mychip.yaml"),  # both
        ("example", "examples"),
    ],
)
def test_near_names(folder: Path, typed: str, meant: str) -> None:
    assert near_paths(folder / typed) == [folder / meant]


@pytest.mark.parametrize(
    "typed", ["examples/nothing", "examples/digits.safetensors", "far/digits.safetensors", "", "a\0b"]
)
def test_no_hint_where_nothing_is_near(folder: Path, typed: str) -> None:
    assert near_paths(folder / typed) == []


def test_a_name_too_long_has_no_hint(folder: Path) -> None:
    assert near_paths(folder / ("a" * 5000)) == []


def test_readers_runs_and_chips_answer_with_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=r"does not exist. Did you mean 'examples/mychip.yaml'\? Check the path"):
        read_text(Path("examples/mychp.yaml"))
    with pytest.raises(InputError, match=r"not a folder of a run. Did you mean 'examples'\? Make one"):
        bimhw.energy("exampels")
    with pytest.raises(InputError, match=r"Did you mean 'examples/mychip.yaml'\?"):
        load_chip("examples/mychip")
    assert missing_path("nowhere").way_out == "Check the path"
