"""Doors of `bimhw learn`: its data, its engine, its checkpoint, and the words that it shares with `bimhw train`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bimhw.cli.commands.learn import command
from bimhw.compiler.pipeline import compile
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.runs.folder import RunFolder
from bimhw.runs.learn import learn, ready_to_learn
from bimhw.runs.learn_run import weight_counts
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from bimhw.tasks.dataset import Dataset
from bimhw.views.build import write_report
from mapping.learning_limits import check_learning
from simulator.base.errors import FitError, InputError
from simulator.chips.listing import new_chip
from simulator.chips.load import load_chip
from simulator.plasticity.config import LearnConfig
from simulator.program.program import Program

OPTIONS = {"steps": 20, "classes": 2, "train": 8, "test": 4}
GIVEN = [a for k, v in OPTIONS.items() for a in ("--task-option", f"{k}={v}")]


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("recall", **OPTIONS)


@pytest.fixture(scope="module")
def program(task: Task) -> Program:
    config = BimConfig(n_in=task.n_in, hidden=(6,), n_out=2, input_scale=task.input_scale)
    return compile(BimNet(config, 1), "loihi2", calibration=task.train.x).program


def weights(program: Program) -> list[np.ndarray]:
    return [q.weights for q in program.projections]


def test_both_engines_learn_the_same_and_take_the_same_time(task: Task, program: Program, tmp_path: Path) -> None:
    runs = {}
    for engine in ("function", "events"):
        result = learn(program, task, epochs=1, seed=2, run=tmp_path / engine, engine=engine)  # type: ignore[arg-type]
        runs[engine] = result, RunFolder.open(tmp_path / engine)
    (one, first), (other, second) = runs["function"], runs["events"]
    for a, b in zip(weights(one.program), weights(other.program), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.times == other.times and one.accuracy == other.accuracy
    stamps, others = first.timing(), second.timing()
    assert stamps is not None and others is not None
    for name in stamps:
        np.testing.assert_array_equal(stamps[name], others[name])


def test_the_report_shows_the_weights_before_and_after(task: Task, program: Program, tmp_path: Path) -> None:
    result = learn(program, task, epochs=1, seed=2, run=tmp_path / "run")
    before, after = RunFolder.open(tmp_path / "run").result["weights_before"], weight_counts(result.program)
    held = ready_to_learn(program, task, {}, 2)
    for counted, stored in ((before, held), (after, result.program)):
        values, counts = np.unique(np.concatenate([q.weights.ravel() for q in stored.projections]), return_counts=True)
        assert counted == {"values": values.tolist(), "counts": counts.tolist()}
    assert before != after
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "weights before, as stored" in page and "weights after, as stored" in page


def test_a_run_of_other_options_is_not_replaced_unasked(task: Task, program: Program, tmp_path: Path) -> None:
    learn(program, task, epochs=1, seed=2, run=tmp_path / "run")
    whole = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    learn(program, task, epochs=1, seed=2, run=tmp_path / "run")  # the same run
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == whole
    with pytest.raises(InputError, match="holds another run: learned_from_sha256"):
        learn(program, task, epochs=1, seed=2, run=tmp_path / "run", lr=0.125)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == whole


def test_a_killed_run_goes_on_from_its_checkpoint(task: Task, program: Program, tmp_path: Path) -> None:
    whole = learn(program, task, epochs=3, seed=2, run=tmp_path / "whole", prune=0.3, prune_every=4)
    held, done = tmp_path / "held.safetensors", 0

    def killed(n: int) -> None:
        nonlocal done
        done += n
        if done > 2 * len(task.train) + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(
            program,
            task,
            epochs=3,
            seed=2,
            checkpoint=held,
            progress=killed,
            run=tmp_path / "a",
            prune=0.3,
            prune_every=4,
        )
    resumed = learn(program, task, epochs=3, seed=2, checkpoint=held, run=tmp_path / "b", prune=0.3, prune_every=4)
    assert resumed.program.sha256() == whole.program.sha256()
    assert resumed.accuracy == whole.accuracy and resumed.times == whole.times
    assert resumed.result.operations == whole.result.operations
    again = learn(program, task, epochs=3, seed=2, checkpoint=held, prune=0.3, prune_every=4)
    assert again.program.sha256() == whole.program.sha256()
    with pytest.raises(InputError, match="epochs: are 3"):
        learn(program, task, epochs=4, seed=2, checkpoint=held, prune=0.3, prune_every=4)
    with pytest.raises(InputError, match="another program"):
        learn(program, task, epochs=3, seed=3, checkpoint=held, prune=0.3, prune_every=4)
    with pytest.raises(InputError, match="engine 'events'"):
        learn(program, task, checkpoint=held, engine="events")


def test_task_options_and_old_names(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "p.bimhw")
    start = [
        str(tmp_path / "p.bimhw"),
        "--task",
        "recall",
        *GIVEN,
        "--epochs",
        "1",
        "--rule",
        "hybrid",
        "--form",
        "tr",
        "--json",
    ]
    new = CliRunner().invoke(
        command, [*start, "--lambda", ".5", "--lookback", "4", "--prune", "0.2", "--bits", "8"], catch_exceptions=False
    )
    old = CliRunner().invoke(
        command,
        [*start, "--lam", ".5", "--history", "4", "--prune-target", "0.2", "--weight-bits", "8"],
        catch_exceptions=False,
    )
    assert new.exit_code == old.exit_code == 0
    one, other = (json.loads(r.stdout) for r in (new, old))
    assert one["operations"] == other["operations"] and one["test_accuracy"] == other["test_accuracy"]
    assert "is now" not in new.stderr
    for name in ("--lam is now --lambda", "--history is now --lookback", "--weight-bits is now --bits"):
        assert name in old.stderr
    assert "--history" not in CliRunner().invoke(command, ["--help"]).output


def test_words_beyond_a_core_are_refused_before_the_calibration(
    task: Task, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "small.yaml"
    new_chip(file, "loihi2")
    text = file.read_text("utf-8")
    small = text.replace("synapse_bytes_per_core: {value: 131072", "synapse_bytes_per_core: {value: 200")
    assert small != text
    file.write_text(small, "utf-8")
    config = BimConfig(n_in=task.n_in, hidden=(6,), n_out=2, input_scale=task.input_scale)
    narrow = compile(BimNet(config, 1), str(file), calibration=task.train.x).program
    monkeypatch.setattr("bimhw.runs.learn.calibrate", lambda *_: pytest.fail("calibrated what cannot learn"))
    with pytest.raises(FitError, match="with its learning words, the limit is 200"):
        learn(narrow, task, form="dense")


def test_a_network_learns_samples_that_show_some_of_its_classes(task: Task, program: Program) -> None:
    few = Dataset(task.train.x, np.zeros(len(task.train), np.int64), layout="bt")  # the program has two
    assert learn(program, few, epochs=1).accuracy
    with pytest.raises(InputError, match=r"has the label 2, and the outputs are 0\.\.1"):
        learn(program, Dataset(task.train.x, np.full(len(task.train), 2), layout="bt"), epochs=1)


def test_a_text_is_refused(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "p.bimhw")
    with pytest.raises(InputError, match="no classes"):
        CliRunner().invoke(command, [str(tmp_path / "p.bimhw"), "--task", "lm"], catch_exceptions=False)
    with pytest.raises(InputError, match="given twice"):
        learn(program, load_task("recall", **OPTIONS), bits=8, weight_bits=8)


def test_a_width_that_the_chip_does_not_store_is_refused_before_it_learns(program: Program) -> None:
    with pytest.raises(
        FitError, match=r"option bits: is 16 for weights .*'loihi2' stores 1, .* --bits 8, .*: .*generic"
    ):
        learn(program, load_task("recall", **OPTIONS), bits=16)
    with pytest.raises(
        FitError, match=r"is 8 for weights that learn, and chip 'odin' stores 1, 2, 3, 4\. Compile for a chip"
    ):
        check_learning(
            ready_to_learn(program, load_task("recall", **OPTIONS), {}), load_chip("odin"), LearnConfig(rule="stdp")
        )
