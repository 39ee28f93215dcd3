"""Tasks: data with labels and metrics. `load_task` finds one by name, `load_corpus` a text."""

from __future__ import annotations

from bimhw.tasks.base import Split, Task
from bimhw.tasks.registry import TASKS, TaskInfo, load_corpus, load_named, load_task

__all__ = ["NAMES", "TASKS", "Split", "Task", "TaskInfo", "load", "load_corpus", "load_named", "load_task"]

NAMES = tuple(name for name, info in TASKS.items() if not (info.is_text or info.is_speech))

load = load_task  # short within bimhw.tasks
