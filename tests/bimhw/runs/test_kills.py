"""Signals at random moments: no half file, no work lost, and what goes on afterwards gives the bytes of an unbroken run.

Every command that writes is tried, each on tiny inputs. ``BIMHW_KILLS`` is the number of kills of each command that meet it at
work: half of them at any moment, half while files come and go. The processes are forked from this one, so that a kill meets the
work and not its imports; about half of the first ones are begun afresh.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NoReturn

import pytest

from bimhw.__main__ import run
from bimhw.cli.main import main
from bimhw.models.io import load_arrays
from bimhw.models.torch_files import load_torch
from bimhw.runs.folder import RunFolder
from bimhw.studies.results.points import read_points
from simulator.base.errors import InputError
from simulator.base.files import read_safetensors
from tests.bimhw.cli.writing_commands import TIMED, WRITING, write_inputs

ROOT = Path(__file__).parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
STOPS = (signal.SIGINT, signal.SIGTERM)
BEGIN = """
import os, signal
from bimhw.__main__ import run
try:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
except KeyboardInterrupt:
    os._exit(2)
run()
"""
POINTS = Path("docs/results/points.jsonl")
KILLS = int(os.environ.get("BIMHW_KILLS", "1"))


def let_stop() -> None:
    """Let the signals through; one that came before ends the process as it ends a command."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    except KeyboardInterrupt:
        os._exit(2)


class Child:
    """A command in a process of its own, begun afresh or forked from this one, where its libraries and kernels are loaded."""

    def __init__(self, folder: Path, arguments: str, fresh: bool) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the process lasts
        self._code: int | None = None
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until the command begins: Python's own start is not ours
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
            self.pid = os.fork()
        if self.pid == 0:
            self._begin(folder, arguments.split(), fresh)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def _begin(self, folder: Path, arguments: list[str], fresh: bool) -> NoReturn:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(self._said.fileno(), 2)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL if fresh else signal.default_int_handler)
        if fresh:
            os.execve(sys.executable, [sys.executable, "-c", BEGIN, *arguments], ENVIRONMENT)
        sys.argv = ["bimhw", *arguments]
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
        code: object = 1
        warnings.simplefilter("ignore")
        let_stop()
        try:
            run()
        except SystemExit as done:
            code = done.code or 0
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)

    def ended(self) -> bool:
        """Return whether the process is over."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code is not None

    def end(self, kind: signal.Signals | None = None) -> tuple[int, str]:
        """Send a signal, wait, and return the exit code with what was said on standard error."""
        if kind is not None and not self.ended():
            os.kill(self.pid, kind)
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with self._said as said:
            said.seek(0)
            return self._code, said.read().decode(errors="replace")


def _whole(folder: Path, arguments: str, fresh: bool = False) -> float:
    began = time.monotonic()
    code, errors = Child(folder, arguments, fresh).end()
    assert code == 0, errors
    return time.monotonic() - began


def _here(folder: Path, arguments: str) -> None:
    """Run a command in this process, so that those forked from it find libraries and kernels loaded."""
    with contextlib.chdir(folder), warnings.catch_warnings(), pytest.raises(SystemExit) as done:
        warnings.simplefilter("ignore")
        main(arguments.split())
    assert not done.value.code, arguments


def _torch_work(path: Path) -> int:
    content = load_torch(path, "a checkpoint")
    return int(content["step"]) if "step" in content else len(content["history"])


def _learnt_epochs(path: Path) -> int:
    return len(json.loads(read_safetensors(path, hashed=True)[1]["bimhw"])["notes"]["history"])


def _simulated_steps(path: Path) -> int:
    return int(json.loads(read_safetensors(path, hashed=True)[1]["bimhw"])["step"])


def _swept_points(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        if not db.execute("select 1 from sqlite_master where name = 'points'").fetchall():
            return 0
        return int(db.execute("select count(*) from points").fetchone()[0])


@dataclass(frozen=True)
class Case:
    """A command, how many of the writing commands come before it, and where it keeps its work."""

    arguments: str
    after: int
    keeps: str = ""
    work: Callable[[Path], int] = lambda path: 0
    resume: str = ""

    @property
    def name(self) -> str:
        return "-".join(re.findall(r"[\w]+", self.arguments)[:6])

    def done(self, folder: Path) -> int:
        """Return the work that is kept in a folder."""
        return self.work(folder / self.keeps) if self.keeps and (folder / self.keeps).exists() else 0

    def line(self, folder: Path) -> str:
        """Return what is typed where the command may have been killed before."""
        return self.arguments + (self.resume if (folder / self.keeps).exists() else "")


# long enough to be killed between two savings
KEEPING = (
    Case("simulate m.bimhw --samples 200 --checkpoint c --checkpoint-every 100 -o long", 1, "c", _simulated_steps),
    Case("train digits --stream --steps 200 --hidden 4 --batch 2 --report-every 20 --checkpoint c -o s.pt", 0, "c",
         _torch_work, " --resume"),
    Case("train digits --epochs 3 --hidden 4 --checkpoint c -o t.safetensors", 0, "c", _torch_work, " --resume"),
    Case("learn m.bimhw --data own.npz --epochs 9 --checkpoint c -o l.bimhw --run learnt --form seq", 1, "c",
         _learnt_epochs),
    Case("sweep m.safetensors --cores 2,4,8 --samples 20 --db c", 0, "c", _swept_points),
    Case("results --table digits --row logistic --docs docs", 0, str(POINTS), lambda path: len(read_points(path))),
)  # fmt: skip
PLAIN = [
    Case(line, min(k, len(WRITING)))
    for k, line in enumerate(WRITING + TIMED)
    if "--checkpoint" not in line and not line.startswith(("sweep", "results"))
]


class Folders:
    """Folders in which the first commands have run, made when they are asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        write_inputs(root / "0")
        (root / "0" / "docs").mkdir()
        self.made = 0

    def after(self, commands: int) -> Path:
        """Return the folder in which so many commands have run."""
        for k in range(self.made, commands):
            shutil.copytree(self.root / f"{k}", self.root / f"{k + 1}")
            _here(self.root / f"{k + 1}", WRITING[k])
            self.made += 1
        return self.root / f"{commands}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("folders"))


def _wait(process: Child, folder: Path, lasts: float, random: Random) -> None:
    """Wait until a random moment, or until files come and go some random number of times."""
    end = time.monotonic() + random.random() * lasts
    if random.random() < 0.5:
        time.sleep(max(0.0, end - time.monotonic()))
        return
    changes, seen = random.randrange(1, 8), _names(folder)
    end = time.monotonic() + lasts
    while changes and not process.ended() and time.monotonic() < end:
        time.sleep(0.002)
        now = _names(folder)
        changes, seen = changes - (now != seen), now


def _names(folder: Path) -> set[Path]:
    """Return what is in a folder; one that goes while it is read is left out (`Path.rglob` raises)."""
    return {Path(at, name) for at, dirs, files in os.walk(folder) for name in (*dirs, *files)}


def _content(path: Path) -> bytes:
    """Return the bytes of a file; of pages and points that hold seconds, without them."""
    data = path.read_bytes()
    if path.name in ("results.md", "validation.md"):
        return re.sub(rb"[\d.,]+", b"", data)
    if path.name != POINTS.name:
        return data
    lines = [json.loads(line) for line in data.splitlines()]
    return json.dumps([{k: v for k, v in line.items() if k not in ("seconds", "sha256")} for line in lines]).encode()


def _tree(folder: Path, case: Case) -> dict[Path, bytes]:
    """Return the files that have a name of their own, but for where work is kept."""
    found = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    named = {n: p for n, p in found.items() if not any(part.startswith(".") for part in n.parts)}
    # the log counts the runs that were begun again
    return {n: _content(p) for n, p in named.items() if n.name != "functional-runs.log" and not _keeps(case, n)}


def _keeps(case: Case, name: Path) -> bool:
    return bool(case.keeps) and str(name).startswith(case.keeps)


def _check(folder: Path, case: Case, before: dict[Path, bytes], sound: dict[Path, bytes]) -> None:
    """Every file must be as it was before, or as an unbroken run leaves it."""
    for name, data in _tree(folder, case).items():
        if "--stream" in case.arguments and name.suffix == ".pt":  # saved where the stream was stopped
            load_arrays(folder / name)
            continue
        assert data in (before.get(name), sound.get(name)), f"{name} is half written"
        if name.name == "manifest.json":
            RunFolder.open((folder / name).parent)


ONCE = {"chips new": "mychip.yaml", "chips import": "sanafe.yaml"}  # command -> its file, which is never written over


@pytest.mark.long
@pytest.mark.parametrize("case", (*KEEPING, *PLAIN), ids=lambda case: case.name)
def test_a_killed_command_leaves_whole_files_and_can_be_run_again(tmp_path: Path, case: Case, folders: Folders) -> None:
    random, start = Random(case.arguments), folders.after(case.after)
    sound, killed = tmp_path / "sound", tmp_path / "killed"
    for folder in (sound, killed, tmp_path / "again"):
        shutil.copytree(start, folder)
    _here(sound, case.arguments)
    lasts, kept, met, tries = _whole(tmp_path / "again", case.arguments), 0, 0, 0
    before, whole = _tree(start, case), _tree(sound, case)
    while met < KILLS and tries < 6 * KILLS:
        fresh, tries = not met and random.random() < 0.5, tries + 1
        if case.done(killed) == case.done(sound):  # nothing left to do
            kept = 0
            shutil.rmtree(killed)
            shutil.copytree(start, killed)
        process, began = Child(killed, case.line(killed), fresh), time.monotonic()
        _wait(process, killed, lasts + 2 * fresh, random)
        kind = random.choice(SIGNALS)
        code, errors = process.end(kind)
        # SIGTERM is taken as SIGINT; one that arrives inside exec() of a string, as dataclasses do while they are imported,
        # makes Python end by that signal at its exit, although it was handled
        assert code in (0, 2, -kind, -signal.SIGINT), errors
        assert "Traceback" not in errors, errors
        met += code != 0
        if code == 0 and not fresh:
            lasts = min(lasts, time.monotonic() - began)
        _check(killed, case, before, whole)
        assert case.done(killed) >= kept, "work that was kept is gone"
        kept = case.done(killed)
    print(f"{case.name}: {met} kills met it at work")
    assert met == KILLS
    once = ONCE.get(" ".join(case.arguments.split()[:2]))
    if once is None or not (killed / once).exists():
        _whole(killed, case.line(killed))
    assert case.done(killed) == case.done(sound)
    after = _tree(killed, case)
    assert after.keys() == whole.keys() and {n for n in whole if after[n] != whole[n]} == set()


def test_an_open_run_is_refused() -> None:
    with pytest.raises(InputError, match="manifest"):
        RunFolder.open(ROOT / "examples")


@pytest.mark.long
def test_a_killed_server_leaves_its_folder_as_it_was(tmp_path: Path, folders: Folders) -> None:
    (tmp_path / "runs").mkdir()
    shutil.copy(folders.after(1) / "m.bimhw", tmp_path)
    _here(tmp_path, "simulate m.bimhw --samples 3 -o runs/one")
    before, random = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}, Random(0)
    for _ in range(KILLS):
        process = Child(tmp_path, "serve runs --port 0", fresh=False)
        time.sleep(random.random())
        kind = random.choice(SIGNALS)
        code, errors = process.end(kind)
        assert code in (0, 2, -kind, -signal.SIGINT) and "Traceback" not in errors, errors
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
