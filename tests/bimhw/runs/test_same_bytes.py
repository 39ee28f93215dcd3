"""The same seed gives the same bytes: every command that writes, run twice in different folders, processes and hash seeds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMANDS = """
train digits --epochs 1 --hidden 6 -o m.pt
train digits --epochs 1 --hidden 6 -o m.safetensors
train digits --stream --steps 40 --hidden 4 --batch 2 --report-every 20 --checkpoint stream.ckpt -o s.pt
compile m.pt --chip loihi2 --neurons-per-core 4 --save-mapping map.json --plot map.png -o m.bimhw
compile m.pt --chip loihi2 --mapping map.json -o again.bimhw
simulate m.bimhw --samples 4 --model m.pt --trace t.json --checkpoint sim.ckpt -o run
energy run
report run
table run --markdown table.md
codesign run --plot codesign.png
map m.bimhw --run run -o cores.svg --save map2.json
learn m.bimhw --epochs 1 --run learnt -o l.bimhw --model l.safetensors --form seq
sweep m.pt --cores 2,4 --samples 4 --db sweep.sqlite --plot sweep.png
"""
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
    folder.mkdir()
    environment = os.environ | {
        "PYTHONHASHSEED": hash_seed,
        "OMP_NUM_THREADS": threads,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=COMMANDS, cwd=folder, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.long
def test_every_command_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    one, two = _run(tmp_path / "a", "1", "1"), _run(tmp_path / "another-folder", "77", "1")
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == set()
    assert not [name for name in one if Path(name).name.startswith(".")], "a lock or a temporary file was left"
