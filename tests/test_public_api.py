"""The façade: what it names, where that lives, and what a type checker sees of it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bimhw

ROOT = Path(__file__).resolve().parents[1]


def test_lazy_names_are_the_typed_names() -> None:
    tree = ast.parse((ROOT / "bimhw" / "__init__.py").read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {
        a.asname or a.name: f"{n.module}.{a.name}" for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names
    }
    assert typed == bimhw._PUBLIC


@pytest.mark.parametrize("name", sorted(bimhw._PUBLIC))
def test_every_name_has_a_docstring(name: str) -> None:
    assert (getattr(bimhw, name).__doc__ or "").strip()


def test_a_checker_sees_the_types() -> None:
    """mypy finds exactly the errors that tests/typing marks."""
    file = ROOT / "tests" / "typing" / "public_api.py"
    command = [sys.executable, "-m", "mypy", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ, MYPYPATH=str(ROOT)))
    found = {(int(m[1]), m[2]) for m in re.finditer(r"public_api\.py:(\d+): error: .*\[([a-z-]+)\]", done.stdout)}
    lines = file.read_text(encoding="utf-8").splitlines()
    marked = {(i, m[1]) for i, line in enumerate(lines, 1) if (m := re.search(r"# error: ([a-z-]+)$", line))}
    assert found == marked, done.stdout + done.stderr
