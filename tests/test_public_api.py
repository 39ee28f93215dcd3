"""The façade: what it names, where that lives, and what a type checker sees of it."""

from __future__ import annotations

import ast
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
