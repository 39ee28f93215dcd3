"""`--data` and `--task-option`, shared by the commands that run on a task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bimhw.tasks.base import Task
    from bimhw.tasks.sources.text import Corpus

F = TypeVar("F", bound=Callable[..., Any])


def with_task_options(function: F) -> F:
    """Add ``--data`` and ``--task-option`` beside a command's ``--task``."""
    function = click.option(
        "--task-option", "task_options", multiple=True, help="Option of --task, NAME=VALUE, as it was trained."
    )(function)
    return click.option("--data", type=click.Path(path_type=Path), help="Your copy of the data of --task.")(function)


def chosen_task(name: str | None, data: Path | None, task_options: tuple[str, ...]) -> str | Task | Corpus | None:
    """The task or text that the options name: a name alone stays one."""
    if data is None and not task_options:
        return name
    if name is None:
        raise click.UsageError("--data and --task-option belong to --task NAME")
    from bimhw.tasks import load_named

    task: Task | Corpus = load_named(name, data, task_options)
    return task
