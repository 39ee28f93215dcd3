"""Connected digits: strings of spoken digits with silence between them, judged by the word error rate.

A string is five recordings of one speaker, each RMS 1, with 50-150 ms of silence between (uniform, seeded); the test set has 200
strings of test recordings (take 0-4 of the spoken digits). The words are the digits. Decoding: CTC, the best path (`best_path`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bimhw.tasks.metrics import WordErrors, word_errors
from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.fsdd import SpokenDigits, load_spoken_digits
from simulator.base.arrays import F32, I64, AnyFloats, Floats
from simulator.base.errors import InputError

LENGTH = 5
TEST_STRINGS = 200
SILENCE_MS = (50.0, 150.0)
BLANK = 10
WHERE = "https://github.com/Jakobovski/free-spoken-digit-dataset"


@dataclass(frozen=True)
class DigitStrings:
    """Strings as log-mel frames [T_i, bands], their digits [n, length], and from and to which sample each digit is spoken."""

    frames: tuple[F32, ...]
    digits: I64
    speakers: I64
    spans: I64  # [n, length, 2]


def load(path: str | Path | None = None) -> SpokenDigits:
    """Load the recordings that strings are put together from: the user's copy of the Free Spoken Digit Dataset.

    Raises:
        InputError: no path, or broken recordings.
    """
    if path is None:
        raise InputError("connected-digits", "needs a path to the recordings (CC BY-SA 4.0)", f"Get them at {WHERE}")
    return load_spoken_digits(Path(path))


def digit_strings(
    data: SpokenDigits, which: I64, count: int = TEST_STRINGS, seed: int = 0, length: int = LENGTH
) -> DigitStrings:
    """Draw strings from the recordings `which` (positions, as `SpokenDigits.official` gives).

    Args:
        data: the recordings.
        which: those to draw from.
        count: strings.
        seed: of the draw.
        length: digits a string.

    Raises:
        InputError: no recordings to draw from.
    """
    if len(which) == 0:
        raise InputError("connected digits", "no recordings to draw from", "Check the split")
    rng = np.random.default_rng(seed)
    speakers = np.unique(data.speakers[which])
    frames, digits, spoken_by, spans = [], [], [], []
    for _ in range(count):
        speaker = speakers[rng.integers(len(speakers))]
        chosen = rng.choice(which[data.speakers[which] == speaker], size=length)
        sound, span = _joined([data.signals[i] for i in chosen], rng, data.front.rate_hz)
        frames.append(data.front.raw_frames(sound))
        spans.append(span)
        digits.append(data.digits[chosen])
        spoken_by.append(speaker)
    return DigitStrings(tuple(frames), np.array(digits), np.array(spoken_by), np.array(spans))


def _joined(signals: Sequence[F32], rng: np.random.Generator, rate_hz: int) -> tuple[Floats, list[tuple[int, int]]]:
    low, high = (round(ms * rate_hz / 1000) for ms in SILENCE_MS)
    parts: list[Floats] = []
    spans, at = [], 0
    for i, signal in enumerate(signals):
        if i:
            parts.append(np.zeros(int(rng.integers(low, high + 1))))
            at += len(parts[-1])
        exact = signal.astype(np.float64)
        parts.append(exact / np.sqrt((exact**2).mean() + 1e-12))
        spans.append((at, at + len(exact)))
        at += len(exact)
    return np.concatenate(parts), spans


def best_path(scores: AnyFloats, blank: int = BLANK) -> list[int]:
    """Decode greedily (CTC): the best symbol of each frame [T, C], repeats joined, blanks dropped."""
    best = scores.argmax(-1)
    changed = np.concatenate([[True], best[1:] != best[:-1]])
    return [int(s) for s in best[changed] if s != blank]


def digit_errors(truth: I64, found: Sequence[Sequence[int]]) -> WordErrors:
    """Count word errors of digit strings, summed over the set."""
    as_text = [" ".join(str(int(d)) for d in string) for string in truth]
    return word_errors(as_text, [" ".join(str(d) for d in string) for string in found])


register_task(
    TaskInfo(
        "connected-digits",
        "strings of five spoken digits, word error rate",
        "path",
        "https://github.com/Jakobovski/free-spoken-digit-dataset",
        load,
        kind="transcripts",
        rank=7,
    )
)
