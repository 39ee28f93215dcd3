"""The registry of tasks: one from a temporary module trains, compiles and is listed like those of the folder."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import bimhw
from bimhw.tasks import TASKS, load_task
from bimhw.tasks import registry as tasks_registry
from bimhw.tasks.inspect import check_data, inventory
from bimhw.tasks.registry import task_preset
from simulator.base.errors import InputError

MODULE = """
import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.registry import TaskInfo, register_task


def load(path=None, n=40):
    y = np.arange(n) % 2
    x = np.zeros((n, 6, 3), np.int16)
    x[np.arange(n), :, y] = 1
    return Task("stripes", 2, 1.0, Split(x, y), Split(x, y), late_steps(6, 3), late_steps(6, 2))


register_task(TaskInfo("stripes", "two stripes", "path", "made up", load, layout=r"stripes\\.dat$", preset="series", rank=99))
"""


@pytest.fixture
def stripes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "stripes_task.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    list(TASKS)  # those of the folder are found before
    monkeypatch.setattr(tasks_registry, "_TASKS", dict(tasks_registry._TASKS))
    importlib.import_module("stripes_task")
    yield "stripes"
    sys.modules.pop("stripes_task")


def test_a_task_of_ones_own_trains_and_compiles(stripes: str, tmp_path: Path) -> None:
    model = tmp_path / "stripes.pt"
    result = bimhw.train(stripes, model, hidden=(8,), epochs=3)
    assert result.final.accuracy > 0.9
    program = bimhw.compile(model, "loihi2", task=stripes).program
    assert program.meta["task"] == stripes
    assert [row["name"] for row in inventory()][-1] == stripes
    assert task_preset("stripes-wide") == "series"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stripes.dat").write_text("x")
    assert check_data(tmp_path / "data")["task"] == stripes
    assert len(load_task(stripes, n=20).train) == 20


def test_the_folder_holds_every_task() -> None:
    assert "stripes" not in TASKS
    assert list(TASKS)[:2] == ["digits", "japanese-vowels"]
    assert {t.kind for t in TASKS.values()} == {"classes", "text", "transcripts"}
    for info in TASKS.values():
        assert callable(info.load)
        assert info.what


@pytest.mark.parametrize(
    ("name", "option", "value", "rule"),
    [
        ("digits", "whole", "maybe", "must be yes or no"),
        ("digits", "whole", "yes", r"must be yes or no \(in Python True or False\)"),
        ("digits", "repeat", "two", "must be a whole number"),
        ("digits", "repeat", True, "must be a whole number"),
        ("temporal-order", "steps", 50.5, "must be a whole number"),
        ("drift", "at", "half", "must be a number"),
    ],
)
def test_an_option_of_another_kind_is_refused(name: str, option: str, value: object, rule: str) -> None:
    with pytest.raises(InputError, match=f"task '{name}': {option}: is {value!r}, {rule}"):
        load_task(name, **{option: value})
