"""Data that is here, and content of a user's folder: behind `bimhw data list` and `bimhw data check`."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bimhw.tasks.dataset import Dataset
from bimhw.tasks.facts import corpus_facts, task_facts
from bimhw.tasks.fetch import SOURCES, data_folder
from bimhw.tasks.readers import BY_SUFFIX
from bimhw.tasks.registry import TASKS, TaskInfo, load_corpus, load_task
from simulator.base.errors import InputError
from simulator.base.misplaced import check_no_run_folder
from simulator.base.near import missing_path
from simulator.base.reading import boundary

OWN = "your own data, read by --data"
MOST_CLASSES = 1000  # that are counted one by one


def inventory() -> list[dict[str, Any]]:
    """Return one row a task: name, what, origin, and where its data is or can be had."""
    return [{"name": t.name, "what": t.what, "origin": t.origin, "data": _state(t)} for t in TASKS.values()]


def _state(info: TaskInfo) -> str:
    if info.origin == "package":
        return f"in the package ({info.where})"
    if info.origin == "fetch":
        folder = data_folder() / info.name
        here = all((folder / m.keep_as).is_file() for m in SOURCES[info.name].members)
        return f"fetched, {folder}" if here else f"bimhw data fetch {info.name}"
    return f"your copy, from {info.where}"


def recognise(path: Path) -> str:
    """Return the task (or ``librispeech``) whose layout lies at `path`; `OWN` for a file that `--data` reads.

    Raises:
        InputError: nothing there, or no known layout.
    """
    if not path.exists():
        raise missing_path(path)
    check_no_run_folder(path)
    if path.is_dir():
        names = [p.relative_to(path).as_posix() for p in sorted(path.rglob("*")) if p.is_file()]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    else:
        names = [path.name]
    known = {info.name: info.layout for info in TASKS.values() if info.layout}
    for task, pattern in known.items():
        if any(re.search(pattern, name) for name in names):
            return task
    if path.is_file() and path.suffix.lower() in BY_SUFFIX:
        return OWN
    raise InputError(str(path), f"none of its {len(names)} files is of a known layout", f"Known: {', '.join(known)}")


def check_data(path: str | Path, name: str | None = None) -> dict[str, Any]:
    """Read data as training would and count it.

    Args:
        path: the user's copy.
        name: the task; None: told from the files.

    Raises:
        InputError: no known layout, or bad data.
    """
    path = Path(path)
    with boundary(path, "data of a known layout", "Name the task: --task NAME"):
        found = name or recognise(path)
        return _own_facts(path) if found == OWN else _checked(path, found)


def _own_facts(path: Path) -> dict[str, object]:
    """Return the figures of a file that `--data` reads."""
    data = Dataset.open(path)
    facts: dict[str, object] = {"task": OWN, "x": _shape(data.x), "largest value": float(np.max(data.x, initial=0))}
    if data.y is None:
        return facts | {"labels": "none"}
    if (
        data.y.ndim != 1
        or data.y.dtype.kind not in "iu"
        or not 0 <= data.y.min(initial=0) <= data.y.max(initial=0) < MOST_CLASSES
    ):
        return facts | {"targets": _shape(data.y)}
    return facts | {"labels": " ".join(str(n) for n in np.bincount(data.y))}


def _shape(values: npt.NDArray[np.generic]) -> str:
    return f"{' x '.join(str(n) for n in values.shape)} of {values.dtype}"


def _checked(path: Path, name: str) -> dict[str, Any]:
    info = TASKS.get(name, None)
    if info is not None and info.check is not None:
        facts = info.check(path)
    elif info is not None and info.kind == "text":
        facts = corpus_facts(load_corpus(name, path=path))
    else:
        facts = task_facts(load_task("fsdd" if name == "connected-digits" else name, path=path))
    return {"task": name, **facts}
