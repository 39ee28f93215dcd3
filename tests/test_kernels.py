"""Helpers of compiled float loops are inlined: else which copy of a helper runs depends on what was compiled before.

numba puts a copy of each helper that is not inlined beside every loop that calls it, under one weak name. In the process that
compiles two such loops both call the first copy; in the next, which loads them from the cache, each calls its own. Copies are
optimised beside other code, and where products and sums may be fused their last bits differ: the first training after an
installation gave other weights than the second.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INLINED = ("forceinline=True", "inline='always'")


def compiled(folder: str) -> Iterator[tuple[Path, ast.FunctionDef, str]]:
    """Yield file, function and decorator of what numba compiles."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for decorator in map(ast.unparse, node.decorator_list):
                    if "njit" in decorator:
                        yield file, node, decorator


def called(functions: list[tuple[Path, ast.FunctionDef, str]]) -> set[str]:
    """Return the names that compiled functions call."""
    calls = (c for _, f, _ in functions for c in ast.walk(f) if isinstance(c, ast.Call))
    return {c.func.id for c in calls if isinstance(c.func, ast.Name)}


@pytest.mark.parametrize("folder", ["bimhw/learning", "bimhw/models", "mapping", "simulator"])
def test_helpers_are_inlined(folder: str) -> None:
    functions = list(compiled(folder))
    helpers = called(functions)
    assert functions
    loose = [
        f"{file.relative_to(ROOT)}: {node.name}"
        for file, node, decorator in functions
        if node.name in helpers and not any(way in decorator for way in INLINED)
        if folder.startswith("bimhw") or "fastmath" in decorator  # elsewhere integers, or floats as IEEE rounds them
    ]
    assert not loose


TRAINED = """
import dataclasses, hashlib
from bimhw.learning.objectives.language import train_language
from bimhw.learning.objectives.language_recipe import language_recipe
from bimhw.tasks import load_corpus
whole = load_corpus("lm")
text = dataclasses.replace(whole, train=whole.train[:4000], test=whole.test[:3000])
for rule in ("rtrl", "tr"):
    model = train_language(text, *language_recipe(text, 0, rule=rule, hidden="16")).model
    print(rule, hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest())
"""


@pytest.mark.long
def test_the_first_training_is_the_second(tmp_path: Path) -> None:
    """With kernels compiled in the process, and with those of the cache."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", TRAINED], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] and runs[0].count("\n") == 2
