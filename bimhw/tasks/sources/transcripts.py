"""LibriSpeech as a task: utterances to learn from and to judge by, spelt in characters (`bimhw.tasks.sources.librispeech`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bimhw.tasks.checks import too_few
from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.librispeech import WHERE, Utterance, utterances
from simulator.base.errors import InputError

VALIDATION = "dev-clean"


@dataclass(frozen=True)
class Transcribed:
    """Utterances with transcripts."""

    name: str
    train: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    facts: Mapping[str, str]
    makeshift: str = ""  # why the test part is none to judge by
    validation: tuple[Utterance, ...] = ()

    @property
    def unjudged(self) -> str:
        """Reason why the test part cannot judge a model; "": it can."""
        return self.makeshift or too_few(sum(len(u.text.split()) for u in self.test), "words")

    def for_tuning(self) -> Transcribed:
        """Return the data whose test part is the validation part, or without one the last tenth of the training utterances."""
        if self.validation:
            return replace(self, test=self.validation, validation=())
        cut = len(self.train) - max(1, len(self.train) // 10)
        if not cut:
            raise InputError(self.name, "has one utterance to learn from", "Give more utterances")
        return replace(self, train=self.train[:cut], test=self.train[cut:])


def load(path: str | Path | None = None, train: str | None = None, test: str = "test-clean") -> Transcribed:
    """Load LibriSpeech in its official layout.

    Args:
        path: ``LibriSpeech`` or the folder above it.
        train: subsets between commas (``train-clean-100,train-clean-360``); None: all whose names begin with ``train-``, without
            them with ``dev-``, without any the test subset. The same subset as `test`: its first four fifths by name, the rest is
            judged by; that is not the official split.
        test: the subset to judge by.

    Raises:
        InputError: no path, a subset that is not there, broken files, a speaker both in training and test subset.
    """
    if path is None:
        raise InputError("librispeech", "needs a path to LibriSpeech (CC BY 4.0)", f"Get it at {WHERE}")
    names = _train_subsets(Path(path)) if train is None else [part.strip() for part in train.split(",")]
    if train == test or not names:
        both = utterances(Path(path), test)
        cut = len(both) * 4 // 5
        makeshift = (
            "" if names else f"is the last fifth of {test}, the rest of which is learnt from: there is no train-*"
        )
        return _built(
            both[:cut], both[cut:], f"{test}: first four fifths / last fifth by name, not official", makeshift
        )
    learnt = [u for name in names for u in utterances(Path(path), name)]
    judged = utterances(Path(path), test)
    common = {u.speaker for u in learnt} & {u.speaker for u in judged}
    if common:
        raise InputError(
            str(path),
            f"speaker {min(common)} is both in {', '.join(names)} and in {test}",
            "Take subsets whose speakers are apart",
        )
    held = _root(Path(path)) / VALIDATION
    decides = utterances(Path(path), VALIDATION) if VALIDATION not in (*names, test) and held.is_dir() else []
    return replace(_built(learnt, judged, f"{', '.join(names)} / {test}"), validation=tuple(decides))


def _root(path: Path) -> Path:
    return path / "LibriSpeech" if (path / "LibriSpeech").is_dir() else path


def _train_subsets(path: Path) -> list[str]:
    there = sorted(p.name for p in _root(path).glob("*") if p.is_dir())
    return [n for n in there if n.startswith("train-")] or [n for n in there if n.startswith("dev-")]


def _built(train: list[Utterance], test: list[Utterance], split: str, makeshift: str = "") -> Transcribed:
    for name, part in (("train", train), ("test", test)):
        if not part:
            raise InputError(f"librispeech ({split})", f"the split {name!r} is empty", "Give more utterances")
    facts = {"source": WHERE, "licence": "CC BY 4.0", "split": split}
    return Transcribed("librispeech", tuple(train), tuple(test), facts, makeshift)


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
