"""A run folder is held while its run is computed, and never replaced by another run unawares."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bimhw
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.runs import folder as folder_module
from bimhw.runs import simulate as module
from bimhw.runs.course import Course
from bimhw.runs.folder import RunFolder
from simulator.base.errors import InputError
from simulator.base.files import write_npz
from simulator.base.reading import read_object
from simulator.base.writing import write_json
from simulator.plasticity.learn import EpochResult
from simulator.program.program import Program

DATA = bimhw.Dataset(np.ones((2, 3, 5), np.int16), layout="bt")


@pytest.fixture(scope="module")
def program() -> Program:
    return bimhw.compile(BimNet(BimConfig(n_in=5, hidden=(4,), n_out=3), 0), chip="loihi2").program


def simulate(program: Program, folder: Path, **more: object) -> None:
    bimhw.simulate(program, data=DATA, engine="none", output=folder, **more)


def test_another_run_is_replaced_by_force_alone(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    simulate(program, folder)
    whole = {p.name: p.read_bytes() for p in folder.iterdir()}
    simulate(program, folder)  # the same run
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == whole
    with pytest.raises(InputError, match="holds another run: seed 0, of this run 1"):
        simulate(program, folder, seed=1)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == whole
    simulate(program, folder, seed=1, force=True)
    assert RunFolder.open(folder).manifest["seed"] == 1


def test_a_new_run_takes_the_old_report_away(program: Program, tmp_path: Path) -> None:
    simulate(program, tmp_path / "run")
    bimhw.report(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").is_file()
    simulate(program, tmp_path / "run", seed=2, force=True)
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_run_folder_is_held_from_before_the_work(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys; from simulator.base.locks import held\n"
        "with held(sys.argv[1]): print('held', flush=True); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        monkeypatch.setattr(module, "execute", lambda *_, **__: pytest.fail("it worked before it asked"))
        with pytest.raises(InputError, match=f"in use by process {other.pid}"):
            simulate(program, tmp_path / "run")
        other.communicate("\n")


def test_a_run_that_fails_leaves_no_folder(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InputError("chip", "broke")

    monkeypatch.setattr(module, "execute", fail)
    with pytest.raises(InputError, match="broke"):
        simulate(program, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_spikes_of_another_run_are_refused_although_every_hash_fits(program: Program, tmp_path: Path) -> None:
    simulate(program, tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    assert run.spikes().steps == run.activity().steps
    write_npz(
        run.path / "spikes.npz", {"ptr": np.zeros(2, np.int64), "ids": np.zeros(0, np.int32), "payload": np.zeros(0)}
    )
    manifest = read_object(run.path / "manifest.json")
    manifest["files"]["spikes.npz"] = folder_module.file_sha256(run.path / "spikes.npz")
    write_json(run.path / "manifest.json", manifest | {"sha256": folder_module._own_sha256(manifest)})
    with pytest.raises(InputError, match="has 1 steps, the run's counters"):
        RunFolder.open(run.path).spikes()


def test_a_checkpoint_of_learning_holds_no_time() -> None:
    epoch = EpochResult(0.5, (0.1,), 7.25)
    assert "7.25" not in str(Course(2, 10, [epoch], [0.5]).notes())
    assert epoch.cpu_s == 7.25


def test_a_disk_that_fills_leaves_no_folder_and_the_run_that_was_there(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(program, tmp_path / "old")
    before = {p.name: p.read_bytes() for p in (tmp_path / "old").iterdir()}

    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module, "write_npz", fill)
    for name in ("old", "new"):
        with pytest.raises(InputError, match="No space left"):
            simulate(program, tmp_path / name, seed=1, force=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "old").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
