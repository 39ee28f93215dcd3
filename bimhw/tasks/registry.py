"""The tasks by name: what they are, where their data comes from, and which function loads them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bimhw.tasks.base import Task
from bimhw.tasks.named import named_values
from simulator.base.errors import InputError
from simulator.base.reading import boundary

Origin = Literal["package", "fetch", "path"]


@dataclass(frozen=True)
class TaskInfo:
    """One task.

    Attributes:
        name: as in `load_task` and on the command line.
        what: one line.
        origin: ``package``: in the package or one it depends on; ``fetch``: by `bimhw data fetch`; ``path``: the user's copy.
        where: where to get the data, or the licence of what is in the package.
        loader: ``module:function``; the function returns a `Task`, or a `Corpus` for language models.
        is_text: whether it is a corpus for language modelling.
        is_speech: whether it is sound with transcripts, judged by the word error rate.
    """

    name: str
    what: str
    origin: Origin
    where: str
    loader: str
    is_text: bool = False
    is_speech: bool = False


_PHYSIONET = "https://physionet.org/content"

TASKS: dict[str, TaskInfo] = {
    info.name: info
    for info in (
        TaskInfo("digits", "8 x 8 digits row by row, 10 classes", "package", "UCI, CC BY 4.0", "digits:load"),
        TaskInfo(
            "japanese-vowels",
            "speaker identification, 9 speakers",
            "package",
            "UCI, CC BY 4.0",
            "archive:japanese_vowels",
        ),
        TaskInfo("scp1", "EEG, slow cortical potentials, 2 classes", "fetch", "scp1", "archive:scp1"),
        TaskInfo("archive", "any UCR/UEA set", "path", "https://www.timeseriesclassification.com", "archive:archive"),
        TaskInfo(
            "fsdd",
            "spoken digits, 6 speakers",
            "path",
            "https://github.com/Jakobovski/free-spoken-digit-dataset",
            "spoken:load",
        ),
        TaskInfo("recall", "a cue to remember over hundreds of steps", "package", "generated", "recall:load"),
        TaskInfo(
            "connected-digits",
            "strings of five spoken digits, word error rate",
            "path",
            "https://github.com/Jakobovski/free-spoken-digit-dataset",
            "connected:load",
            is_speech=True,
        ),
        TaskInfo(
            "librispeech",
            "read English, characters, word error rate",
            "path",
            "https://www.openslr.org/12",
            "transcripts:load",
            is_speech=True,
        ),
        TaskInfo("smnist", "sequential or permuted MNIST", "fetch", "smnist", "mnist:load"),
        TaskInfo(
            "nmnist", "N-MNIST, event camera", "path", "https://www.garrickorchard.com/datasets/n-mnist", "nmnist:load"
        ),
        TaskInfo(
            "mitbih208", "ECG, beats of record 208, N or V+F", "fetch", "mitbih208; labels: 208.atr", "mitbih:load_208"
        ),
        TaskInfo("mitbih", "ECG, beats, 5 AAMI classes", "path", f"{_PHYSIONET}/mitdb/1.0.0/", "mitbih:load"),
        TaskInfo(
            "ptbxl", "12-lead ECG, NORM or rest, 5 superclasses", "path", f"{_PHYSIONET}/ptb-xl/1.0.3/", "ptbxl:load"
        ),
        TaskInfo("chbmit", "EEG, seizure windows", "path", f"{_PHYSIONET}/chbmit/1.0.0/", "chbmit:load"),
        TaskInfo(
            "lm", "characters of a Wikipedia extract, or of a file", "package", "CC BY-SA", "text:load", is_text=True
        ),
        TaskInfo(
            "wikitext",
            "WikiText-103 or -2, characters or words",
            "path",
            "wikitext-103-v1.zip",
            "text:wikitext",
            is_text=True,
        ),
    )
}


def load_task(name: str, **options: Any) -> Task:
    """A classification task by name.

    Args:
        name: see `TASKS`.
        options: of the task's loader, ``path`` first of all.

    Raises:
        InputError: no such task, an option the task does not have, a text corpus, or bad data.
    """
    info = _info(name)
    if info.is_text:
        raise InputError(
            f"task {name!r}", "is a text, not a set of sequences", "Use bimhw.tasks.load_corpus or `bimhw train lm`"
        )
    if info.is_speech:
        raise InputError(f"task {name!r}", "has transcripts, not labels", f"Use `bimhw train {name}`")
    task: Task = _call(info, options)
    return task


def load_corpus(name: str = "lm", **options: Any) -> Any:
    """A text by name, as `bimhw.tasks.sources.text.Corpus`.

    Raises:
        InputError: no such text, an option it does not have, or bad data.
    """
    info = _info(name)
    if not info.is_text:
        raise InputError(
            f"task {name!r}", "is not a text", f"Texts: {', '.join(t.name for t in TASKS.values() if t.is_text)}"
        )
    return _call(info, options)


def load_named(name: str, path: Path | None = None, options: Sequence[str] = ()) -> Any:
    """A task or text by what a command line gives: `load_task` with ``NAME=VALUE`` texts, numbers and yes/no understood.

    Raises:
        InputError: as `load_task`, or a text without ``=``.
    """
    given: dict[str, Any] = {} if path is None else {"path": path}
    given |= named_values(options, "task option", "leave_out=george")
    if _info(name).is_speech:
        return _call(_info(name), given)
    return (load_corpus if _info(name).is_text else load_task)(name, **given)


def _info(name: str) -> TaskInfo:
    if name not in TASKS:
        raise InputError(f"task {name!r}", "is not known", f"Tasks: {', '.join(sorted(TASKS))}")
    return TASKS[name]


def _call(info: TaskInfo, options: dict[str, Any]) -> Any:
    module, _, function = info.loader.partition(":")
    loader: Callable[..., Any] = getattr(importlib.import_module(f"bimhw.tasks.sources.{module}"), function)
    known = inspect.signature(loader).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(
            f"task {info.name!r}", f"has no option {unknown[0]!r}", f"Its options: {', '.join(known) or 'none'}"
        )
    where = str(options.get("path") or f"task {info.name!r}")
    with boundary(where, f"data of the task {info.name!r}", "Check the folder and the options, or copy the data again"):
        return loader(**options)
