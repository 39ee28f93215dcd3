"""Long Range Arena (Tay et al., ICLR 2021): ListOps, bytes of reviews, pairs of documents, grey pictures, connected dots.

Each is read from the files of its official release (ListOps, retrieval and Pathfinder: lra_release.gz at
https://github.com/google-research/long-range-arena), the reviews from aclImdb, the pictures from CIFAR-10's binary version.
Symbols are one-hot spikes. Bytes are their eight bits as spikes, since a channel a byte would need 32 times the memory: the
reference's learnt embedding of bytes is not there.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.checks import check_folder, check_labels, check_not_empty, extra, read_utf8
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.arrays import U8
from simulator.base.errors import InputError
from simulator.base.reading import boundary, read_bytes

WHERE = "https://github.com/google-research/long-range-arena"
LISTOPS = ("[MIN", "[MAX", "[MED", "[SM", "]", *"0123456789")
Inputs = U8
Sample = tuple[Inputs, int]
_IMAGE = 1 + 3 * 1024  # bytes of a picture of CIFAR-10 with its label


def listops(path: str | Path | None = None, steps: int = 2000, most: int | None = None) -> Task:
    """Load ListOps: nested lists of MIN, MAX, MED and SM, ten classes; ``basic_{train,val,test}.tsv``.

    Round brackets, which carry nothing, are left out, as in the reference. An expression is padded in front.

    Args:
        path: folder of the three files.
        steps: longest expression (500 to 2,000 symbols in the release).
        most: at most so many rows of each file (a training row takes 15 bytes a step).
    """
    return _three("lra-listops", path, "basic_{}.tsv", 10, most, lambda file: _expressions(file, steps))


def _expressions(file: Path, steps: int) -> Iterator[Sample]:
    index = {symbol: i for i, symbol in enumerate(LISTOPS)}
    for number, (source, target) in _rows(file, 2):
        if number == 1 and target == "Target":
            continue
        where = f"{file}, line {number}"
        symbols = [s for s in source.split() if s not in "()"]
        strange = [s for s in symbols if s not in index]
        if strange or target not in [str(d) for d in range(10)]:
            raise InputError(where, f"holds {(strange or [target])[0]!r}", "It is no row of ListOps")
        yield _one_hot([index[s] for s in symbols], steps, len(LISTOPS), where), int(target)


def retrieval(path: str | Path | None = None, steps: int = 4000, most: int | None = None) -> Task:
    """Load document pairs (AAN): does one cite the other; ``new_aan_pairs.{train,eval,test}.tsv``: label, two ids, two texts.

    The two documents follow one another, each cut to so many bytes and padded in front.

    Args:
        path: folder of the three files.
        steps: bytes of a document that are read.
        most: at most so many rows of each file (a row takes 16 bytes a step).
    """

    def rows(file: Path) -> Iterator[Sample]:
        for number, (label, _, _, first, second) in _rows(file, 5):
            if label not in ("0", "1", "0.0", "1.0"):
                raise InputError(f"{file}, line {number}", f"has the label {label!r}", "Labels are 0 and 1")
            yield np.concatenate([_bits(text.encode(), steps) for text in (first, second)]), int(float(label))

    return _three("lra-retrieval", path, "new_aan_pairs.{}.tsv", 2, most, rows)


def text(path: str | Path | None = None, steps: int = 4000, most: int | None = None) -> Task:
    """Load the bytes of film reviews (IMDb, Maas et al. 2011): good or bad; ``aclImdb/{train,test}/{pos,neg}/*.txt``.

    Args:
        path: ``aclImdb`` or the folder above it.
        steps: bytes of a review that are read; a shorter one is padded in front.
        most: at most so many reviews of each part and class.
    """
    root = _root(path, "lra-text", "https://ai.stanford.edu/~amaas/data/sentiment", "aclImdb")
    splits = []
    for part in ("train", "test"):
        check_folder(root / part, "pos and neg")
        both = [sorted((root / part / side).glob("*.txt"))[:most] for side in ("neg", "pos")]
        samples = [(_bits(read_utf8(f).encode(), steps), label) for label, files in enumerate(both) for f in files]
        splits.append(_split(samples, 2, f"{root}, {part}"))
    facts = {
        "source": "IMDb reviews (Maas et al. 2011)",
        "split": "official 25,000 / 25,000; settings on a tenth of the training part",
    }
    return _task("lra-text", splits, 2, facts)


def image(path: str | Path | None = None, most: int | None = None) -> Task:
    """Load CIFAR-10 in grey, a pixel a step (1,024): ``data_batch_{1..5}.bin`` and ``test_batch.bin`` of the binary version.

    Args:
        path: ``cifar-10-batches-bin`` or the folder above it.
        most: at most so many pictures of each file.
    """
    root = _root(
        path, "lra-image", "https://www.cs.toronto.edu/~kriz/cifar.html (binary version)", "cifar-10-batches-bin"
    )
    groups = (sorted(root.glob("data_batch_*.bin")), sorted(root.glob("test_batch.bin")))
    if not all(groups):
        raise InputError(str(root), "holds no data_batch_*.bin and test_batch.bin", "Take the binary version")
    splits = [_joined([_pictures(file, most) for file in files]) for files in groups]
    facts = {"source": "CIFAR-10 (Krizhevsky 2009), grey", "split": "official 50,000 / 10,000"}
    return _task("lra-image", splits, 10, facts, 1 / 255)


def _pictures(file: Path, most: int | None) -> Split:
    data = np.frombuffer(read_bytes(file, 2**28), np.uint8)
    if not len(data) or len(data) % _IMAGE:
        raise InputError(
            str(file), f"holds {len(data)} bytes, no multiple of {_IMAGE}", "It is truncated: copy it again"
        )
    rows = data.reshape(-1, _IMAGE)[:most]
    labels = rows[:, 0].astype(np.int64)
    check_labels(labels, 10, str(file))
    grey = np.rint(rows[:, 1:].reshape(-1, 3, 1024).transpose(0, 2, 1) @ np.array([0.299, 0.587, 0.114]))
    return Split(grey.astype(np.uint8)[..., None], labels)


def pathfinder(path: str | Path | None = None, level: str = "curv_contour_length_14", most: int | None = None) -> Task:
    """Load Pathfinder: are two dots joined by a line; 32 x 32 grey pictures, a pixel a step.

    The release has no split: of the pictures in the order of their lists, a seeded tenth judges settings and another is the test.

    Args:
        path: ``pathfinder32``, or another size, which sets the steps.
        level: ``curv_baseline``, ``curv_contour_length_9`` or ``curv_contour_length_14``, the hardest and the usual one.
        most: at most so many pictures.
    """
    root = _root(path, "lra-pathfinder", WHERE, "pathfinder32")
    lists = sorted((root / level / "metadata").glob("*.npy"), key=lambda p: (len(p.name), p.name))
    if not lists:
        raise InputError(str(root / level), "holds no metadata/*.npy", "Give pathfinder32, and a level that is there")
    samples = []
    for file in lists:  # text, whatever their ending says
        for number, line in enumerate(read_utf8(file).splitlines(), 1):
            fields = line.split()
            if len(fields) < 4 or fields[3] not in ("0", "1"):
                raise InputError(f"{file}, line {number}", f"{line[:60]!r} is no picture with a label", "Copy it again")
            samples.append((root / level / fields[0] / fields[1], int(fields[3])))
    order = np.random.default_rng(0).permutation(len(samples))[:most]
    tenth = max(1, len(order) // 10)
    parts = [order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth]]
    splits = [_split([(_grey(samples[i][0]), samples[i][1]) for i in part], 2, str(root)) for part in parts]
    facts = {"source": f"{WHERE}, {level}", "split": "none is official: seeded 80 / 10 / 10"}
    return replace(_task("lra-pathfinder", [splits[0], splits[2]], 2, facts, 1 / 255), judged=splits[1])


def _grey(file: Path) -> Inputs:
    pillow = extra("PIL.Image", "reading pictures")
    with boundary(file, "a grey picture", "Copy it again"), pillow.open(file) as picture:
        return np.asarray(picture.convert("L"), np.uint8).reshape(-1, 1)


def _rows(file: Path, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Return the lines of a table between tabs, with their numbers."""
    csv.field_size_limit(2**27)
    for number, row in enumerate(csv.reader(read_utf8(file).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE), 1):
        if len(row) != columns:
            raise InputError(
                f"{file}, line {number}", f"has {len(row)} columns, must have {columns}", "It is cut or another file"
            )
        yield number, row


def _one_hot(symbols: Sequence[int], steps: int, size: int, where: str) -> Inputs:
    if not 0 < len(symbols) <= steps:
        raise InputError(
            where, f"has {len(symbols)} symbols, steps is {steps}", f"Give --task-option steps={len(symbols)}"
        )
    out = np.zeros((steps, size), np.uint8)
    out[np.arange(steps - len(symbols), steps), symbols] = 1
    return out


def _bits(data: bytes, steps: int) -> Inputs:
    """Return the bits [steps, 8] of the first bytes, silence in front."""
    bits = np.unpackbits(np.frombuffer(data[:steps], np.uint8)[:, None], axis=1)
    return np.concatenate([np.zeros((steps - len(bits), 8), np.uint8), bits])


def _root(path: str | Path | None, name: str, where: str, inner: str) -> Path:
    if path is None:
        raise InputError(name, "needs a path", f"Get it at {where}")
    root = Path(path)
    check_folder(root, inner)
    return root / inner if (root / inner).is_dir() else root


def _three(
    name: str,
    path: str | Path | None,
    pattern: str,
    classes: int,
    most: int | None,
    read: Callable[[Path], Iterator[Sample]],
) -> Task:
    """Load a set of three tables: the middle one (``val`` or ``eval``) judges settings and is never learnt from."""
    root = _root(path, name, WHERE, "lra_release")
    middle = "eval" if "aan" in pattern else "val"
    splits = []
    for part in ("train", middle, "test"):
        found = sorted(root.rglob(pattern.format(part)))
        if not found:
            raise InputError(str(root), f"holds no {pattern.format(part)}", f"Get it at {WHERE}")
        splits.append(
            _split([s for s, _ in zip(read(found[0]), range(most or 2**40), strict=False)], classes, str(found[0]))
        )
    facts = {"source": WHERE, "split": f"official train / {middle} / test"}
    return replace(_task(name, [splits[0], splits[2]], classes, facts), judged=splits[1])


def _split(samples: Sequence[Sample], classes: int, where: str) -> Split:
    check_not_empty(len(samples), "this", where)
    labels = np.array([label for _, label in samples], np.int64)
    check_labels(labels, classes, where)
    return Split(np.stack([x for x, _ in samples]), labels)


def _joined(splits: Sequence[Split]) -> Split:
    return Split(np.concatenate([s.x for s in splits]), np.concatenate([s.y for s in splits]))


def _task(name: str, splits: Sequence[Split], classes: int, facts: dict[str, str], scale: float = 1.0) -> Task:
    """Make a task whose last tenth of steps carries the label and decides."""
    train, test = splits
    late = late_steps(train.x.shape[1], max(1, train.x.shape[1] // 10))
    return Task(name, classes, scale, train, test, late, late, facts)


for _name, _what, _load, _layout in (
    ("lra-listops", "nested lists, 10 classes, 2,000 steps", listops, r"basic_test\.tsv$"),
    ("lra-text", "bytes of film reviews, 4,000 steps", text, r"test/pos/\d+_\d+\.txt$"),
    ("lra-retrieval", "pairs of documents by bytes, 8,000 steps", retrieval, r"new_aan_pairs\.test\.tsv$"),
    ("lra-image", "grey CIFAR-10, a pixel a step", image, r"test_batch\.bin$"),
    ("lra-pathfinder", "two dots joined or not, a pixel a step", pathfinder, r"metadata/\d+\.npy$"),
):
    register_task(TaskInfo(_name, _what, "path", WHERE, _load, layout=_layout, preset="series", rank=10))
