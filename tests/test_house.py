"""The budget of the house: sizes, loose modules, import knots, and `Any`. See docs/decisions on size and rooms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import networkx as nx

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bimhw", "simulator", "mapping", "energy_models")
MOST_FILE_LINES = 350
MOST_FUNCTION_LINES = 60  # with the docstring; numba kernels aside: a fused loop does not split
P90_FUNCTION_LINES = 25
MOST_ANY = 1027  # mentions of `Any`; lower it whenever it falls
MOST_ROOMS = 22  # packages below the four, or one of the four that has none; lower it whenever it falls


@cache
def trees() -> dict[str, tuple[str, ast.Module]]:
    paths = (p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py")))
    texts = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in paths}
    return {name: (text, ast.parse(text)) for name, text in texts.items()}


@cache
def functions() -> list[tuple[str, int, bool]]:
    return list(_functions())


def _functions() -> Iterator[tuple[str, int, bool]]:
    for name, (_, tree) in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                kernel = any("jit" in ast.unparse(d) for d in node.decorator_list)
                yield f"{name}:{node.name}", (node.end_lineno or 0) - node.lineno + 1, kernel


def test_files_are_small() -> None:
    long = {name for name, (text, _) in trees().items() if text.count("\n") > MOST_FILE_LINES}
    assert not long, f"split: {sorted(long)}"


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


def test_arrays_are_typed_by_one_name_each() -> None:
    """`simulator/base/arrays.py` names the types; no other module spells one of them again."""
    home = "simulator/base/arrays.py"
    spelt = _array_types(trees()[home][0])
    again = {
        name: types for name, (text, _) in trees().items() if (types := spelt & _array_types(text)) and name != home
    }
    assert len(spelt) > 10
    assert not again, f"import these types from {home}: {again}"


def _array_types(text: str) -> set[str]:
    return set(re.findall(r"NDArray\[[\w.]+\]", text))


def knots() -> list[list[str]]:
    """Return modules that import one another: at once, lazily, or for type checkers only."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    facade = "bimhw"  # it loads every room by need; nothing below may import it
    arrows = nx.DiGraph((a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a))
    assert not [a for a in arrows.predecessors(facade) if a.split(".")[1] not in ("cli", "__main__")]
    return [sorted(knot) for knot in nx.strongly_connected_components(arrows) if len(knot) > 1]


def test_no_module_imports_itself_through_others() -> None:
    assert not knots()


def test_the_rooms_can_be_counted() -> None:
    """A room is a package below one of the four, or one of the four that has none."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    inside = {p: {m for m in graph.find_children(p) if graph.find_children(m)} for p in PACKAGES}
    rooms = set().union(*(inside[p] or {p} for p in PACKAGES))
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)
