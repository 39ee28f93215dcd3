"""`--data`, `--task-option` and what goes with them, shared by the commands that run on a task or on data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bimhw.tasks.base import Task
    from bimhw.tasks.dataset import Dataset
    from bimhw.tasks.sources.text import Corpus

F = TypeVar("F", bound=Callable[..., Any])
_DATA = "Your own samples (.npz, .npy, .h5, .csv, .bin, .aedat4, a folder); with --task: your copy of its data."


def with_task_options(function: F) -> F:
    """Add ``--data``, ``--task-option``, ``--encode`` and ``--data-option`` beside a command's ``--task``."""
    for option in (
        click.option("--data-option", "data_options", multiple=True, metavar="NAME=VALUE",
                     help="Options of --data without --task: layout (tb, bt, static), steps, time_step (s), size, bins."),
        click.option("--encode", type=click.Choice(["rate", "latency", "delta", "graded"]),
                     help="Code of real values of --data; quantised by default."),
        click.option("--task-option", "task_options", multiple=True, help="Option of --task, NAME=VALUE, as it was trained."),
        click.option("--data", type=click.Path(path_type=Path), help=_DATA),
    ):  # fmt: skip
        function = option(function)
    return function


def take_task(options: dict[str, Any]) -> str | Task | Corpus | Dataset | None:
    """Take ``--task`` and what goes with it out of a command's options: a name alone stays one."""
    task, data = options.pop("task"), options.pop("data")
    task_options, encode, data_options = (options.pop(k) for k in ("task_options", "encode", "data_options"))
    if task is None and data is not None:
        if task_options:
            raise click.UsageError("--task-option belongs to --task NAME")
        return dataset(data, encode, data_options)
    if encode is not None or data_options:
        raise click.UsageError("--encode and --data-option belong to --data without --task")
    return chosen_task(task, data, task_options)


def dataset(data: Path, encode: str | None, data_options: tuple[str, ...]) -> Dataset:
    """Return the user's own samples."""
    from bimhw.tasks.dataset import Dataset

    return Dataset.open(data, **data_values(encode, data_options))


def data_values(encode: str | None, data_options: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of `Dataset.open` from those of the command line."""
    from bimhw.tasks.named import named_values

    given = named_values(data_options, "data option", "layout=bt")
    return given if encode is None else given | {"encoding": encode}


def chosen_task(name: str | None, data: Path | None, task_options: tuple[str, ...]) -> str | Task | Corpus | None:
    """Return the task or text that the options name: a name alone stays one."""
    if data is None and not task_options:
        return name
    if name is None:
        raise click.UsageError("--data and --task-option belong to --task NAME")
    from bimhw.tasks import load_named

    task: Task | Corpus = load_named(name, data, task_options)
    return task
