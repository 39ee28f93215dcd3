"""N-MNIST: digits seen by an event camera (34 x 34 pixels, ON and OFF events, three saccades of about 100 ms).

Get it at https://www.garrickorchard.com/datasets/n-mnist (CC BY-SA 4.0). `path` is the folder with ``Train/<digit>/<id>.bin`` and
``Test/<digit>/<id>.bin``, or a flat folder or zip of ``<id>.bs2`` files with ``train1K.txt`` and ``test100.txt`` (id, label). An
event has five bytes: x, y, and 24 bits of polarity (the top one) and time in microseconds.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.checks import check_not_empty
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.arrays import I64, U8
from simulator.base.errors import InputError
from simulator.base.near import missing_path
from simulator.base.reading import boundary
from simulator.base.unpacking import read_member

SIDE = 34
WHERE = "https://www.garrickorchard.com/datasets/n-mnist"


def load(path: str | Path | None = None, steps: int = 30, duration_ms: float = 315.0, pool: int = 2) -> Task:
    """Load event counts in bins of duration_ms/steps and pool x pool pixels, as graded spikes; ON and OFF apart.

    Args:
        path: the user's copy.
        steps: T.
        duration_ms: later events are dropped.
        pool: pixels a side that share an input (1, 2 or 17).

    Raises:
        InputError: no path, files missing, truncated or with an event outside the sensor, a label above 9.
    """
    if path is None:
        raise InputError("nmnist", "needs a path to the recordings", f"Get them at {WHERE}")
    if SIDE % pool or steps < 1 or duration_ms <= 0:
        raise InputError("nmnist", f"steps {steps}, duration {duration_ms} ms, pool {pool}", "pool must divide 34")
    splits = []
    for split in ("train", "test"):
        found = [(_binned(d, w, steps, duration_ms, pool), y) for w, y, d in _samples(Path(path), split)]
        check_not_empty(len(found), split, str(path))
        splits.append(Split(np.stack([x for x, _ in found]), np.array([y for _, y in found], np.int64)))
    return Task(
        name="nmnist",
        n_classes=10,
        input_scale=1.0,
        train=splits[0],
        test=splits[1],
        loss_steps=late_steps(steps, max(1, steps // 2)),
        decision_steps=late_steps(steps, max(1, steps // 4)),
        facts={
            "source": WHERE,
            "licence": "CC BY-SA 4.0",
            "split": f"{len(splits[0])} train / {len(splits[1])} test"
            + ("" if len(splits[0]) == 60000 else ": a subset, not the official 60,000 / 10,000"),
        },
    )


def read_events(data: bytes, where: str) -> tuple[I64, I64]:
    """Read a recording's bytes -> addresses [n, 3] (x, y, polarity) and times [n] in microseconds.

    Raises:
        InputError: not a multiple of five bytes, an event outside the 34 x 34 sensor.
    """
    if len(data) % 5:
        raise InputError(where, f"has {len(data)} bytes, not a multiple of 5", "It is truncated: copy it again")
    raw = np.frombuffer(data, np.uint8).reshape(-1, 5).astype(np.int64)
    address = np.stack([raw[:, 0], raw[:, 1], raw[:, 2] >> 7], axis=1)
    outside = np.flatnonzero((address[:, :2] >= SIDE).any(1))
    if outside.size:
        x, y, _ = address[outside[0]]
        raise InputError(where, f"event {outside[0]} is at ({x}, {y}), the sensor has {SIDE} x {SIDE} pixels")
    return address, (raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4]


def _binned(data: bytes, where: str, steps: int, duration_ms: float, pool: int) -> U8:
    address, time_us = read_events(data, where)
    step = (time_us * steps / (duration_ms * 1000)).astype(np.int64)
    keep = step < steps
    side = SIDE // pool
    channel = (address[:, 2] * side + address[:, 1] // pool) * side + address[:, 0] // pool
    counts = np.bincount((step * (2 * side * side) + channel)[keep], minlength=steps * 2 * side * side)
    return np.minimum(counts, 255).astype(np.uint8).reshape(steps, -1)


def _samples(path: Path, split: str) -> Iterator[tuple[str, int, bytes]]:
    """Yield (name for messages, label, bytes) of a split, in a fixed order."""
    if not path.exists():
        raise missing_path(path, "Give the folder or zip of N-MNIST")
    if path.is_file():
        with boundary(path, "a whole zip file", "Copy it again"), zipfile.ZipFile(path) as archive:
            yield from _sorted(archive.namelist(), lambda name: read_member(archive, name, str(path)), str(path), split)
        return
    names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.suffix in (".bin", ".bs2", ".txt")]
    yield from _sorted(names, lambda name: (path / name).read_bytes(), str(path), split)


def _sorted(names: list[str], read: Callable[[str], bytes], where: str, split: str) -> Iterator[tuple[str, int, bytes]]:
    official = [(n, m) for n in sorted(names) if (m := re.search(rf"(?i)(?:^|/){split}/(\d+)/\d+\.bin$", n))]
    if official:
        for name, match in official:
            yield f"{where}/{name}", _digit(match[1], f"{where}/{name}"), read(name)
        return
    lists = [n for n in sorted(names) if re.search(rf"(?:^|/){split}[^/]*\.txt$", n)]
    if not lists:
        raise InputError(
            where, f"holds neither {split.title()}/<digit>/<id>.bin nor a list {split}*.txt", f"See {WHERE}"
        )
    folder = lists[0].rpartition("/")[0]
    there = set(names)
    for line in read(lists[0]).decode("utf-8", "replace").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split()
        name = f"{folder}/{fields[0]}.bs2".lstrip("/")
        if name not in there or len(fields) < 2:
            raise InputError(f"{where}/{lists[0]}", f"names {line.strip()!r}, but {name} is not there or has no label")
        yield f"{where}/{name}", _digit(fields[1], f"{where}/{lists[0]}"), read(name)


def _digit(text: str, where: str) -> int:
    if not text.isdigit() or int(text) > 9:
        raise InputError(where, f"the label {text!r} is none of the digits 0 to 9", "The sample is mislabelled")
    return int(text)


register_task(
    TaskInfo(
        "nmnist",
        "N-MNIST, event camera",
        "path",
        "https://www.garrickorchard.com/datasets/n-mnist",
        load,
        layout=r"(\.bs2|(?i:(^|/)test/\d/\d+\.bin))$",
        rank=10,
    )
)
