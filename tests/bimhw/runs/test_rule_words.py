"""Words that a rule file changes: room for weights by the stored word, delays of single synapses, inputs as third factors."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import bimhw
from bimhw.compiler.decode import encode
from bimhw.models.io import save_model
from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.leaky.net import LeakyNet
from bimhw.runs.learn_rule import RuleMachine, learn_by_rule
from bimhw.runs.rule_words import ready_for_rules
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from simulator.base.errors import FitError, InputError
from simulator.function.run import recorded_spikes
from simulator.function.simulation import Simulation
from simulator.plasticity.rules.rule_file import rules_from
from simulator.program.program import Program

GROW = "{name: grow, rounding: nearest, rules: [{projections: '*', dw: 7*2^4*x0}]}"
DELAY = "{name: delay, rules: [{projections: [layer1.in], dd: 5*2^-1*x0 - 1*y0, dw: 2^-1*y0}]}"


@pytest.fixture(scope="module")
def task() -> Task:
    digits = load_task("digits")
    return replace(digits, train=digits.train.take(slice(0, 8)), test=digits.test.take(slice(0, 8)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("words") / "net.safetensors"
    save_model(LeakyNet(LeakyConfig(n_in=8, hidden=(6,), n_out=10, input_scale=1 / 16), 0), file)
    return file


def compiled(model: Path, chip: str = "loihi2", bits: int = 8) -> Program:
    return bimhw.compile(model, chip, task="digits", bits=bits).program


def test_weights_that_fill_their_word_get_room(model: Path, task: Task) -> None:
    """What arrives stays within half a unit of each weight; after that all weights can double."""
    rules = rules_from(GROW, "grow")
    for bits in (7, 8):
        program = compiled(model, bits=bits)
        ready = ready_for_rules(program, rules, task, 0)
        again = ready_for_rules(ready, rules, task, 0)
        assert again.sha256() == ready.sha256(), "a second learning keeps the grid"
        for old, new in zip(program.projections, ready.projections, strict=True):
            assert new.weight_bits == 8
            assert 32 <= np.abs(new.weights.astype(int)).max() <= 64
            lost = (new.weights.astype(int) << new.exponent) - (old.weights.astype(int) << old.exponent)
            assert np.abs(lost).max() <= (1 << new.exponent) // 2
        result = learn_by_rule(program, rules, task)
        assert max(int(q.weights.max()) for q in result.program.projections) == 127
        assert result.bounded > 0


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a chip with weights of 4 bits and no delays."""
    text = resources.files("simulator.chips").joinpath("loihi2.yaml").read_text(encoding="utf-8")
    text = text.replace("[1, 2, 3, 4, 5, 6, 7, 8]", "[4]").replace("max_delay: 62", "max_delay: 0")
    file = tmp_path_factory.mktemp("chip") / "narrow.yaml"
    file.write_text(text.replace("name: loihi2", "name: narrow"))
    return str(file)


def test_chips_with_narrow_weights_keep_their_word(model: Path, narrow: str, task: Task) -> None:
    program = compiled(model, narrow, bits=4)
    ready = ready_for_rules(program, rules_from(GROW, "grow"), task, 0)
    assert {q.weight_bits for q in ready.projections} == {4}
    assert max(int(np.abs(q.weights).max()) for q in ready.projections) <= 4


def test_weights_wider_than_a_rules_word_are_refused(model: Path, task: Task) -> None:
    program = compiled(model, "generic")
    wide = replace(
        program,
        projections=tuple(
            replace(q, weights=q.weights.astype(np.int16) * 64, weight_bits=16) for q in program.projections
        ),
    )
    with pytest.raises(InputError, match="has weights of 16 bits; a rule's have 9"):
        ready_for_rules(wide, rules_from(GROW, "grow"), task, 0)


def test_learnt_delays_are_projections_of_the_program(model: Path, task: Task, tmp_path: Path) -> None:
    """The program that comes out sends what the machine that learnt it sends, and goes the whole way."""
    rules = rules_from(DELAY, "delay")
    program = ready_for_rules(compiled(model), rules, task, 0)
    machine = RuleMachine(program, rules, task, 0)
    for k in range(4):
        machine.sample(task.train.x[k], int(task.train.y[k]))
    out = machine.program()
    parts = [q for q in out.projections if q.name.startswith("layer1.in")]
    delays = {q.delay: q.n_synapses for q in parts}
    assert len(delays) > 2 and max(delays) <= 62
    assert sum(delays.values()) == next(q.n_synapses for q in program.projections if q.name == "layer1.in")
    assert machine.memory()["delays"] == -(-6 * sum(delays.values()) // 8)
    inputs = encode(program, task.test.x[0])
    learnt, fresh = machine.simulation, Simulation(out)
    learnt.step_hooks.clear()
    learnt.reset()
    before = recorded_spikes(learnt.record).ids.size
    learnt.advance(inputs, 40)
    fresh.advance(inputs, 40)
    np.testing.assert_array_equal(recorded_spikes(learnt.record).ids[before:], recorded_spikes(fresh.record).ids)
    result = learn_by_rule(program, rules, task, tmp_path / "out.bimhw", run=tmp_path / "run")
    assert result.times["mean_latency_us"] > 0
    energy = bimhw.energy(tmp_path / "run")
    assert any(name.startswith("learning") for name in energy.report.by("item"))
    loaded = Program.load(tmp_path / "out.bimhw")
    assert loaded.sha256() == result.program.sha256()
    assert set(loaded.facts.learnt) == {q.name for q in loaded.projections if q.name.startswith("layer1.in")}
    again = learn_by_rule(loaded, "delta", task)
    assert len(again.program.projections) == len(loaded.projections)


def test_delays_need_a_chip_that_has_them(model: Path, narrow: str, task: Task) -> None:
    with pytest.raises(FitError, match="changes delays, and chip 'narrow' has none"):
        learn_by_rule(compiled(model, narrow, bits=4), rules_from(DELAY, "delay"), task)


def test_a_graded_input_of_the_host_is_a_third_factor(model: Path, task: Task) -> None:
    """dw = u1 each step, u1 the payload of one input channel: the weights have moved by the sum of that channel."""
    text = """name: told
rounding: nearest
rules:
  - projections: readout.*
    factors: {u1: {of: spikes, population: input, neuron: 3}}
    dw: 2^-3*u1
"""
    one = replace(task, train=task.train.take(slice(0, 1)))
    program = compiled(model, bits=6)
    told = learn_by_rule(program, rules_from(text, "told"), one)
    moved = told.program.projections[-1].weights.astype(int) - program.projections[-1].weights.astype(int)
    want = sum((int(payload) * 16 + 64) >> 7 for payload in one.train.x[0][:, 3])
    assert want > 0
    assert set(np.unique(moved).tolist()) == {want}
    with pytest.raises(InputError, match="neuron 8: is not in 'input'"):
        learn_by_rule(program, rules_from(text.replace("neuron: 3", "neuron: 8"), "x"), one)
