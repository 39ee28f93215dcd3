"""Every example runs, and prints what stands beside it (those that train print figures of the machine's rounding)."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONG = {"relu_to_chip"}
EXAMPLES = [
    pytest.param(p, id=p.stem, marks=pytest.mark.long if p.stem in LONG else ())
    for p in sorted((ROOT / "examples").glob("*.py"))
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if example.stem == "snntorch_to_chip":
        pytest.importorskip("snntorch", reason="the example is of snnTorch")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    printed, expected = capsys.readouterr().out, example.with_suffix(".out")
    assert printed == expected.read_text(encoding="utf-8") if expected.exists() else printed.strip()


@pytest.mark.long
@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_notebook(notebook: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, str(notebook)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
