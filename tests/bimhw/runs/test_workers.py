"""Local worker processes end with the process that began them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARENT = """
import os, time
from bimhw.runs.workers import Processes

def main():
    pool = Processes(dict, 2)
    for name in "ab":
        pool.submit(name, ([("name", name)],))
    assert sorted(name for name, _ in pool.finished()) == ["a", "b"]
    print(*pool._pool._processes, flush=True)
    time.sleep(600)

if __name__ == "__main__":
    main()
"""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_parent_leaves_no_worker() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", PARENT], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert workers and all(map(_runs, workers))
        parent.kill()
    end = time.monotonic() + 60
    while any(map(_runs, workers)):
        assert time.monotonic() < end, "a worker is left"
        time.sleep(0.02)
