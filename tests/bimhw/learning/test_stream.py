"""Streams: endless, repeatable, resumed bit for bit; forgetting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bimhw.cli.main import main
from bimhw.learning.feeds import TextStream, stream_of
from bimhw.learning.recipe import recipe
from bimhw.learning.stream import StreamTrainer, TaskStream
from bimhw.models.io import load_model
from bimhw.studies.forgetting import forgetting, split_classes
from bimhw.tasks import load_corpus, load_task
from bimhw.tasks.base import Task
from simulator.base.errors import InputError


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


def trainer_of(task: Task, **options: Any) -> StreamTrainer:
    plan = recipe(task, **{"hidden": 10, "batch": 3, "lr": 0.02, "psp": "delta", **options})
    return StreamTrainer(task, plan.config, plan.settings)


VARIANTS: list[dict[str, Any]] = [
    {"rule": "rtrl"},
    {"rule": "rtrl", "psp": "alpha", "optimiser": "rms", "input_delays": (0, 1), "rate_strength": 0.5},
    {"rule": "rtrl", "hidden": "6,5", "dense_readout": True, "adapt_beta": 0.2, "refractory": 1},
    {"rule": "hybrid", "lam": 0.5},
    {"rule": "stdp"},
    {"rule": "stdp", "third_factor": "reward", "zero_drift": True},
    {"rule": "frozen"},
    {"rule": "blk", "block": 7},
    {"rule": "tr", "block": 5, "lookback": 11},
    {"rule": "lazy", "batch": 1, "optimiser": "sgd", "lr": 0.3},
    {"rule": "rtrl", "prune": 0.5, "prune_mode": "regrow"},
    {"rule": "rtrl", "kind": "s6", "n_states": 2},
]


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(str(v) for v in o.values()))
def test_resume_continues_bit_for_bit(digits: Task, tmp_path: Path, options: dict[str, Any]) -> None:
    whole, first, second = (trainer_of(digits, **options) for _ in range(3))
    whole.run(75)
    first.run(38)
    first.save(tmp_path / "c.pt")
    second.load(tmp_path / "c.pt")
    second.run(37)
    assert second.step == 75
    start = trainer_of(digits, **options).net.state_dict()
    changed = 0.0
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, second.net.state_dict()[name]), name
        if name in start:
            changed = max(changed, float((value - start[name]).abs().max()))
    assert changed > 1e-3
    for a, b in zip(whole.learner.state.layers[0], second.learner.state.layers[0], strict=True):
        assert torch.equal(a, b)


def test_stream_is_a_function_of_seed_and_step(digits: Task) -> None:
    like = torch.zeros(1)
    a, b = TaskStream(digits, 3, 5), TaskStream(digits, 3, 5)
    later = [a.at(t, like) for t in range(0, 16 * 1000, 777)]
    again = [b.at(t, like) for t in reversed(range(0, 16 * 1000, 777))]
    for (u, y), (v, z) in zip(later, reversed(again), strict=True):
        assert torch.equal(u, v)
        assert (y is None) == (z is None)
    seen = {int(a._index(k)) for k in range(len(digits.train))}
    assert len(seen) == len(digits.train)  # an epoch shows every sequence once


def test_texts_and_spoken_digits_are_streams(tmp_path: Path) -> None:
    """What is shown depends on the step alone, a resumed stream is the unbroken one, pruning acts."""
    corpus = load_corpus("lm")
    options = {"hidden": "5", "batch": 2, "form": "tr", "block": 3, "lookback": 4, "prune": 0.5}
    whole, first, second = (stream_of(corpus, 3, options) for _ in range(3))
    whole.run(40)
    first.run(23)
    first.save(tmp_path / "c")
    second.load(tmp_path / "c")
    report = second.run(17)
    assert report.step == 40 and report.labelled == 17 and report.loss > 0
    assert all(torch.equal(v, second.net.state_dict()[k]) for k, v in whole.net.state_dict().items())
    feed, length = TextStream(corpus, 2), len(corpus.whole_train) // 2
    u, label = feed.at(length - 1, torch.zeros(1))  # the text begins again
    assert label is not None and u[0].argmax() == corpus.whole_train[0] and label[0] == corpus.whole_train[1]


def test_stream_learns(digits: Task) -> None:
    trainer = trainer_of(digits, hidden=32, batch=32, lr=0.01)
    early, late = trainer.run(160), [trainer.run(400) for _ in range(4)][-1]
    assert late.accuracy > early.accuracy + 0.2
    assert (trainer.judge()["test_accuracy"] or 0) > 0.35


def test_bad_checkpoints_and_rules(digits: Task, tmp_path: Path) -> None:
    trainer = trainer_of(digits)
    with pytest.raises(InputError, match="does not exist"):
        trainer.load(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(InputError, match="no torch file"):
        trainer.load(tmp_path / "text.pt")
    torch.save({"x": 1}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a checkpoint"):
        trainer.load(tmp_path / "other.pt")
    trainer.save(tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"another configuration: hidden is \[10\] there, \[11\] in this run"):
        trainer_of(digits, hidden=11).load(tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"another configuration: lr is 0\.02 there, 0\.5 in this run\. "):
        trainer_of(digits, lr=0.5).load(tmp_path / "c.pt")
    with pytest.raises(InputError, match="japanese-vowels"):
        trainer_of(load_task("japanese-vowels")).load(tmp_path / "c.pt")
    whole = (tmp_path / "c.pt").read_bytes()
    for at in range(600, len(whole), len(whole) // 7):  # a spoilt byte anywhere
        (tmp_path / "c.pt").write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        before = trainer.net.layer(0).weight("in").detach().clone()
        try:
            trainer.load(tmp_path / "c.pt")
        except InputError:
            continue
        assert torch.equal(trainer.net.layer(0).weight("in"), before)  # the byte stood between the entries
    with pytest.raises(InputError, match="end"):
        trainer_of(digits, rule="seq")


def test_forgetting_is_measured(digits: Task) -> None:
    parts = split_classes(digits, 5)
    assert set(parts[0].train.y) == set(range(5))
    assert len(parts[0].test) + len(parts[1].test) == 500
    plan = recipe(digits, hidden=24, epochs=3, lr=0.02)
    result = forgetting(*parts, plan.config, plan.settings)
    assert result.first_before > 0.7
    assert result.second_after > 0.6
    assert result.forgotten > 0.3  # one output layer, no rehearsal: most is lost
    assert np.isfinite(result.second_alone)


def test_command_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["train", "digits", "--stream", "--hidden", "6", "--batch", "2", "--report-every", "20", "--json"]

    def run(*more: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as done:
            main([*common, *more])
        code = done.value.code
        assert isinstance(code, int)
        return code, capsys.readouterr().out

    assert run("--steps", "60", "-o", str(tmp_path / "whole.pt"))[0] == 0
    assert run("--steps", "40", "--checkpoint", str(tmp_path / "c.pt"))[0] == 0
    code, text = run(
        "--steps", "60", "--checkpoint", str(tmp_path / "c.pt"), "--resume", "-o", str(tmp_path / "two.pt")
    )
    assert code == 0
    assert json.loads(text)["step"] == 60
    whole, two = (load_model(tmp_path / f"{n}.pt").state_dict() for n in ("whole", "two"))
    assert all(torch.equal(whole[k], two[k]) for k in whole)
    assert run("--resume")[0] == 2


@pytest.mark.long
def test_killed_stream_goes_on_bit_for_bit(digits: Task, tmp_path: Path) -> None:
    """SIGKILL at a moment of no choice, twice; what is left goes on as if nothing had been."""
    import signal
    import subprocess
    import sys
    import time

    checkpoint = tmp_path / "c.pt"
    options = ["--hidden", "10", "--batch", "3", "--lr", "0.02", "--psp", "delta", "--report-every", "50"]
    for number in range(2):
        seen = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        resume = ["--resume"] if number else []
        command = [sys.executable, "-m", "bimhw", "train", "digits", "--stream", *options]
        process = subprocess.Popen(
            [*command, "--checkpoint", str(checkpoint), *resume], stdout=subprocess.DEVNULL, cwd=Path.cwd()
        )
        while process.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > seen):
            time.sleep(0.05)
        time.sleep(0.2 * (number + 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["c.pt"]
    resumed, whole = trainer_of(digits), trainer_of(digits)
    resumed.load(checkpoint)
    assert resumed.step >= 100
    resumed.run(40)
    whole.run(resumed.step)
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.net.state_dict()[name]), name


def test_forgetting_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["forgetting", "--hidden", "8", "--epochs", "1", "--rule", "rtrl", "--json"])
    assert done.value.code == 0
    assert json.loads(capsys.readouterr().out)["rtrl"]["second_after"] > 0.2
