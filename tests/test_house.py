"""The budget of the house: sizes, loose modules, import knots, and `Any`. See docs/decisions on size and rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import networkx as nx

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bimhw", "simulator", "mapping", "energy_models")
MOST_FILE_LINES = 350
MOST_FUNCTION_LINES = 60  # without the docstring; numba kernels aside: a fused loop does not split
P90_FUNCTION_LINES = 25
MOST_ANY = 1225  # mentions of `Any`; lower it whenever it falls
LONG_FILES = {"simulator/timing/kernel.py"}  # one compiled loop; a file leaves this list and never enters it


@cache
def trees() -> dict[str, tuple[str, ast.Module]]:
    paths = (p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py")))
    texts = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in paths}
    return {name: (text, ast.parse(text)) for name, text in texts.items()}


def functions() -> Iterator[tuple[str, int, bool]]:
    for name, (_, tree) in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                kernel = any("jit" in ast.unparse(d) for d in node.decorator_list)
                yield f"{name}:{node.name}", (node.end_lineno or 0) - node.lineno + 1 - documented(node), kernel


def documented(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the docstring: public functions describe every argument, which must not count against them."""
    first = node.body[0]
    has = isinstance(first, ast.Expr) and ast.get_docstring(node) is not None
    return (first.end_lineno or 0) - first.lineno + 1 if has else 0


def test_files_are_small() -> None:
    long = {name for name, (text, _) in trees().items() if text.count("\n") > MOST_FILE_LINES}
    assert long <= LONG_FILES, f"split: {sorted(long - LONG_FILES)}"


def test_functions_are_small() -> None:
    sizes = sorted(size for _, size, _ in functions())
    assert sizes[int(0.9 * len(sizes))] <= P90_FUNCTION_LINES
    long = {name for name, size, kernel in functions() if size > MOST_FUNCTION_LINES and not kernel}
    assert not long, f"split: {sorted(long)}"


def test_nothing_lies_loose() -> None:
    loose = [p.name for package in ("bimhw", "simulator") for p in (ROOT / package).glob("*.py")]
    assert sorted(loose) == ["__init__.py", "__init__.py", "__main__.py"]


def test_any_never_rises() -> None:
    mentions = sum(
        isinstance(node, ast.Name) and node.id == "Any" for _, tree in trees().values() for node in ast.walk(tree)
    )
    assert mentions <= MOST_ANY, f"{mentions} mentions of Any: give the new values types"


def test_no_module_imports_itself_through_others() -> None:
    """Lazy imports are counted; imports for type checkers alone are not."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    arrows = nx.DiGraph((a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a))
    knots = [sorted(knot) for knot in nx.strongly_connected_components(arrows) if len(knot) > 1]
    assert not knots
