"""The façade: what it names, where that lives, and what a type checker sees of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bimhw

ROOT = Path(__file__).resolve().parents[1]


def test_every_import_of_the_stub_is_a_public_name() -> None:
    tree = ast.parse((ROOT / "bimhw" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [(n.module, a) for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names]
    assert {a.asname: f"{module}.{a.name}" for module, a in imports if a.name != "VERSION"} == bimhw._PUBLIC
    assert len(imports) == len(bimhw._PUBLIC) + 1


@pytest.mark.parametrize("name", sorted(bimhw._PUBLIC))
def test_every_name_has_a_docstring(name: str) -> None:
    assert (getattr(bimhw, name).__doc__ or "").strip()
