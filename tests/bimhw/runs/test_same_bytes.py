"""The same seed gives the same bytes: every command that writes, run twice in different folders, processes and hash seeds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bimhw.cli.writing_commands import WRITING, write_inputs

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from bimhw.cli.main import main
for line in sys.stdin.read().split("\\n"):
    if line:
        try:
            main(line.split())
        except SystemExit as done:
            assert not done.code, (line, done.code)
"""


def _run(folder: Path, hash_seed: str, threads: str) -> dict[str, str]:
    write_inputs(folder)
    environment = os.environ | {
        "PYTHONHASHSEED": hash_seed,
        "OMP_NUM_THREADS": threads,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join(WRITING),
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.long
def test_every_command_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    one, two = _run(tmp_path / "a", "1", "1"), _run(tmp_path / "another-folder", "77", "2")
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == set()
    assert not [name for name in one if Path(name).name.startswith(".")], "a lock or a temporary file was left"
