"""Learning by a rule file: run folder, energy, bounds, doors; a step of it against plain integers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner

import bimhw
from bimhw.cli.commands.learn import command
from bimhw.cli.main import cli
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import save_model
from bimhw.runs.folder import RunFolder
from bimhw.runs.learn import ready_to_learn
from bimhw.runs.learn_rule import RuleMachine, learn_by_rule
from bimhw.runs.learn_run import timing_arrays
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from simulator.base.errors import InputError
from simulator.chips.load import load_chip
from simulator.plasticity.rules.rule_file import rules_from
from simulator.program.program import Program

STRONG = """name: strong
rounding: nearest
rules:
  - projections: readout
    factors: {u1: {of: label}}
    dw: 7*2^4*u1*x0
"""


@pytest.fixture(scope="module")
def task() -> Task:
    digits = load_task("digits")
    return replace(digits, train=digits.train.take(slice(0, 24)), test=digits.test.take(slice(0, 20)))


@pytest.fixture(scope="module")
def program(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rule")
    net = BimNet(BimConfig(n_in=8, hidden=(16,), n_out=10, input_scale=1 / 16, psp="delta"), 0)
    save_model(net, folder / "net.pt")
    bimhw.compile(folder / "net.pt", "loihi2", task="digits").program.save(folder / "net.bimhw")
    return folder / "net.bimhw"


def test_a_run_has_energy_times_and_a_report(program: Path, task: Task, tmp_path: Path) -> None:
    result = learn_by_rule(program, "e-prop", task, tmp_path / "out.bimhw", run=tmp_path / "run")
    again = learn_by_rule(program, "e-prop", task)
    run = RunFolder.open(tmp_path / "run")
    assert run.manifest["learning"] is True
    assert run.result["samples"] == 24
    assert result.times["mean_latency_us"] > 0
    assert result.program.sha256() == again.program.sha256() == Program.load(tmp_path / "out.bimhw").sha256()
    assert result.program.sha256() != Program.load(program).sha256()
    energy = bimhw.energy(tmp_path / "run")
    parts = energy.report.by("item")
    assert any(name.startswith("learning") for name in parts)
    assert (tmp_path / "run" / "activity.npz").is_file()
    total = run.activity().total("learn_stdp_events")
    assert total == result.operations["learn_stdp_events"] > 0
    assert bimhw.report(tmp_path / "run", tmp_path / "report.html")


def test_weights_clamp_at_their_word_and_never_wrap(program: Path, task: Task) -> None:
    """Only rows of neurons that fired before a label of the class grow, to the largest word of 8 bits."""
    result = learn_by_rule(program, rules_from(STRONG, "strong.yaml"), task)
    before, after = Program.load(program), result.program
    weights = {q.name: q.weights for q in after.projections}
    assert weights["readout.layer1"].max() == 127
    assert result.bounded > 0
    assert (weights["readout.layer1"] >= -127).all()
    assert {q.name for q in before.projections} == set(weights)


def test_spikes_of_a_population_are_a_third_factor(program: Path, task: Task) -> None:
    """dw = 1 a step in which layer 1 sent at least a spike, counted from the spikes of the run."""
    text = """name: heard
rounding: nearest
rules:
  - projections: readout
    factors: {u1: {of: spikes, population: layer1}}
    dw: 1*u1
"""
    one = replace(task, train=task.train.take(slice(0, 1)))
    result = learn_by_rule(program, rules_from(text, "heard.yaml"), one)
    frozen = learn_by_rule(program, rules_from(text.replace("1*u1", "2^-20*u1"), "frozen.yaml"), one)
    ours, theirs = ({q.name: q.weights.astype(int) for q in r.program.projections} for r in (result, frozen))
    moved = ours["readout.layer1"] - theirs["readout.layer1"]
    sent = round(frozen.rates[0] * frozen.chip_steps * 16)
    assert sent > 0
    np.testing.assert_array_equal(ours["readout.layer1"], np.minimum(theirs["readout.layer1"] + sent, 127))
    assert moved.max() > 0
    with pytest.raises(InputError, match="population 'nobody': is not in the program"):
        learn_by_rule(program, rules_from(text.replace("layer1", "nobody"), "x.yaml"), one)


@pytest.mark.parametrize(("at", "labels"), [("end", 1), ("label", 8)])
def test_an_epoch_ends_with_the_sample_and_sums_what_came(program: Path, task: Task, at: str, labels: int) -> None:
    """dw = 2 u1, and u1 = 1 of the label's neuron at its labelled steps: an epoch longer than the sample loses none of them."""
    text = f"""name: late
epoch: 63
rounding: nearest
rules:
  - projections: readout
    factors: {{u1: {{of: label, at: {at}}}}}
    dw: 2*u1
"""
    one = replace(task, train=task.train.take(slice(0, 1)))
    learnt = learn_by_rule(program, rules_from(text, "late.yaml"), one).program
    frozen = learn_by_rule(program, rules_from(text.replace("2*u1", "2^-20*u1"), "frozen.yaml"), one).program
    after, before = ({q.name: q for q in p.projections}["readout.layer1"] for p in (learnt, frozen))
    moved = after.weights.astype(int) - before.weights
    assert int(task.loss_steps.sum()) == 8
    assert set(moved[after.indices == one.train.y[0]]) == {2 * labels}
    assert not moved[after.indices != one.train.y[0]].any()


def test_the_doors_refuse_what_does_not_fit(program: Path, task: Task, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are none of the program's"):
        learn_by_rule(program, rules_from(STRONG.replace("readout", "no*"), "x.yaml"), task)
    with pytest.raises(InputError, match=r"x\.yaml, line \d+, column \d+: rules\.0\.projections: readuot: are none"):
        learn_by_rule(program, rules_from(STRONG.replace("readout", "[readout, readuot]"), "x.yaml"), task)
    with pytest.raises(InputError, match="does not exist"):
        learn_by_rule(program, tmp_path / "none.yaml", task)
    runner = CliRunner()
    loihi = runner.invoke(command, [str(program), "--rule", "loihi"])
    assert loihi.exit_code == 2
    assert "--rule-file" in loihi.output
    both = runner.invoke(command, [str(program), "--rule-file", "delta", "--lr", "0.1"])
    assert both.exit_code == 2
    assert "leave out lr" in both.output


def test_the_command_learns_by_a_file(program: Path, tmp_path: Path) -> None:
    rule = tmp_path / "rule.yaml"
    rule.write_text(STRONG)
    data = tmp_path / "data.npz"
    rng = np.random.default_rng(0)
    np.savez(data, x=rng.integers(0, 16, (12, 16, 8)).astype(np.int16), y=np.arange(12) % 10)
    result = CliRunner().invoke(command, [str(program), "--rule-file", str(rule), "--data", str(data), "--epochs", "1"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "weights at a bound" in result.output


def test_a_run_of_another_rule_is_replaced_by_force_alone(program: Path, task: Task, tmp_path: Path) -> None:
    def learn(rule: str, **options: bool) -> str:
        learn_by_rule(program, rules_from(rule, "rule.yaml"), task, run=tmp_path / "run", **options)
        return str(RunFolder.open(tmp_path / "run").manifest["rule_sha256"])

    first = learn(STRONG)
    files = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    assert learn(f"# the same rule\n{STRONG}") == first
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == files
    other = STRONG.replace("7*2^4", "6*2^4")
    with pytest.raises(InputError, match="holds another run: rule_sha256"):
        learn(other)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == files
    assert learn(other, force=True) != first


def test_another_process_does_not_write_into_a_folder_in_use(program: Path, task: Task, tmp_path: Path) -> None:
    holds = (
        "import sys, time\nfrom simulator.base.locks import held\n"
        "with held(sys.argv[1]):\n print('held', flush=True)\n time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holds, str(tmp_path / "run")], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        try:
            with pytest.raises(InputError, match="is in use by process"):
                learn_by_rule(program, rules_from(STRONG, "strong.yaml"), task, run=tmp_path / "run", force=True)
        finally:
            other.kill()
    assert not (tmp_path / "run").exists()


def test_times_count_the_neurons_that_worked_with_the_weights_of_their_step(
    program: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of any length give the same times; what was active is noted while the weights change."""
    chip = load_chip("loihi2")
    source = Program.load(program)
    machine = RuleMachine(
        ready_to_learn(source, task, {"rule": "frozen"}), rules_from(STRONG, "s"), task, 0, timed=True
    )
    for k in range(6):
        machine.sample(task.train.x[k], int(task.train.y[k]))
    whole = timing_arrays(machine.learnt(chip).timings)
    monkeypatch.setattr("bimhw.runs.learn_run._CHUNK_STEPS", 7)
    learnt = machine.learnt(chip)
    for name, values in timing_arrays(learnt.timings).items():
        np.testing.assert_array_equal(values, whole[name])
    noted = np.unpackbits(np.array(machine._active), axis=1, count=source.n_neurons).sum(axis=0)
    np.testing.assert_array_equal(noted, machine.simulation.active_of_neuron)
    assert noted.sum() == learnt.activity.total("neuron_updates_active") > 0


def test_the_run_goes_on_by_every_command(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("data.npz", x=rng.integers(0, 16, (40, 16, 8)).astype(np.int16), y=np.arange(40) % 10)

    def done(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return cast("dict[str, Any]", json.loads(result.stdout))

    learn = ["learn", str(program), "--data", "data.npz", "--epochs", "1", "--run", "run", "-o", "m.bimhw"]
    done(*learn, "--rule-file", "e-prop")
    done(*learn, "--rule-file", "delta", "--force")
    assert any(item["name"].startswith("learning") for item in done("energy", "run")["chip"]["items"])
    assert Path(done("report", "run")["report"]).is_file()
    for command_of_a_run in (["table", "run"], ["codesign", "run"], ["map", "m.bimhw", "--run", "run"]):
        assert done(*command_of_a_run)
