"""What data is here, and what a folder of the user's holds: behind `bimhw data list` and `bimhw data check`."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.tasks.base import Split, Task
from bimhw.tasks.fetch import SOURCES, data_folder
from bimhw.tasks.registry import TASKS, TaskInfo, load_corpus, load_task
from bimhw.tasks.sources.text import Corpus
from simulator.base.errors import InputError
from simulator.base.reading import boundary

# task -> a file name by which its layout is known (regular expression on relative paths); the order decides.
_LAYOUTS: dict[str, str] = {
    "wikitext": r"wiki\.test\.(tokens|raw)$",
    "librispeech": r"\.trans\.txt$",
    "chbmit": r"-summary\.txt$",
    "ptbxl": r"ptbxl_database\.csv$",
    "fsdd": r"\d_[a-z]+_\d+\.wav$",
    "mitbih208": r"^(208\.atr|labels\.csv)$",
    "mitbih": r"^\d{3}\.atr$",
    "nmnist": r"(\.bs2|(?i:(^|/)test/\d/\d+\.bin))$",
    "smnist": r"t10k-images-idx3-ubyte",
    "archive": r"_TRAIN\.(ts|ts\.gz|tsv|arff)$",
    "lm": r"\.txt$",
}


def inventory() -> list[dict[str, Any]]:
    """One row a task: name, what, origin and where its data is or is to be had."""
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
    """The task (or ``librispeech``) whose layout lies at `path`.

    Raises:
        InputError: nothing there, or no known layout.
    """
    if not path.exists():
        raise InputError(str(path), "does not exist", "Check the path")
    if path.is_dir():
        names = [p.relative_to(path).as_posix() for p in sorted(path.rglob("*")) if p.is_file()]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    else:
        names = [path.name]
    for task, pattern in _LAYOUTS.items():
        if any(re.search(pattern, name) for name in names):
            return task
    raise InputError(str(path), f"none of its {len(names)} files is of a known layout", f"Known: {', '.join(_LAYOUTS)}")


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
        return _checked(path, name or recognise(path))


def _checked(path: Path, name: str) -> dict[str, Any]:
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        "librispeech": _librispeech,
        "mitbih": _mitbih,
        "chbmit": _chbmit,
        "ptbxl": _ptbxl,
    }
    if name in readers:
        facts = readers[name](path)
    elif name in TASKS and TASKS[name].is_text:
        facts = _corpus_facts(load_corpus(name, path=path))
    else:
        facts = _task_facts(load_task("fsdd" if name == "connected-digits" else name, path=path))
    return {"task": name, **facts}


def _task_facts(task: Task) -> dict[str, Any]:
    return {
        "steps": task.steps,
        "channels": task.n_in,
        "classes": task.n_classes,
        "train sequences": len(task.train),
        "test sequences": len(task.test),
        "train labels": _counts(task.train, task.n_classes),
        "test labels": _counts(task.test, task.n_classes),
        **task.facts,
    }


def _counts(split: Split, n_classes: int) -> str:
    return " ".join(str(n) for n in np.bincount(split.y, minlength=n_classes))


def _corpus_facts(corpus: Corpus) -> dict[str, Any]:
    parts = {f"{n} tokens": len(getattr(corpus, n)) for n in ("train", "validation", "test")}
    characters = round(len(corpus.test) * corpus.characters_per_token)
    return {"symbols": len(corpus.symbols), **parts, "test characters": characters, "note": corpus.comparable}


def _librispeech(path: Path) -> dict[str, Any]:
    from bimhw.tasks.sources.librispeech import RATE_HZ, utterances

    found = utterances(path)
    seconds = sum(len(u.sound()) for u in found) / RATE_HZ
    words = sum(len(u.text.split()) for u in found)
    return {
        "utterances": len(found),
        "speakers": len({u.speaker for u in found}),
        "words": words,
        "hours": seconds / 3600,
    }


def _chbmit(path: Path) -> dict[str, Any]:
    from bimhw.tasks.sources.chbmit import CHANNELS, read_windows

    found = read_windows(path, None, 4.0, 16, CHANNELS)
    return {
        "cases": len({w.case for w in found}),
        "records": len(found),
        "windows of 4 s": sum(len(w.labels) for w in found),
        "seizure windows": sum(int(w.labels.sum()) for w in found),
    }


def _ptbxl(path: Path) -> dict[str, Any]:
    from bimhw.tasks.sources.ptbxl import SUPERCLASSES, read_records

    found = read_records(path)
    return {
        "records": len(found.folds),
        "patients": len(set(found.patients.tolist())),
        "folds 1 to 10": " ".join(str(n) for n in np.bincount(found.folds, minlength=11)[1:]),
        **{f"records with {name}": int(found.labels[:, k].sum()) for k, name in enumerate(SUPERCLASSES)},
    }


def _mitbih(path: Path) -> dict[str, Any]:
    from bimhw.tasks.sources.mitbih import DS1

    whole = any((path / f"{n}.hea").is_file() for n in DS1) and len(list(path.glob("*.hea"))) > 1
    return _task_facts(load_task("mitbih", path=path, split="patients" if whole else "time"))
