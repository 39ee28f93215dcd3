"""LibriSpeech as a task: utterances to learn from and to judge by, spelt in characters (`bimhw.tasks.sources.librispeech`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.librispeech import WHERE, Utterance, utterances
from simulator.base.errors import InputError


@dataclass(frozen=True)
class Transcribed:
    """Utterances with transcripts."""

    name: str
    train: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    facts: Mapping[str, str]


def load(path: str | Path | None = None, train: str | None = None, test: str = "test-clean") -> Transcribed:
    """Load LibriSpeech in its official layout.

    Args:
        path: ``LibriSpeech`` or the folder above it.
        train: subsets between commas (``train-clean-100,train-clean-360``); None: all whose names begin with ``train-``. The same
            subset as `test`: its first four fifths by name, the rest is judged by; that is not the official split.
        test: the subset to judge by.

    Raises:
        InputError: no path, a subset that is not there, broken files, a speaker both in training and test subset.
    """
    if path is None:
        raise InputError("librispeech", "needs a path to LibriSpeech (CC BY 4.0)", f"Get it at {WHERE}")
    if train == test:
        both = utterances(Path(path), test)
        cut = len(both) * 4 // 5
        return _built(both[:cut], both[cut:], f"{test}: first four fifths / last fifth by name, not official")
    names = _train_subsets(Path(path)) if train is None else [part.strip() for part in train.split(",")]
    learnt = [u for name in names for u in utterances(Path(path), name)]
    judged = utterances(Path(path), test)
    common = {u.speaker for u in learnt} & {u.speaker for u in judged}
    if common:
        raise InputError(
            str(path),
            f"speaker {min(common)} is both in {', '.join(names)} and in {test}",
            "Take subsets whose speakers are apart",
        )
    return _built(learnt, judged, f"{', '.join(names)} / {test}")


def _train_subsets(path: Path) -> list[str]:
    root = path / "LibriSpeech" if (path / "LibriSpeech").is_dir() else path
    found = sorted(p.name for p in root.glob("train-*") if p.is_dir())
    if not found:
        raise InputError(
            str(path),
            "holds no subset train-*",
            "Name the subsets: --task-option train=NAME (the same as test: four fifths of it)",
        )
    return found


def _built(train: list[Utterance], test: list[Utterance], split: str) -> Transcribed:
    for name, part in (("train", train), ("test", test)):
        if not part:
            raise InputError(f"librispeech ({split})", f"the split {name!r} is empty", "Give more utterances")
    return Transcribed(
        "librispeech", tuple(train), tuple(test), {"source": WHERE, "licence": "CC BY 4.0", "split": split}
    )


def folder_facts(path: Path) -> dict[str, Any]:
    """Return figures of a folder of utterances."""
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


register_task(
    TaskInfo(
        "librispeech",
        "read English, characters, word error rate",
        "path",
        "https://www.openslr.org/12",
        load,
        kind="transcripts",
        layout=r"\.trans\.txt$",
        check=folder_facts,
        rank=8,
    )
)
