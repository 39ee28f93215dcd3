"""Tasks: data with labels and metrics. `load_task` finds one by name."""

from __future__ import annotations

import importlib
from typing import Any

from bimhw.tasks.base import Split, Task
from simulator.errors import InputError

__all__ = ["NAMES", "Split", "Task", "load", "load_task"]

# task name -> module with load(**options) -> Task
NAMES = {"digits": "bimhw.tasks.digits"}


def load_task(name: str, **options: Any) -> Task:
    """A task by name.

    Raises:
        InputError: no such task; the message lists those there are.
    """
    if name not in NAMES:
        raise InputError(f"task {name!r}", "is not known", f"Tasks: {', '.join(sorted(NAMES))}")
    task: Task = importlib.import_module(NAMES[name]).load(**options)
    return task


load = load_task  # short within bimhw.tasks
