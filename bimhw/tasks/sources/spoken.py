"""The spoken-digit task: official split or one speaker left out; set-up as in `bimhw.tasks.sources.fsdd`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bimhw.tasks.base import Split, Task
from bimhw.tasks.features.audio import FrontEnd
from bimhw.tasks.features.encoders import graded
from bimhw.tasks.features.warp import warp
from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.fsdd import FRAMES, LABELLED_FROM, load_spoken_digits, pictures, scaler
from bimhw.tasks.sources.sequences import INPUT_SCALE
from simulator.base.errors import InputError

WHERE = "https://github.com/Jakobovski/free-spoken-digit-dataset"


def load(
    path: str | Path | None = None,
    leave_out: str | None = None,
    bands: int = 32,
    warped: int = 0,
    colour: float = 0.0,
    seed: int = 0,
) -> Task:
    """Load 50 frames of 12.5 ms, one a step, `bands` log-mel bands as graded spikes; labels and decision at steps 25..49.

    Args:
        path: folder or zip of the recordings.
        leave_out: a speaker: his 500 recordings are the test split. None: the official split (take 0-4 test, 5-49 train).
        bands: mel bands.
        warped: the train split is so many warped copies of itself (augmentation); 0: itself.
        colour: standard deviation of the warps' colouration, see `bimhw.tasks.features.warp`.
        seed: of the warps.

    Raises:
        InputError: no path, broken recordings, an unknown speaker.
    """
    if path is None:
        raise InputError("fsdd", "needs a path to the recordings (21 MB, CC BY-SA 4.0)", f"Get them at {WHERE}")
    digits = load_spoken_digits(Path(path), FrontEnd(bands=bands))
    parts = digits.official() if leave_out is None else digits.leave_out(leave_out)
    train = np.concatenate([parts["train"], parts["validation"]])
    scale = scaler(digits, train)
    splits = [
        Split((pictures(digits, scale, p) * 16).astype(np.int16), digits.digits[p]) for p in (train, parts["test"])
    ]
    validation = np.arange(len(parts["train"]), len(train))
    judged = None
    if warped:
        judged = splits[0].take(validation)
        splits[0] = _warped(splits[0], warped, colour, seed)
        validation = np.concatenate([validation + k * len(train) for k in range(warped)])
    late = np.arange(FRAMES) >= LABELLED_FROM
    return Task(
        name="fsdd" if leave_out is None else f"fsdd-without-{leave_out}",
        n_classes=10,
        input_scale=INPUT_SCALE,
        train=splits[0],
        test=splits[1],
        loss_steps=late,
        decision_steps=late,
        facts={
            "source": WHERE,
            "licence": "CC BY-SA 4.0",
            "split": "official, takes 0-4 test" if leave_out is None else f"speaker {leave_out} left out",
            "preparation": f"RMS 1 over the file, {bands} log-mel bands, z-score on train, steps of 1/16, first 50 frames",
        },
        validation=validation,
        judged=judged,
    )


def _warped(split: Split, copies: int, colour: float, seed: int) -> Split:
    """Append warped copies one after the other; a picture's pixel is in units of its band's deviation already."""
    pictures = split.x * INPUT_SCALE
    x = [(graded(warp(pictures, seed * 1000 + k, colour=colour)) / INPUT_SCALE).astype(np.int16) for k in range(copies)]
    return Split(np.concatenate(x), np.tile(split.y, copies))


register_task(
    TaskInfo(
        "fsdd",
        "spoken digits, 6 speakers",
        "path",
        "https://github.com/Jakobovski/free-spoken-digit-dataset",
        load,
        layout=r"\d_[a-z]+_\d+\.wav$",
        preset="fsdd",
        rank=5,
    )
)
