"""Free Spoken Digit Dataset: 3,000 recordings of the digits 0-9, six speakers, 8 kHz.

Get it at https://github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0); `path` is its folder, the folder
``recordings`` or a zip of either. Files are named ``<digit>_<speaker>_<index>.wav``. Official split: index 0-4 test, 5-49
train. Here index 5-9 is held out for validation, to choose settings; the last run trains on 5-49. Where a speaker is left out
for the test, another speaker is held out for validation.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bimhw.tasks.features.audio import FrontEnd, decode_sound
from bimhw.tasks.features.encoders import graded
from simulator.base.arrays import F32, I64, Bools
from simulator.base.errors import InputError
from simulator.base.near import missing_path
from simulator.base.reading import boundary, read_bytes
from simulator.base.unpacking import read_member

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
FRAMES = 50
LABELLED_FROM = 25
_NAME = re.compile(r"(?:^|/)(\d+)_([a-z]+)_(\d+)\.wav$")


@dataclass(frozen=True)
class SpokenDigits:
    """The recordings as log-mel frames.

    Attributes:
        frames: one [T_i, bands] float32 array a recording, log power, not yet scaled.
        digits, speakers, indices: [N], the digit, index into `names` and take of each recording.
        names: speakers, sorted.
        front: how the frames were made.
        signals: the sound itself, [samples] each, for connected digits.
    """

    frames: tuple[F32, ...]
    digits: I64
    speakers: I64
    indices: I64
    names: tuple[str, ...]
    front: FrontEnd
    signals: tuple[F32, ...] = field(repr=False)

    def official(self) -> dict[str, I64]:
        """Return the positions of the recordings of each part: index 0-4 test, 5-9 validation, 10-49 train."""
        i = self.indices
        return _parts(test=i < 5, validation=(i >= 5) & (i < 10), train=i >= 10)

    def leave_out(self, speaker: str) -> dict[str, I64]:
        """Leave out one speaker: his 500 recordings are the test part; another's, the next by name, are for validation.

        A validation part of the same speakers would choose settings that learn those by heart. Of two speakers the one that
        is left cannot be spared: his index 0-4 is the validation part then.

        Raises:
            InputError: no such speaker.
        """
        if speaker not in self.names:
            raise InputError("speaker", f"{speaker!r} is not in the data", f"There are: {', '.join(self.names)}")
        position = self.names.index(speaker)
        test = self.speakers == position
        other = self.speakers == (position + 1) % len(self.names)
        validation = other if len(self.names) > 2 else ~test & (self.indices < 5)
        return _parts(test=test, validation=validation, train=~test & ~validation)


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each band over the train part."""

    mean: F32
    deviation: F32

    def __call__(self, frames: F32) -> F32:
        """Compute the z-score, clipped to ±3 and rounded to 1/16: graded spikes."""
        return graded((frames - self.mean) / self.deviation)


def load_spoken_digits(path: Path, front: FrontEnd | None = None) -> SpokenDigits:
    """Read all recordings.

    Raises:
        InputError: no recordings there, a truncated file, a digit above 9, another sampling rate.
        MissingExtraError: soundfile is not installed.
    """
    front = front or FrontEnd()
    found = sorted((k, w, d) for k, w, d in _files(path))
    if not found:
        raise InputError(
            str(path),
            "holds no file named <digit>_<speaker>_<index>.wav",
            "Get the data at https://github.com/Jakobovski/free-spoken-digit-dataset",
        )
    names = tuple(sorted({key[1] for key, _, _ in found}))
    signals = tuple(decode_sound(data, where, front.rate_hz) for _, where, data in found)
    return SpokenDigits(
        tuple(front.frames(s) for s in signals),
        np.array([key[0] for key, _, _ in found]),
        np.array([names.index(key[1]) for key, _, _ in found]),
        np.array([key[2] for key, _, _ in found]),
        names,
        front,
        signals,
    )


def scaler(digits: SpokenDigits, train: I64) -> Scaler:
    """Return the z-score of the train part; its frames beyond `FRAMES` and its padding do not count."""
    frames = np.concatenate([digits.frames[i][:FRAMES] for i in train])
    return Scaler(frames.mean(0), frames.std(0) + np.float32(1e-6))


def pictures(digits: SpokenDigits, scale: Scaler, which: I64) -> F32:
    """Return [n, FRAMES, bands] graded spikes: the first 50 frames (0.64 s), shorter ones padded with silence."""
    out = np.full((len(which), FRAMES, digits.front.bands), digits.front.silence, np.float32)
    for row, i in enumerate(which):
        cut = digits.frames[i][:FRAMES]
        out[row, : len(cut)] = cut
    return scale(out)


def _parts(**masks: Bools) -> dict[str, I64]:
    parts = {name: np.flatnonzero(mask) for name, mask in masks.items()}
    for name, positions in parts.items():
        if len(positions) == 0:
            raise InputError("spoken digits", f"the split {name!r} is empty", "Check that all recordings are there")
    return parts


def _files(path: Path) -> Iterator[tuple[tuple[int, str, int], str, bytes]]:
    """Yield (digit, speaker, index), a name for messages, and the bytes of each recording."""
    if not path.exists():
        raise missing_path(path, "Give the folder or zip of the spoken digits")
    if path.is_dir():
        for file in path.rglob("*.wav"):
            key = _key(file.name, str(file))
            if key:
                yield key, str(file), read_bytes(file, 2**30)
        return
    with boundary(path, "a whole zip file", "Copy it again"), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            key = _key(name, f"{path}:{name}")
            if key:
                yield key, f"{path}:{name}", read_member(archive, name, str(path))


def _key(name: str, where: str) -> tuple[int, str, int] | None:
    match = _NAME.search(name)
    if match is None:
        return None
    digit, speaker, index = int(match[1]), match[2], int(match[3])
    if digit > 9:
        raise InputError(where, f"the label {digit} is none of the digits 0 to 9", "The file is mislabelled")
    return digit, speaker, index
