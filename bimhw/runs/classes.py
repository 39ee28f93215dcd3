"""Tasks of classes, which a chip learns: by name, as a task, or as labelled samples of one's own."""

from __future__ import annotations

from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from bimhw.tasks.own import OwnSamples, own_samples
from simulator.base.errors import InputError
from simulator.program.program import Program


def task_for(program: Program, task: str | Task | OwnSamples) -> Task:
    """Return the task that a program learns; samples take the program's inputs, their scale and its classes.

    Raises:
        InputError: a text or transcripts, or samples without classes.
    """
    own = own_samples(task)
    if own is not None:
        entry = program.meta.get("input", {})
        width, classes = (
            next((p.size for p in program.populations if p.role == role), None) for role in ("input", "output")
        )
        return own.task(width or 0, float(entry.get("scale", 1.0)), classes=classes)
    return with_classes(load_task(task) if isinstance(task, str) else task)


def with_classes(task: object) -> Task:
    """Return a classification task as it is.

    Raises:
        InputError: a text or transcripts.
    """
    if isinstance(task, Task):
        task.check_one_label("learning on the chip")
        return task
    what = f"task {getattr(task, 'name', task)!r}"
    raise InputError(what, "has no classes of sequences to learn on the chip", "bimhw data list names those")
