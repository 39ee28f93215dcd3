"""A disk that fills while a command writes: one message, nothing half-written, nothing lost.

A limit on the size of a file (RLIMIT_FSIZE) stands for the disk: a write beyond it fails as on a full disk.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bimhw.cli.main import main
from bimhw.studies.results.points import read_points
from tests.bimhw.cli.writing_commands import TIMED, WRITING, tree, write_inputs

LIMIT = 600  # bytes: less than any file that the commands write
POINTS = "docs/results/points.jsonl"
_NEEDED = ("compile m.safetensors --chip loihi2 --neurons", "simulate m.bimhw --samples 4")
_FAST = ("simulate m.bimhw --samples 2", "chips new")
COMMANDS = [c if c.startswith(_FAST) else pytest.param(c, marks=pytest.mark.long) for c in WRITING + TIMED]


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run(line: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(line.split())
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the commands before the one under test have run; each test goes on in it."""
    folder = tmp_path_factory.mktemp("sound")
    write_inputs(folder)
    with contextlib.chdir(folder):
        for line in WRITING:
            if line.startswith(_NEEDED):
                assert run(line) == 0
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: "-".join(line.split()[:2]))
def test_a_full_disk_is_one_message_and_changes_nothing(
    line: str, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "full"
    shutil.copytree(sound, folder)  # before the command has run
    monkeypatch.chdir(sound)
    assert run(line) == 0, capsys.readouterr().err  # compiles its kernels, and leaves what the next commands need
    old = tmp_path / "old"
    shutil.copytree(sound, old)  # where its outputs are already
    for there in (folder, old):
        monkeypatch.chdir(there)
        before = tree(there)
        capsys.readouterr()
        with full_disk():
            code = run(line)
        said = capsys.readouterr().err
        assert code == 2 and "Traceback" not in said and len(said) < 1500, said
        after = tree(there)
        changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
        if POINTS in changed:  # what was trained before the page did not fit is kept, whole
            assert after[POINTS].startswith(before.get(POINTS, b"")) and read_points(there / POINTS)
        assert changed <= {POINTS}
