"""Networks of a user's own learn by a rule file: their spikes are counted as the answer, whatever made them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bimhw
from bimhw.cli.main import cli
from bimhw.models.stack import LI, LIF, Stack
from bimhw.runs.classes import task_for
from bimhw.runs.learn_rule import RuleMachine, learn_by_rule
from bimhw.runs.rule_words import chosen, ready_for_rules
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset
from simulator.base.errors import InputError
from simulator.function.run import recorded_spikes
from simulator.plasticity.rules.rule_file import read_rules
from simulator.program.program import Program

STEPS, CHANNELS, CLASSES = 14, 12, 3


def samples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes [B, T, 12], frequent on four channels of the class, and the classes [B]."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count)
    rate = np.where(np.arange(CHANNELS)[None] // 4 == y[:, None], 0.5, 0.05)
    return (rng.random((count, STEPS, CHANNELS)) < rate[:, None]).astype(np.float32), y


@pytest.fixture(scope="module")
def data() -> Dataset:
    x, y = samples(60, 1)
    return Dataset(x, y)


def own_program(data: Dataset, end: torch.nn.Module) -> Program:
    torch.manual_seed(1)
    net = Stack(
        torch.nn.Linear(CHANNELS, 16), LIF(keep=0.9), torch.nn.Linear(16, CLASSES), end, input_shape=(CHANNELS,)
    )
    return bimhw.compile(net, "loihi2", data=data).program


@pytest.fixture(scope="module")
def program(data: Dataset) -> Program:
    return own_program(data, LIF(keep=0.9))


@pytest.fixture(scope="module")
def task(data: Dataset) -> Task:
    return data.task(CHANNELS, 1.0, classes=CLASSES)


def test_the_answer_is_the_count_of_the_samples_spikes(program: Program, task: Task) -> None:
    """The scores at a sample's step t are the output's spikes of its steps 0..t, at chip steps of the output's layer later."""
    rules = read_rules("delta")
    machine = RuleMachine(ready_for_rules(program, rules, task, 0), rules, task, 0)
    last = machine.base.populations[-1]
    heard: list[np.ndarray] = []
    machine.simulation.step_hooks.append(lambda _: heard.append(machine.answer.scores().copy()))
    for k in range(3):
        machine.sample(task.train.x[k], int(task.train.y[k]))
        steps = machine.steps
        sent = recorded_spikes(machine.simulation.record).to_dense(machine.base.first_ids()[last.name], last.size)
        of_sample = sent[-steps:][last.layer :]
        assert np.array_equal(np.array(heard[-steps:])[last.layer :], np.cumsum(of_sample, axis=0))
        assert not np.any(heard[-steps:][: last.layer])


@pytest.mark.parametrize(("rule", "level"), [("delta", 0.75), ("e-prop", 0.95), ("s-tllr", 0.95), ("decolle", 0.95)])
def test_shipped_rules_teach_a_network_of_ones_own(
    rule: str, level: float, program: Program, data: Dataset, tmp_path: Path
) -> None:
    """On fresh samples: 60 % before, where chance is 33 %."""
    x, y = samples(40, 2)
    fresh = Dataset(x, y)
    assert bimhw.simulate(program, data=fresh, output=tmp_path / "before").figures.accuracy == 0.6
    result = learn_by_rule(program, rule, data, epochs=3)
    assert bimhw.simulate(result.program, data=fresh, output=tmp_path / "after").figures.accuracy >= level


def test_the_score_is_that_of_simulate(program: Program, data: Dataset, task: Task, tmp_path: Path) -> None:
    shorter = Dataset(data.x[:, :5], data.y).task(CHANNELS, 1.0, classes=CLASSES)  # than those of the calibration
    for of in (program, own_program(data, LI(keep=0.9))):
        for given in (task, shorter):
            result = learn_by_rule(of, "delta", given)
            held = Dataset(given.test.x.astype(np.float32), given.test.y)
            run = bimhw.simulate(result.program, data=held, output=tmp_path / "run", force=True)
            assert result.accuracy[-1] == run.figures.accuracy


def test_hidden_layers_with_other_names_learn_by_the_shipped_files(program: Program) -> None:
    hidden, last = (q.name for q in program.projections)
    assert {n: r.projections for n, r in chosen(program, read_rules("e-prop")).items()} == {
        hidden: ("*.z", "*.in", "*.rec", "else hidden"),
        last: ("readout",),
    }
    named = replace(program, projections=(replace(program.projections[0], name="layer1.z"), *program.projections[1:]))
    assert set(chosen(named, read_rules("s-tllr"))) == {"layer1.z", last}


def test_several_outputs_that_answer_are_refused(program: Program, task: Task) -> None:
    meta = {k: v for k, v in program.meta.items() if k not in ("exits", "outputs")}
    ends = tuple(replace(p, role="output") if p.layer else p for p in program.populations)
    both = replace(program, populations=ends, meta=meta)
    with pytest.raises(InputError, match="has 2 outputs that answer"):
        RuleMachine(both, read_rules("sdsp"), task, 0)


def test_a_model_that_cannot_be_made_is_refused_before_learning(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "own.bimhw")
    args = ["learn", str(tmp_path / "own.bimhw"), "--rule-file", "delta", "--model", str(tmp_path / "m.pt")]
    done = CliRunner().invoke(cli, args)
    assert isinstance(done.exception, InputError) and "was not compiled from a BIM model" in str(done.exception)
    assert not (tmp_path / "m.pt").exists()


def test_samples_are_coded_as_the_program_was_and_refused_otherwise(program: Program, tmp_path: Path) -> None:
    """As in `simulate`: real values are not rounded to the spikes of a program that was compiled for these."""
    rng = np.random.default_rng(4)
    x, y = rng.random((12, CHANNELS)).astype(np.float32), np.arange(12) % CLASSES
    real = Dataset(np.repeat(x[:, None], STEPS, axis=1), y, name="real")
    with pytest.raises(InputError, match=r"real: x: has values from .* compiled for binary spikes"):
        learn_by_rule(program, "delta", real)
    torch.manual_seed(1)
    net = Stack(torch.nn.Linear(CHANNELS, 5), LIF(), torch.nn.Linear(5, CLASSES), LIF(), input_shape=(CHANNELS,))
    coded = Dataset(x, y, layout="static", steps=STEPS, encoding="rate")
    rate = bimhw.compile(net, "loihi2", data=coded).program
    own = task_for(rate, Dataset(x, y, layout="static", steps=STEPS))
    assert np.array_equal(own.train.x, task_for(rate, coded).train.x) and set(np.unique(own.train.x)) == {0, 1}
