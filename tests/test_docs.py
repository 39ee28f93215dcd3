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

import click
import pytest

from benchmarks.reference import llms_page, python_page
from bimhw.cli.main import cli, main

FREE = click.Context(cli)
ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *(page for part in ("start", "literature") for page in sorted((DOCS / part).glob("*.md"))),
    *(DOCS / f"{name}.md" for name in (
        "nn", "p-spikessm", "function", "timing", "on-chip-learning", "scale", "frontends"
    )),
]  # fmt: skip
ELSEWHERE = {  # pages whose snippets another test runs
    "docs/frameworks.md": "tests/bimhw/frontends/test_guides.py",
    "docs/neurons.md": "tests/simulator/neurons/test_docs.py",
}
# they train or run long; tests of runs and sweeps run their commands on fewer samples
LONG = {"start/learning", "start/sweep", "function", "timing", "on-chip-learning", "scale", "frontends"}
# they set up or test what runs here, or read a file of 100 MB that is the user's
NOT_RUN = ("make ", "source ", "pip ", "bimhw compile connections.csv.gz")


def snippets(page: Path) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"^```(python|sh)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S):
        yield match[1], match[2]


def named(page: Path) -> Any:
    name = page.relative_to(ROOT).as_posix()
    return pytest.param(page, id=name, marks=pytest.mark.long if name[5:-3] in LONG else ())


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


def test_every_page_with_snippets_is_run() -> None:
    pages = {p.relative_to(ROOT).as_posix() for p in DOCS.rglob("*.md") if list(snippets(p))}
    assert pages - {p.relative_to(ROOT).as_posix() for p in PAGES} == set(ELSEWHERE)
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())


def commands(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.M | re.S)
    lines = [line for block in fenced for line in block.splitlines()] + re.findall(r"`(bimhw [^`]*)`", text)
    for line in lines:
        yield from (part.strip() for part in line.split("#")[0].split("&&") if part.strip().startswith("bimhw "))


def test_every_command_named_on_a_page_and_its_options_exist() -> None:
    unknown = [
        (page.name, line, word)
        for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))
        for line in commands(page)
        for word in unknown_words(line)
    ]
    assert unknown == []


def unknown_words(line: str) -> list[str]:
    words = line.replace("[", "").replace("]", "").split()[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and (found := command.get_command(FREE, words[0])):
        command, words = found, words[1:]
    if command is cli:
        return [w for w in words[:1] if w[0] not in "-." and w != "COMMAND"]
    known = {name for p in command.get_params(FREE) for name in (*p.opts, *p.secondary_opts)} | {"-h"}
    options = [w.split("=")[0].rstrip(".,;:)|") for w in words if re.match("--?[a-z]", w)]
    return [option for option in options if option not in known]


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
