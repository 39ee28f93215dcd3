"""`bimhw rules net.bimhw --data FILE`: rule files compared on a program of a user's own."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bimhw
from bimhw.cli.commands.rules import command
from bimhw.models.stack import LI, LIF, Stack
from bimhw.runs.learn_rule import learn_by_rule
from bimhw.studies.rules import rules
from bimhw.tasks.dataset import Dataset
from simulator.base.errors import InputError
from simulator.plasticity.rules.rule_file import shipped_rules
from simulator.program.program import Program


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 30)
    rate = np.where(np.arange(6)[None] // 3 == y[:, None], 0.5, 0.05)
    return Dataset((rng.random((30, 10, 6)) < rate[:, None]).astype(np.float32), y)


def compiled(data: Dataset, *widths: int) -> Program:
    torch.manual_seed(0)
    layers = [m for a, b in pairwise(widths) for m in (torch.nn.Linear(a, b), LIF(keep=0.9))]
    end = [torch.nn.Linear(widths[-1], 2), LI(keep=0.9)]
    return bimhw.compile(Stack(*layers, *end, input_shape=(6,)), "loihi2", data=data).program


def test_rows_are_those_of_each_rule_alone(data: Dataset) -> None:
    program = compiled(data, 6, 5)
    rows = rules(data, names=("delta", "ottt"), program=program, epochs=2, train=12)
    alone = learn_by_rule(program, "ottt", data, epochs=2)
    assert [r.rule for r in rows] == ["delta", "ottt"]
    assert all(r.energy_uj is not None and r.energy_uj > 0 and r.latency_us for r in rows)
    (whole,) = rules(data, names=("ottt",), program=program, epochs=2)
    assert whole.accuracy == alone.accuracy


def test_by_default_all_rule_files_that_fit_are_compared(data: Dataset) -> None:
    """In a network of two hidden layers the first has no weights to the output, so no error reaches it by them."""
    one, two = ({r.rule for r in rules(data, program=compiled(data, *w), train=4)} for w in ((6, 5), (6, 5, 4)))
    assert one == set(shipped_rules())
    assert two == one - {"e-prop", "e-prop-alif", "ostl", "ottt", "s-tllr"}
    with pytest.raises(InputError, match="no weights lead from there"):
        rules(data, names=("delta", "e-prop"), program=compiled(data, 6, 5, 4))


def test_a_network_is_not_described_twice(data: Dataset) -> None:
    program = compiled(data, 6, 5)
    with pytest.raises(InputError, match="describes a network to build"):
        rules(data, "loihi1", program=program)
    with pytest.raises(InputError, match="describes a network to build"):
        rules(data, program=program, family="leaky")


def test_the_command_takes_a_program(data: Dataset, tmp_path: Path) -> None:
    compiled(data, 6, 5).save(tmp_path / "net.bimhw")
    np.savez(tmp_path / "own.npz", x=data.x, y=data.y)
    args = [str(tmp_path / "net.bimhw"), "--rule", "delta", "--json"]
    assert CliRunner().invoke(command, args).exit_code == 2  # no samples
    done = CliRunner().invoke(command, [*args, "--data", str(tmp_path / "own.npz")])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert row["rule"] == "delta" and row["energy_uj"] > 0
