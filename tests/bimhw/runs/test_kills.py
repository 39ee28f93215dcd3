"""Signals at random moments: no half file, no work lost, and what goes on afterwards gives the bytes of an unbroken run.

``BIMHW_KILLS`` is the number of kills of each command. Half of them fall at any moment, half while a file is written.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from bimhw.models.io import load_arrays
from bimhw.models.torch_files import load_torch
from bimhw.runs.folder import RunFolder
from bimhw.studies.results.points import read_points
from simulator.base.errors import InputError
from simulator.base.files import read_safetensors
from simulator.program.program import Program
from tests.bimhw.cli.writing_commands import write_inputs

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "examples" / "digits.safetensors"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
INPUTS = ("m.safetensors", "net.safetensors", "own.npz", "samples.npz", "arch.yaml", "net.py", "real.npz")
POINTS = Path("docs/results/points.jsonl")


def _start(folder: Path, arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bimhw", *arguments.split()]
    return subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _whole(folder: Path, arguments: str) -> float:
    began = time.monotonic()
    process = _start(folder, arguments)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.monotonic() - began


def _stream_steps(folder: Path) -> int:
    path = folder / "stream.ckpt"
    return int(load_torch(path, "a checkpoint")["step"]) if path.exists() else 0


def _learnt_epochs(folder: Path) -> int:
    path = folder / "learn.ckpt"
    return len(json.loads(read_safetensors(path, hashed=True)[1]["bimhw"])["notes"]["history"]) if path.exists() else 0


def _simulated_steps(folder: Path) -> int:
    path = folder / "sim.ckpt"
    return int(json.loads(read_safetensors(path, hashed=True)[1]["bimhw"])["step"]) if path.exists() else 0


def _swept_points(folder: Path) -> int:
    if not (folder / "sweep.sqlite").exists():
        return 0
    with closing(sqlite3.connect(folder / "sweep.sqlite")) as db:
        if not db.execute("select 1 from sqlite_master where name = 'points'").fetchall():
            return 0
        return int(db.execute("select count(*) from points").fetchone()[0])


def _trained_points(folder: Path) -> int:
    return len(read_points(folder / POINTS))


@dataclass(frozen=True)
class Case:
    """A command, what it needs, and how the work that it has kept is counted."""

    arguments: str
    needs: tuple[str, ...] = ()
    kept: Callable[[Path], int] = lambda folder: 0
    go_on: Callable[[Path], str] = lambda folder: ""
    of: str = ""

    @property
    def name(self) -> str:
        words = self.arguments.split()
        return self.of or words[0] + ("-stream" if "--stream" in words else "-run" if words[1] == "run" else "")


COMPILE = f"compile {MODEL} --neurons-per-core 8 -o m.bimhw"
SIMULATE = "simulate m.bimhw --samples 300 --checkpoint sim.ckpt --checkpoint-every 500 -o run"
RUN = "simulate m.bimhw --samples 3 -o run"
STREAM = "train digits --stream --steps 400 --hidden 4 --batch 2 --report-every 50 --checkpoint stream.ckpt -o s.pt"
CASES = (
    Case(COMPILE),
    Case(SIMULATE, (COMPILE,), _simulated_steps),
    Case("report run", (COMPILE, RUN)),
    Case("table run --markdown table.md", (COMPILE, RUN)),
    Case("codesign run --plot codesign.png", (COMPILE, RUN)),
    Case("train digits --epochs 1 --hidden 8 -o t.pt"),
    Case(STREAM, (), _stream_steps, lambda folder: " --resume" if (folder / "stream.ckpt").exists() else ""),
    Case(f"finetune {MODEL} --epochs 1 -o f.safetensors"),
    Case("learn m.bimhw --epochs 2 --checkpoint learn.ckpt -o l.bimhw --run learnt --form seq", (COMPILE,),
         _learnt_epochs),
    Case("learn m.bimhw --data own.npz --epochs 4 -o r.bimhw --run ruled --rule-file delta", (COMPILE,), of="learn-rule"),
    Case("nir run net.nir --data samples.npz --chip loihi2 -o nir-run", ("nir export net.safetensors -o net.nir",)),
    Case("convert net.py:make --data real.npz --steps 8 -o converted.bimhw"),
    Case(f"sweep {MODEL} --cores 2,8 --samples 20 --db sweep.sqlite", (), _swept_points),
    Case("results --table digits --row logistic --docs docs", (), _trained_points),
)  # fmt: skip


def _check(path: Path) -> None:
    """Everything with a name of its own must be whole."""
    if path.name.startswith(".") or path.name in INPUTS:
        return
    if path.suffix == ".bimhw":
        Program.load(path)
    elif path.name in ("stream.ckpt", "learn.ckpt", "sim.ckpt"):
        {"stream.ckpt": _stream_steps, "learn.ckpt": _learnt_epochs, "sim.ckpt": _simulated_steps}[path.name](
            path.parent
        )
    elif path.suffix in (".pt", ".safetensors"):
        load_arrays(path)
    elif path.name == "manifest.json":
        RunFolder.open(path.parent)


def _written(folder: Path) -> int:
    """Count the files that are there under a temporary name or their own."""
    return sum(1 for _ in folder.rglob("*"))


def _wait(process: subprocess.Popen[str], folder: Path, lasts: float, random: Random) -> None:
    """Wait until a random moment, or until files come and go some random number of times."""
    end = time.monotonic() + random.random() * lasts
    if random.random() < 0.5:
        time.sleep(max(0.0, end - time.monotonic()))
        return
    changes, seen = random.randrange(1, 8), _written(folder)
    end = time.monotonic() + 2 * lasts
    while changes and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
        now = _written(folder)
        changes, seen = changes - (now != seen), now


def _content(path: Path) -> bytes:
    """Return the bytes of a file; of training points and their page without the seconds they took."""
    if path.name == "results.md":
        return "\n".join(line.rpartition("|")[0].rpartition("|")[0] for line in path.read_text().splitlines()).encode()
    if path.name != POINTS.name:
        return path.read_bytes()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return json.dumps([{k: v for k, v in line.items() if k not in ("seconds", "sha256")} for line in lines]).encode()


def _strange(left: set[Path]) -> list[Path]:
    return [p for p in left if p.suffix != ".sqlite" and not p.name.startswith("sweep.sqlite")]


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_killed_command_leaves_whole_files_and_can_be_run_again(tmp_path: Path, case: Case) -> None:
    kills, random = int(os.environ.get("BIMHW_KILLS", "4")), Random(case.arguments)
    sound, killed = tmp_path / "sound", tmp_path / "killed"
    for folder in (sound, killed):
        write_inputs(folder)
        (folder / "docs").mkdir()
        for needed in case.needs:
            _whole(folder, needed)
    lasts, kept, ended = _whole(sound, case.arguments), 0, 0
    for _ in range(kills):
        process = _start(killed, case.arguments + case.go_on(killed))
        _wait(process, killed, lasts, random)
        kind = random.choice(SIGNALS)
        process.send_signal(kind)
        _, errors = process.communicate()
        # SIGTERM is taken as SIGINT; one that arrives inside exec() of a string, as dataclasses do while they are imported,
        # makes Python end by that signal at its exit, although it was handled
        assert process.returncode in (0, 2, -kind, -signal.SIGINT), errors
        assert "Traceback" not in errors, errors
        ended += process.returncode != 0
        for path in killed.rglob("*"):
            if path.is_file():
                _check(path)
        assert case.kept(killed) >= kept, "work that was kept is gone"
        kept = case.kept(killed)
    print(f"{case.name}: {kills} signals, {ended} met it at work")
    _whole(killed, case.arguments + case.go_on(killed))
    files = {p.relative_to(sound): _content(p) for p in sound.rglob("*") if p.is_file() and p.suffix != ".sqlite"}
    for name, data in files.items():
        if name.name != "functional-runs.log":  # it counts the runs that were begun again
            assert _content(killed / name) == data, name
    left = {p.relative_to(killed) for p in killed.rglob("*") if p.is_file()} - set(files)
    assert not _strange(left), left


def test_an_open_run_is_refused() -> None:
    with pytest.raises(InputError, match="manifest"):
        RunFolder.open(ROOT / "examples")


@pytest.mark.long
def test_a_killed_server_leaves_its_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    _whole(tmp_path, COMPILE)
    _whole(tmp_path, "simulate m.bimhw --samples 3 -o runs/one")
    before, random = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}, Random(0)
    for _ in range(int(os.environ.get("BIMHW_KILLS", "4"))):
        process = _start(tmp_path, "serve runs --port 0")
        time.sleep(3 * random.random())
        kind = random.choice(SIGNALS)
        process.send_signal(kind)
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (0, 2, -kind, -signal.SIGINT) and "Traceback" not in errors, errors
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
