"""A long run of learning lets its events go, and writes the bytes of one that keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimhw import compile
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import BimNet
from bimhw.models.io import save_model
from bimhw.runs import learn_rule, long_learning
from bimhw.runs.learn import learn
from bimhw.runs.learn_rule import learn_by_rule
from bimhw.tasks.base import Split, Task
from simulator.base.errors import InputError
from simulator.plasticity.timing import noted_by
from simulator.program.program import Program

STEPS = 8


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    path = tmp_path_factory.mktemp("long") / "net.safetensors"
    save_model(BimNet(BimConfig(n_in=4, hidden=(5,), n_out=3, input_scale=0.25), 0), path)
    return compile(path, chip="loihi2", neurons_per_core=3).program


def _task() -> Task:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, (9, STEPS, 4)).astype(np.int16), np.arange(9) % 3
    return Task("own", 3, 0.25, Split(x, y), Split(x[:3], y[:3]), np.arange(STEPS) > 4, np.arange(STEPS) > 5)


def _same(one: Path, two: Path) -> None:
    names = sorted(p.name for p in one.iterdir())
    assert names == sorted(p.name for p in two.iterdir()) and len(names) == 7
    assert [n for n in names if (one / n).read_bytes() != (two / n).read_bytes()] == []


@pytest.mark.parametrize("options", [{"form": "seq"}, {"rule": "hybrid", "form": "seq", "prune": 0.3}])
def test_events_that_are_let_go(
    options: dict[str, Any], program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = learn(program, _task(), epochs=2, run=tmp_path / "kept", **options)
    monkeypatch.setattr(long_learning, "PIECE_STEPS", 30)
    gone = learn(program, _task(), epochs=2, run=tmp_path / "gone", **options)
    _same(tmp_path / "kept", tmp_path / "gone")
    one, two = kept.result.activity(), gone.result.activity()
    assert one.counts.keys() == two.counts.keys() and (one.steps, one.samples) == (two.steps, two.samples)
    for name, count in one.counts.items():
        for part in ("by_core", "by_step", "by_population"):
            np.testing.assert_array_equal(getattr(count, part), getattr(two.counts[name], part))
    assert kept.summary() | {"cpu_s": 0} == gone.summary() | {"cpu_s": 0}
    with pytest.raises(InputError, match="did not note"):
        noted_by(gone.result.learner)


def test_events_of_a_run_without_a_folder_are_counted(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = learn(program, _task(), epochs=1, form="seq").result.activity()
    monkeypatch.setattr(long_learning, "PIECE_STEPS", 30)
    gone = learn(program, _task(), epochs=1, form="seq").result.activity()
    assert {k: c.total for k, c in kept.counts.items()} == {k: c.total for k, c in gone.counts.items()}


def test_rule_files_let_events_go(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = learn_by_rule(program, "delta", _task(), epochs=2, run=tmp_path / "kept")
    for module in (long_learning, learn_rule):
        monkeypatch.setattr(module, "PIECE_STEPS", 30)
    gone = learn_by_rule(program, "delta", _task(), epochs=2, run=tmp_path / "gone")
    _same(tmp_path / "kept", tmp_path / "gone")
    assert kept.summary() == gone.summary()
