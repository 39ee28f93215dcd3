"""Learning rules on a user's own program and samples: `bimhw rules net.bimhw --data train.npz`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bimhw.runs.classes import task_for
from bimhw.runs.learn_rule import RuleMachine
from bimhw.runs.rule_words import check_rules, ready_for_rules
from bimhw.tasks.base import Task
from bimhw.tasks.own import OwnSamples
from simulator.base.errors import FitError, InputError
from simulator.plasticity.rules.rule_file import read_rules, shipped_rules
from simulator.program.program import Program


def own_study(
    source: Program | str | Path, samples: str | Task | OwnSamples, names: Sequence[str], others: Mapping[str, object]
) -> tuple[Task, list[str], Program]:
    """Return the task that a program learns by its samples, the rule files that are compared, and the program.

    Args:
        source: program compiled from any network, or its file.
        samples: labelled, or a task.
        names: of rule files; by default all shipped ones that fit the program.
        others: settings of the network that `bimhw rules` would build, where they were given.

    Raises:
        InputError: a setting beside the program, a rule named that does not fit it, samples without labels.
    """
    for name, value in others.items():
        if value is not None:
            raise InputError(
                f"{name} {value!r}", "describes a network to build, and a program was given", "Leave it out"
            )
    program = source if isinstance(source, Program) else Program.load(source)
    task = task_for(program, samples)
    for name in names:
        _try(program, task, name)
    found = list(names) or [n for n in shipped_rules() if _fits(program, task, n)]
    if not found:
        _try(program, task, "delta")  # says why not
    return task, found, program


def _fits(program: Program, task: Task, name: str) -> bool:
    try:
        _try(program, task, name)
    except (InputError, FitError):
        return False
    return True


def _try(program: Program, task: Task, name: str) -> None:
    """Raise an error for a rule file that cannot teach the program."""
    rules = read_rules(name)
    check_rules(program, rules)
    RuleMachine(ready_for_rules(program, rules, task, 0), rules, task, 0)
