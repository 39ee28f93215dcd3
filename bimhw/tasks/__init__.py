"""Tasks: data with labels and metrics. `load_task` finds one by name, `load_corpus` a text."""

from __future__ import annotations

from bimhw.tasks.base import Split, Task
from bimhw.tasks.registry import TASKS, TaskInfo, load_corpus, load_named, load_task, register_task

__all__ = ["TASKS", "Split", "Task", "TaskInfo", "load", "load_corpus", "load_named", "load_task", "register_task"]

load = load_task  # short within bimhw.tasks
