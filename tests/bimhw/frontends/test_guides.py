"""docs/frameworks.md: the guide of each framework runs as written where the framework is installed.

MODULE_FRAMEWORKS_PYTHON names a Python that has them (`make frameworks`); else the Python of the tests is asked.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = {
    "snnTorch": "snntorch",
    "SpikingJelly": "spikingjelly",
    "Norse": "norse",
    "sinabs": "sinabs",
    "Rockpool": "rockpool",
    "Brian2": "brian2",
}


def _sections() -> dict[str, str]:
    page = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
    parts = {part.splitlines()[0]: part for part in page.split("\n## ")[1:]}
    code = {name: "\n".join(re.findall(r"^```python\n(.*?)^```$", part, re.M | re.S)) for name, part in parts.items()}
    return {name: text for name, text in code.items() if text}


def test_every_guide_with_code_is_run_here() -> None:
    assert set(_sections()) == set(PACKAGES)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_guide_runs_as_written(name: str, tmp_path: Path) -> None:
    python = os.environ.get("MODULE_FRAMEWORKS_PYTHON", sys.executable)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if subprocess.run([python, "-c", f"import {PACKAGES[name]}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} has no {PACKAGES[name]}; MODULE_FRAMEWORKS_PYTHON names one (`make frameworks`)")
    command = [python, "-W", "ignore", "-c", _sections()[name]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert name == "Brian2" or ": 0 of" in done.stdout
