"""Every snippet of the README and of the guides runs as written, page by page, in an empty folder."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reference import llms_page, python_page
from bimhw.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *(page for part in ("start", "literature") for page in sorted((DOCS / part).glob("*.md"))),
    DOCS / "nn.md",
    DOCS / "p-spikessm.md",
]
# they train; tests of runs and sweeps run their commands on fewer samples
LONG = {"docs/start/learning.md", "docs/start/sweep.md"}
NOT_RUN = ("make ", "source ", "pip ")  # they set up or test what runs here


def snippets(page: Path) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"^```(python|sh)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S):
        yield match[1], match[2]


def named(page: Path) -> Any:
    name = page.relative_to(ROOT).as_posix()
    return pytest.param(page, id=name, marks=pytest.mark.long if name in LONG else ())


@pytest.mark.parametrize("page", list(map(named, PAGES)))
def test_snippets_run_as_written(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has imported and compiled what they need; the next test starts processes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(python_of(page), {"__name__": "__main__"})
        for line in shell_of(page):
            if line.startswith("bimhw "):
                by_command_line(line)
            else:
                run(["bash", "-c", line], tmp_path, line)


def by_command_line(line: str) -> None:
    command, _, file = line.partition(" > ")
    printed = io.StringIO()
    with redirect_stdout(printed), pytest.raises(SystemExit) as done:
        main(shlex.split(command, comments=True)[1:])
    assert done.value.code == 0, f"{line}\n{printed.getvalue()}"
    if file:
        Path(file).write_text(printed.getvalue(), encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_snippets_run_in_processes_of_their_own(page: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    if python := python_of(page):
        run([sys.executable, "-W", "ignore", "-c", python], tmp_path, python)
    for line in shell_of(page):
        run(["bash", "-c", line.replace("bimhw ", f"{sys.executable} -m bimhw ", 1)], tmp_path, line)


def python_of(page: Path) -> str:
    return "\n".join(code for kind, code in snippets(page) if kind == "python")


def shell_of(page: Path) -> list[str]:
    lines = [line for kind, code in snippets(page) if kind == "sh" for line in code.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith(NOT_RUN)]


def run(command: list[str], folder: Path, shown: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{shown}\n{done.stdout}\n{done.stderr}"


def test_the_table_of_neurons_is_of_this_code() -> None:
    page = "from benchmarks.reference import neurons_page; print(neurons_page(), end='')"
    made = subprocess.check_output(
        [sys.executable, "-c", page], cwd=ROOT, text=True
    )  # without the models of other tests
    assert (ROOT / "docs" / "reference" / "neurons.md").read_text(encoding="utf-8") == made


def test_the_reference_is_of_this_code() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert page == python_page()
    assert (ROOT / "docs" / "llms.txt").read_text(encoding="utf-8") == llms_page()


def test_every_page_is_in_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert {p for p in pages if p not in site and not p.startswith("decisions/")} == set()
