"""Local worker processes end with the process that began them, and do what one process does."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from benchmarks.nets import write_net
from bimhw.cli.main import cli
from bimhw.runs.workers import side_by_side, spreading

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


def _with_workers(command: click.Command, path: str = "") -> Iterator[str]:
    """Yield the paths of the commands that take `--workers`."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _with_workers(found, f"{path} {name}".strip())
    elif any(p.name == "workers" for p in command.params):
        yield path


def test_the_page_names_every_command_with_workers() -> None:
    page = (ROOT / "docs" / "scale.md").read_text()
    table = page[page.index("| command | what is shared") :].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `([a-z ]+)`", table, re.M)) == sorted(_with_workers(cli))


def test_one_process_does_the_tasks_in_order_and_tells_of_each() -> None:
    done: list[int] = []
    assert side_by_side(math.comb, [(5, 2), (6, 3)], 1, lambda: done.append(1)) == [10, 20]
    assert len(done) == 2


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [
        "crosscheck NET.npz --samples 3 --steps 20",
        "forgetting digits --hidden 8 --epochs 1 --rule rtrl --rule bptt",
        "rules digits --hidden 8 --train 20 --test 20 --rule rtrl-seq --rule frozen --rule delta --seeds 2",
    ],
)
def test_any_number_of_processes_gives_the_same_bytes(command: str, tmp_path: Path) -> None:
    net = write_net(tmp_path / "net.npz", 300, (5, 20), 0.05, steps=20)
    line = [sys.executable, "-m", "bimhw", *command.replace("NET.npz", str(net)).split(), "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    outputs = {
        subprocess.run([*line, "--workers", n], capture_output=True, check=True, env=environment).stdout for n in "13"
    }
    assert len(outputs) == 1
    assert b"{" in outputs.pop()


def test_spreading_is_nothing_for_one_process() -> None:
    with spreading(None) as spread:
        assert spread is None
    with spreading(None, 2) as spread:
        assert spread is not None
        assert spread(math.comb, [(5, 2)]) == [10]  # one task alone is done in this process
