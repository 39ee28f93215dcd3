"""Signals at random moments: no half file, no work lost, and what goes on afterwards gives the bytes of an unbroken run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from bimhw.models.io import load_arrays
from bimhw.runs.folder import RunFolder
from simulator.base.errors import InputError
from simulator.program.program import Program

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "examples" / "digits.safetensors"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


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


def _check(path: Path) -> None:
    """Everything with a name of its own must be whole."""
    if path.name.startswith("."):
        return
    if path.suffix == ".bimhw":
        Program.load(path)
    elif path.suffix in (".pt", ".safetensors"):
        load_arrays(path)
    elif path.name == "manifest.json":
        RunFolder.open(path.parent)


COMMANDS = (
    f"compile {MODEL} --neurons-per-core 8 -o m.bimhw",
    "simulate m.bimhw --samples 300 --checkpoint sim.ckpt --checkpoint-every 500 -o run",
    "report run",
    "train digits --epochs 1 --hidden 8 -o t.pt",
    "learn m.bimhw --epochs 1 -o l.bimhw --run learnt --form seq",
    f"sweep {MODEL} --cores 2,8 --samples 20 --db sweep.sqlite",
)


@pytest.mark.long
@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda text: text.split()[0])
def test_a_killed_command_leaves_whole_files_and_can_be_run_again(tmp_path: Path, arguments: str) -> None:
    kills, random = int(os.environ.get("BIMHW_KILLS", "4")), Random(arguments)
    sound, killed = tmp_path / "sound", tmp_path / "killed"
    for folder in (sound, killed):
        folder.mkdir()
        for needed in COMMANDS[: 2 if arguments.startswith("report") else 1]:
            if needed != arguments:
                _whole(folder, needed)
    lasts = _whole(sound, arguments)
    for _ in range(kills):
        process = _start(killed, arguments)
        time.sleep(random.random() * lasts)
        kind = random.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM))
        process.send_signal(kind)
        _, errors = process.communicate()
        assert process.returncode in (0, 2, -kind), errors
        for path in killed.rglob("*"):
            if path.is_file():
                _check(path)
    _whole(killed, arguments)
    kept = {p.relative_to(sound): p.read_bytes() for p in sound.rglob("*") if p.is_file() and p.suffix != ".sqlite"}
    for name, data in kept.items():
        if name.name != "functional-runs.log":  # it counts the runs that were begun again
            assert (killed / name).read_bytes() == data, name
    left = {p.relative_to(killed) for p in killed.rglob("*") if p.is_file()} - set(kept)
    assert not [p for p in left if p.suffix != ".sqlite"], left


def test_an_open_run_is_refused() -> None:
    with pytest.raises(InputError, match="manifest"):
        RunFolder.open(ROOT / "examples")
