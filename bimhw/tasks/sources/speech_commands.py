"""Speech Commands (Warden, arXiv 1804.03209; CC BY 4.0): words of a second, told apart.

Get it at http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz . `path` holds a folder for each word with
``<speaker>_nohash_<n>.wav`` (16 kHz mono), and ``validation_list.txt`` and ``testing_list.txt``, the official split by speakers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bimhw.tasks.base import Split, Task
from bimhw.tasks.checks import check_folder, check_not_empty, read_utf8
from bimhw.tasks.features.audio import FrontEnd, decode_sound
from bimhw.tasks.features.encoders import payloads
from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.sequences import INPUT_SCALE
from simulator.base.arrays import F32
from simulator.base.errors import InputError
from simulator.base.reading import read_bytes

WHERE = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
RATE_HZ = 16_000
FRONT = FrontEnd(rate_hz=RATE_HZ, window=400, hop=200, fft=512, bands=40, low_hz=60.0, high_hz=7600.0)
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_BLOCK = 1024  # recordings that are scaled at once


def load(path: str | Path | None = None, words: str | None = None) -> Task:
    """Load Speech Commands: 40 log-mel bands, two frames of 12.5 ms a step, 39 steps; judged by accuracy.

    Recordings of the validation list judge settings and are never learnt from. A recording shorter than a second is padded with
    silence at its end. What a list names and the copy does not hold is left out, so that a part of the words serves.

    Args:
        path: the user's copy.
        words: classes between commas (``yes,no,up,down``); None: every folder there but those that begin with ``_``.

    Raises:
        InputError: no path, a missing list, a word without a folder, broken sound, an empty training or test part.
    """
    if path is None:
        raise InputError("speech-commands", "needs a path (2.3 GB, CC BY 4.0)", f"Get it at {WHERE}")
    root = Path(path)
    classes = _classes(root, words)
    listed = {part: _listed(root / name) for part, name in _LISTS.items()}
    files: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    for word in classes:
        for file in sorted((root / word).glob("*.wav")):
            name = f"{word}/{file.name}"
            files[next((part for part, names in listed.items() if name in names), "train")].append(file)
    for part in ("train", "test"):
        check_not_empty(len(files[part]), part, str(root))
    splits = _splits(files, classes)
    steps = splits["train"].x.shape[1]
    facts = {"source": WHERE, "licence": "CC BY 4.0", "split": "official lists; no speaker in two parts"}
    late = np.arange(steps) >= steps // 2
    task = Task(
        "speech-commands", len(classes), INPUT_SCALE, splits["train"], splits["test"], late, late, facts
    )  # fmt: skip
    return replace(task, judged=splits["validation"] if files["validation"] else None)


def _classes(root: Path, words: str | None) -> tuple[str, ...]:
    check_folder(root, "a folder for each word, validation_list.txt and testing_list.txt")
    there = tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(("_", "."))))
    chosen = there if words is None else tuple(w.strip() for w in words.split(","))
    missing = [w for w in chosen if w not in there]
    if missing:
        raise InputError(
            str(root), f"holds no folder of the word {missing[0]!r}", f"Words: {', '.join(there) or 'none'}"
        )
    if len(chosen) < 2:
        raise InputError(str(root), f"{len(chosen)} words", "Two words at least are told apart")
    return chosen


def _listed(file: Path) -> set[str]:
    if not file.is_file():
        raise InputError(str(file), "does not exist", f"The official split is in it: get the set at {WHERE}")
    return {line.strip() for line in read_utf8(file).splitlines() if line.strip()}


def _splits(files: dict[str, list[Path]], classes: tuple[str, ...]) -> dict[str, Split]:
    """Read all parts; z-score each band on the training part."""
    read = {part: _frames(named) for part, named in files.items()}
    flat = read["train"].reshape(-1, FRONT.bands)
    mean, deviation = flat.mean(0, dtype=np.float64), flat.std(0, dtype=np.float64) + 1e-6
    out = {}
    for part, frames in read.items():
        n, steps = len(frames), frames.shape[1] // 2
        x = np.empty((n, steps, 2 * FRONT.bands), np.int8)
        for start in range(0, n, _BLOCK):
            block = (frames[start : start + _BLOCK, : 2 * steps] - mean) / deviation
            x[start : start + _BLOCK] = payloads(block).reshape(len(block), steps, -1)
        out[part] = Split(x, np.array([classes.index(f.parent.name) for f in files[part]], np.int64))
    return out


def _frames(files: list[Path]) -> F32:
    """Log-mel frames [n, 79, 40] of recordings of a second."""
    count = 1 + (RATE_HZ - FRONT.window) // FRONT.hop
    out = np.empty((len(files), count, FRONT.bands), np.float32)
    for row, file in zip(out, files, strict=True):
        sound = decode_sound(read_bytes(file, 2**24), str(file), RATE_HZ)[:RATE_HZ]
        row[:] = FRONT.frames(np.pad(sound, (0, RATE_HZ - len(sound))))[:count]
    return out


register_task(
    TaskInfo(
        "speech-commands",
        "words of a second, 35 classes",
        "path",
        WHERE,
        load,
        layout=r"(^|/)testing_list\.txt$",
        preset="fsdd",
        rank=4,  # before the spoken digits, whose layout is any WAV file
    )
)
