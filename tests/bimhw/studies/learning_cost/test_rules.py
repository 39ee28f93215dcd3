"""The cost of one rule by name: the table of operations, or the command that prices it."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

import bimhw
from bimhw.cli.commands.learning_cost import command
from bimhw.learning.rules.registry import forms, rules
from bimhw.studies.learning_cost.rules import priced_elsewhere, rule_cost
from simulator.base.errors import InputError
from simulator.plasticity.operations import LOCAL_RULES
from simulator.plasticity.rules.rule_file import shipped_rules


@pytest.mark.parametrize("name", sorted({*rules(), *forms(), *shipped_rules()}))
def test_every_rule_is_priced_or_names_the_command_that_does(name: str) -> None:
    if name in LOCAL_RULES:
        assert rule_cost(name, 8, 4, 3).rule == name
        return
    with pytest.raises(InputError, match=r"`bimhw [a-z-]+.*`") as seen:
        rule_cost(name)
    found = re.search(r"`bimhw ([a-z-]+)", str(seen.value))
    assert found is not None and found[1] in {"learning-cost", "codesign", "rules", "learn", "train"}


def test_costs_are_those_of_the_page() -> None:
    """docs/rules.md: e-prop keeps M + H M words, does M + 2 H M MACs a step and H M + H C at a label."""
    cost = bimhw.rule_cost("e-prop", 8, 4, 3)
    assert (cost.words, cost.step_macs, cost.label_macs) == (8 + 32, 8 + 64, 32 + 12)
    shown = CliRunner().invoke(command, ["--rule", "e-prop", "--json"])
    assert shown.exit_code == 0 and '"words": 4160' in shown.output


def test_an_unknown_rule_is_answered_with_near_names() -> None:
    assert "e-prop" in str(priced_elsewhere("eprop"))
