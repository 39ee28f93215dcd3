"""The table of oracles in docs/rules.md: every rule has one, and the test that it names has as many random cases as it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from benchmarks.digits_rules import Row, listed, names, table
from bimhw.learning.rules.registry import rules as host_rules
from simulator.plasticity.rules.rule_file import shipped_rules

ROOT = Path(__file__).parents[3]


def rows() -> list[tuple[set[str], str, Path, str, int]]:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    table = text.split("<!-- oracles -->\n")[1].split("<!-- end -->")[0]
    out = []
    for line in table.splitlines()[2:]:
        rule, where, _, test, cases = (cell.strip() for cell in line.strip("|").split("|"))
        file, name = test.strip("`").split("::")
        out.append((set(re.findall(r"`([^`]+)`", rule)), where.split(",")[0], ROOT / file, name, int(cases)))
    return out


def cases_of(file: Path, name: str) -> int:
    """Count a test's random cases: Hypothesis' examples, or the end of the ranges that its seeds are taken from."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    test = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
    found = []
    for node in (n for d in test.decorator_list for n in ast.walk(d)):
        if isinstance(node, ast.keyword) and node.arg == "max_examples":
            found.append(ast.literal_eval(node.value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            found.append(ast.literal_eval(node.args[-1]))
    return int(max(found))


def test_every_rule_has_an_oracle_of_fifty_cases() -> None:
    listed = rows()
    for place, registered in (
        ("host", {r.name for r in host_rules().values() if r.family}),
        ("chip", set(shipped_rules())),
    ):
        assert set().union(*(names for names, where, *_ in listed if where == place)) == registered
    for _, _, file, name, cases in listed:
        assert cases_of(file, name) == cases >= 50, name


def part_of_page(start: str, end: str) -> str:
    return (ROOT / "docs" / "rules.md").read_text(encoding="utf-8").split(start)[1].split(end)[0]


def test_every_rule_has_a_row_on_digits_and_a_reason_where_it_loses() -> None:
    gains = {key: row[-1] for key, row in listed(part_of_page("<!-- rules digits-all -->\n", "<!-- end -->")).items()}
    here = {key for key in names() if key[:2] != ("chip", "bim")}  # BIM's own: docs/on-chip-learning.md
    assert here <= gains.keys() <= set(names())
    said = part_of_page("<!-- rules digits-all -->", "\n### ").split("<!-- end -->")[1]
    for (_, _, rule), gain in gains.items():
        assert gain == "frozen" or float(gain) > 0 or f"`{rule}`" in said, rule


def test_rows_that_ran_replace_those_of_a_table() -> None:
    before = table([Row("host", "leaky", "delta", 0.6, (90.0, 92.0)), Row("host", "leaky", "ottt", 0.02, (97.0,))])
    after = listed(
        table([Row("chip", "leaky", "delta", None, (80.0,)), Row("host", "leaky", "ottt", 0.06, (89.5,))], before)
    )
    assert [row[2:] for row in after.values()] == [
        ["`delta`", "", "80.0", "frozen"],
        ["`delta`", "0.6", "91.0 +- 1.4", "frozen"],
        ["`ottt`", "0.06", "89.5", "-1.5"],
    ]


def test_what_the_systems_of_the_literature_hold_is_tested() -> None:
    page = (ROOT / "docs" / "literature.md").read_text(encoding="utf-8").split("## What the tests hold")[1]
    named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", page)
    assert len(named) > 10
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), name
