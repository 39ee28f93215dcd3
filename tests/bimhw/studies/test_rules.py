"""`bimhw rules`: rows of built-in and shipped rules, the front by brute force, the picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bimhw.cli.commands.rules import command
from bimhw.studies.rules import BUILT_IN, RuleRow, pareto, rules
from bimhw.tasks import load_task
from simulator.base.errors import InputError


def test_rules_of_both_kinds_are_priced(tmp_path: Path) -> None:
    digits = load_task("digits")
    small = replace(digits, train=digits.train.take(slice(0, 12)), test=digits.test.take(slice(0, 12)))
    picture = tmp_path / "rules.png"
    rows = rules(small, "loihi2", ("frozen", "etlp"), hidden=(8,), level=0.01, epochs=2, plot=picture)
    assert [r.rule for r in rows] == ["frozen", "etlp"]
    for row in rows:
        assert row.energy_uj > 0
        assert row.latency_us is not None and row.latency_us > 0
        assert row.memory_bytes > 0 and row.packets > 0
        reached = next((k for k, a in enumerate(row.accuracy, 1) if a >= 0.01), None)
        expected = None if reached is None else reached * 12 * row.energy_uj / 1e3
        assert row.energy_to_level_mj == (None if expected is None else pytest.approx(expected))
    assert picture.stat().st_size > 5000
    with pytest.raises(InputError, match="does not exist"):
        rules(small, "loihi2", ("nothing",), hidden=(8,))
    assert {"rtrl-dense", "rtrl-seq", "stdp", "hybrid", "frozen"} == set(BUILT_IN)


def test_the_command_prints_json() -> None:
    arguments = ["digits", "--rule", "delta", "--train", "10", "--test", "10", "--hidden", "4", "--json"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert row["rule"] == "delta"
    assert row["pareto"] is True


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_front_is_what_no_other_beats(points: list[tuple[int, int]]) -> None:
    rows = [RuleRow(str(k), 0, (a / 5,), float(e), 1.0, 1, 1.0, 1.0, None, None) for k, (e, a) in enumerate(points)]
    kept = {(r.energy_uj, r.accuracy[-1]) for r in pareto(rows)}
    beaten = {
        (r.energy_uj, r.accuracy[-1])
        for r in rows
        for s in rows
        if (s.energy_uj <= r.energy_uj and s.accuracy[-1] >= r.accuracy[-1])
        and (s.energy_uj, s.accuracy[-1]) != (r.energy_uj, r.accuracy[-1])
    }
    assert kept == {(r.energy_uj, r.accuracy[-1]) for r in rows} - beaten
