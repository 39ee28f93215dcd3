"""The tasks by name: one frozen `TaskInfo` each, registered by the module of `bimhw.tasks.sources` that loads it.

A module in that folder is found by itself. One elsewhere adds a task by calling `register_task`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bimhw.tasks.base import Task
from bimhw.tasks.named import named_values
from simulator.base.errors import InputError, unknown_name
from simulator.base.found import import_all
from simulator.base.misplaced import check_no_run_folder
from simulator.base.reading import boundary

Origin = Literal["package", "fetch", "path"]
Data = Any  # a `Task`, a `Corpus`, recordings: each command knows what it asked for
Figures = dict[str, Any]
Kind = Literal["classes", "text", "transcripts"]


@dataclass(frozen=True)
class TaskInfo:
    """One task.

    Attributes:
        name: as in `load_task` and on the command line.
        what: one line.
        origin: ``package``: in the package or one it depends on; ``fetch``: by `bimhw data fetch`; ``path``: the user's copy.
        where: where to get the data, or the licence of what is in the package.
        load: the function that returns a `Task`, a `Corpus` for language models, or recordings with transcripts.
        kind: ``classes`` of sequences, a ``text``, or ``transcripts``, judged by the word error rate.
        layout: regular expression of a relative path by which a folder of the user's is known; "": it is not.
        check: figures of a folder of the user's, where loading it as a task says too little.
        preset: name of the tested setting that training takes where none is named.
        rank: order in lists and in telling a layout.
    """

    name: str
    what: str
    origin: Origin
    where: str
    load: Callable[..., Data]
    kind: Kind = "classes"
    layout: str = ""
    check: Callable[[Path], Figures] | None = None
    preset: str = "level"
    rank: int = 50


_TASKS: dict[str, TaskInfo] = {}


def register_task(info: TaskInfo) -> TaskInfo:
    """Make a task known by its name, and return it."""
    _TASKS[info.name] = info
    return info


class _Tasks(Mapping[str, TaskInfo]):
    """All tasks, found when one is asked for."""

    def __getitem__(self, name: str) -> TaskInfo:
        import_all("bimhw.tasks.sources")
        return _TASKS[name]

    def __iter__(self) -> Iterator[str]:
        import_all("bimhw.tasks.sources")
        return iter(sorted(_TASKS, key=lambda name: (_TASKS[name].rank, name)))

    def __len__(self) -> int:
        import_all("bimhw.tasks.sources")
        return len(_TASKS)


TASKS: Mapping[str, TaskInfo] = _Tasks()
# Plain types of a loader's options; the loader itself checks ranges.
_KINDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "bool": (lambda v: isinstance(v, bool | np.bool_) or v in (0, 1), "yes or no (in Python True or False)"),
    "int": (lambda v: isinstance(v, Integral) and not isinstance(v, bool), "a whole number"),
    "float": (lambda v: isinstance(v, Real) and not isinstance(v, bool), "a number"),
}


def task_preset(name: str) -> str:
    """Return the name of a task's tested setting; ``ptbxl-norm`` is a way to take ``ptbxl``."""
    stem = name if name in TASKS else name.split("-")[0]
    return TASKS[stem].preset if stem in TASKS else "level"


def load_task(name: str, **options: Any) -> Task:
    """Return a classification task by name.

    Args:
        name: see `TASKS`.
        options: of the task's loader, ``path`` first of all.

    Raises:
        InputError: no such task, an option the task does not have, a text corpus, or bad data.
    """
    info = _info(name)
    if info.kind == "text":
        raise InputError(
            f"task {name!r}", "is a text, not a set of sequences", "Use bimhw.tasks.load_corpus or `bimhw train lm`"
        )
    if info.kind == "transcripts":
        raise InputError(f"task {name!r}", "has transcripts, not labels", f"Use `bimhw train {name}`")
    task: Task = _call(info, options)
    return task


def load_corpus(name: str = "lm", **options: Any) -> Data:
    """Return a text by name, as `bimhw.tasks.sources.text.Corpus`.

    Raises:
        InputError: no such text, an option it does not have, or bad data.
    """
    info = _info(name)
    if info.kind != "text":
        texts = ", ".join(t.name for t in TASKS.values() if t.kind == "text")
        raise InputError(f"task {name!r}", "is not a text", f"Texts: {texts}")
    return _call(info, options)


def load(name: str, **options: Any) -> Data:
    """Return a task, a text or recordings by name, whatever it is; errors as of `load_task`."""
    return _call(_info(name), options)


def load_named(name: str, path: Path | None = None, options: Sequence[str] = ()) -> Data:
    """Return a task or text by what a command line gives: ``NAME=VALUE`` texts, numbers and yes/no understood.

    Raises:
        InputError: as `load_task`, or a text without ``=``.
    """
    given: Figures = {} if path is None else {"path": path}
    given |= named_values(options, "task option", "leave_out=george")
    return _call(_info(name), given)


def _info(name: str) -> TaskInfo:
    if name not in TASKS:
        check_no_run_folder(name)
    if name not in TASKS and ("." in name or "/" in name):
        way = (
            "Give a task's name (bimhw data list). Data goes in by --data FILE; a model is compiled: bimhw compile FILE"
        )
        raise InputError(f"task {name!r}", "is the name of a file, not of a task", way)
    if name not in TASKS:
        raise unknown_name("task", name, sorted(TASKS))
    return TASKS[name]


def _call(info: TaskInfo, options: Figures) -> Data:
    known = inspect.signature(info.load).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(
            f"task {info.name!r}", f"has no option {unknown[0]!r}", f"Its options: {', '.join(known) or 'none'}"
        )
    for name, value in options.items():
        is_kind, rule = _KINDS.get(str(known[name].annotation), (None, ""))
        if is_kind is not None and not is_kind(value):
            raise InputError(f"task {info.name!r}: {name}", f"is {value!r}, must be {rule}", f"Give another {name}")
    where = str(options.get("path") or f"task {info.name!r}")
    with boundary(where, f"data of the task {info.name!r}", "Check the folder and the options, or copy the data again"):
        return info.load(**options)
