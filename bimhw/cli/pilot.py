"""`--pilot` and its task, of the commands that count learning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bimhw.cli.task_options import take_task, with_task_options

if TYPE_CHECKING:
    from bimhw.costs.pilot import Pilot

F = TypeVar("F", bound=Callable[..., Any])


def with_pilot_options(function: F) -> F:
    """Add ``--pilot`` and the options of its task."""
    function = click.option("--task", help="Task of --pilot.  [that of the run]")(with_task_options(function))
    return click.option(
        "--pilot",
        type=click.IntRange(0),
        metavar="N",
        help="Learn N samples of --task by each form, and correct its counts by what learning made of them; 0: no pilot.  "
        "[as many as the run has, in at most 4,000 steps, for tr and blk with --block 1 to 3]",
    )(function)


def take_pilot(run: Path, samples: int | None, options: dict[str, object]) -> Pilot | bool | None:
    """Return the pilot that the options ask for; False: none; None: where it is needed."""
    from bimhw.costs.pilot import pilot_of
    from bimhw.runs.folder import RunFolder

    chosen = take_task(options)
    return None if samples is None else pilot_of(RunFolder.open(run), samples, chosen) if samples else False
