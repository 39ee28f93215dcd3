"""Tasks of classes, which a chip learns: by name, as a task, or as labelled samples of one's own."""

from __future__ import annotations

from bimhw.compiler.decode import program_values
from bimhw.tasks import load_task
from bimhw.tasks.base import Task
from bimhw.tasks.own import OwnSamples, own_samples
from simulator.base.errors import InputError
from simulator.program.entries import column_scales
from simulator.program.program import Program


def task_for(program: Program, task: str | Task | OwnSamples) -> Task:
    """Return the task that a program learns; samples take the program's inputs, code and scale, and its classes.

    Raises:
        InputError: a text or transcripts, samples without classes, or values that the program's input does not carry.
    """
    own = own_samples(task)
    if own is not None:
        entry = program.facts.entry
        classes = next((p.size for p in program.populations if p.role == "output"), None)
        scale = column_scales(entry, program.populations)
        samples = program_values(program, own)
        return own.task_of(samples, scale, classes=classes, bits=entry.payload_bits)
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
