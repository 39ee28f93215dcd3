"""CHB-MIT scalp EEG (PhysioNet chbmit 1.0.0, ODC-BY 1.0): windows with and without a seizure.

Get it at https://physionet.org/content/chbmit/1.0.0/ . `path` holds ``chb01`` .. ``chb24``, each with EDF files of usually one
hour, a ``chbNN-summary.txt`` and, beside files with seizures, ``<file>.edf.seizures``. There is no official split: here one
case is left out, or, with a single case there, its last records; no record, and no window of one, is in two splits. Where there
are too few records for that, each is cut in time, which judges nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bimhw.tasks.base import Task
from bimhw.tasks.checks import check_finite, check_folder, extra
from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.sequences import Part, graded_task
from bimhw.tasks.sources.wfdb_files import pick_channels, read_marks
from simulator.base.arrays import F32, I64, AnyFloats
from simulator.base.errors import InputError
from simulator.base.reading import boundary, read_bytes, unheard

WHERE = "https://physionet.org/content/chbmit/1.0.0/"
RATE_HZ = 256
_AT_ONCE = 600 * RATE_HZ  # samples of a channel that are held at once: whole blocks
# The bipolar double banana that nearly all records share.
CHANNELS = (
    *("FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4"),
    *("F4-C4", "C4-P4", "P4-O2", "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "FZ-CZ", "CZ-PZ"),
)
_SEIZURE = re.compile(r"Seizure\s*(\d+\s*)?(Start|End) Time:\s*(\d+)\s*seconds")

Seizures = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Windows:
    """Windows of one record: steps [n, T, 2 M], 1 where a seizure covers at least half of it."""

    case: str
    record: str
    steps: F32
    labels: I64


def load(
    path: str | Path | None = None,
    test_case: str | None = None,
    cases: Sequence[str] | None = None,
    window_s: float = 4.0,
    blocks_per_second: int = 16,
    channels: Sequence[str] = CHANNELS,
) -> Task:
    """Load seizure windows against the rest, judged by AUC-ROC and AUC-PR.

    A step is a block of 1 / blocks_per_second; its inputs are each channel's mean and log line length (mean absolute
    difference; Esteller et al., IEEE EMBS 2001). A window that a seizure covers by less than half is left out.

    Args:
        path: the user's copy.
        test_case: the case left out (``chb24``); None: the last one. With a single case there: its last records.
        cases: use these only.
        window_s: length of a window in seconds.
        blocks_per_second: steps a second; must divide 256.
        channels: EEG derivations by name.

    Raises:
        InputError: no path, broken or mislabelled files, a missing channel, NaN, no seizure there at all.
    """
    if path is None:
        raise InputError("chbmit", "needs a path (EDF files, ODC-BY 1.0)", f"Get them at {WHERE}")
    if RATE_HZ % blocks_per_second or window_s * blocks_per_second < 2:
        raise InputError(
            "chbmit", f"{blocks_per_second} blocks a second, window {window_s} s", "Blocks must divide 256"
        )
    where, chosen = Path(path), None if cases is None else tuple(cases)
    found = _held(where, chosen, window_s, blocks_per_second, tuple(channels), _stamps(where))
    split = _split(found, test_case)
    parts = [_part(p, name, str(path), split.makeshift) for p, name in ((split.train, "train"), (split.test, "test"))]
    facts = {"source": WHERE, "licence": "ODC-BY 1.0", "split": f"{split.how}; there is no official one"}
    task = graded_task(
        "chbmit",
        parts[0],
        parts[1],
        2,
        facts,
        decision_share=0.5,
        validation=None if split.makeshift else _validation(split.train),
        metric="auc",
    )
    return replace(task, makeshift=split.makeshift, window_s=window_s)


Stamps = tuple[tuple[str, int], ...]


def _stamps(path: Path) -> Stamps:
    return tuple(sorted((str(p), p.stat().st_mtime_ns) for p in path.rglob("chb*") if p.is_file()))


@lru_cache(maxsize=1)
def _held(
    path: Path, cases: tuple[str, ...] | None, window_s: float, blocks: int, channels: tuple[str, ...], stamps: Stamps
) -> list[Windows]:
    """Return `read_windows`, kept until other ones are read: leaving out case after case reads a folder once."""
    return read_windows(path, cases, window_s, blocks, channels)


def read_windows(
    path: Path, cases: Sequence[str] | None, window_s: float, blocks_per_second: int, channels: Sequence[str]
) -> list[Windows]:
    """Read the windows of all records, in the order of cases and records.

    Raises:
        InputError: as `load`.
    """
    check_folder(path, "chb01 .. chb24, each with EDF files and a summary")
    folders = [path] if any(path.glob("*-summary.txt")) else sorted(p for p in path.glob("chb*") if p.is_dir())
    folders = [f for f in folders if cases is None or f.name in cases]
    found: list[Windows] = []
    for folder in folders:
        listed = read_summary(_summary(folder))
        for name, seizures in listed.items():
            if (folder / name).is_file():
                found.append(_windows(folder, name, seizures, window_s, blocks_per_second, channels))
    if not found:
        raise InputError(str(path), "holds no EDF file that a summary names", f"See {WHERE}")
    return found


def read_summary(path: Path) -> dict[str, Seizures]:
    """Read ``chbNN-summary.txt`` -> seizures (start, end) in seconds of each EDF file named there.

    Raises:
        InputError: not such a file, or a count of seizures that differs from those listed.
    """
    listed: dict[str, list[tuple[str, int]]] = {}
    counts: dict[str, int] = {}
    name = ""
    with boundary(path, "a summary of CHB-MIT", "It is cut or altered: copy it again"):
        for line in read_bytes(path, 2**26).decode("utf-8", "replace").splitlines():
            if line.startswith("File Name:"):
                name = line.partition(":")[2].strip()
                listed[name] = []
            elif line.startswith("Number of Seizures in File:") and name:
                counts[name] = int(line.partition(":")[2])
            elif (match := _SEIZURE.search(line)) and name:
                listed[name].append((match[2], int(match[3])))
    if not listed:
        raise InputError(str(path), "names no file", "It is truncated: copy it again")
    return {name: _pairs(marks, counts.get(name), f"{path}: {name}") for name, marks in listed.items()}


def _pairs(marks: list[tuple[str, int]], count: int | None, where: str) -> Seizures:
    starts, ends = [t for kind, t in marks if kind == "Start"], [t for kind, t in marks if kind == "End"]
    if len(starts) != len(ends) or count != len(starts) or any(a >= b for a, b in zip(starts, ends, strict=True)):
        raise InputError(
            where, f"{count} seizures announced, starts {starts}, ends {ends}", "The summary is cut or altered"
        )
    return tuple(zip(starts, ends, strict=True))


def read_edf(
    path: Path, channels: Sequence[str], made: Callable[[AnyFloats], AnyFloats]
) -> tuple[list[AnyFloats], int]:
    """Return what is made of ten minutes [T, len(channels)] in microvolt at a time, and the samples of a channel.

    Raises:
        InputError: truncated, not EDF, a missing channel, another sampling rate, NaN.
        MissingExtraError: pyedflib is not installed.
    """
    pyedflib = extra("pyedflib", "reading EDF files")
    parts: list[AnyFloats] = []
    with boundary(path, "a whole EDF file", "Copy it again"), unheard(), pyedflib.EdfReader(str(path)) as file:
        at = pick_channels([label.strip() for label in file.getSignalLabels()], channels, str(path))
        rates = {float(file.getSampleFrequency(i)) for i in at}
        if rates != {RATE_HZ}:
            raise InputError(str(path), f"is sampled at {sorted(rates)} Hz, must be {RATE_HZ} Hz")
        samples = min(int(file.getNSamples()[i]) for i in at)
        for start in range(0, samples, _AT_ONCE):
            columns = [file.readSignal(i, start, min(_AT_ONCE, samples - start)) for i in at]
            signal = np.stack(columns, axis=1).astype(np.float64, copy=False)
            check_finite(signal, str(path))
            parts.append(made(signal))
    return parts, samples


def _windows(
    folder: Path, name: str, seizures: Seizures, window_s: float, blocks_per_second: int, channels: Sequence[str]
) -> Windows:
    _check_annotations(folder / name, seizures)
    parts, samples = read_edf(folder / name, channels, lambda signal: _steps(signal, RATE_HZ // blocks_per_second))
    seconds, steps = samples / RATE_HZ, np.concatenate(parts)
    if any(end > seconds for _, end in seizures):
        raise InputError(
            str(folder / name), f"lasts {seconds:.0f} s, its seizures {seizures} end later", "It is mislabelled"
        )
    per_window = round(window_s * blocks_per_second)
    count = len(steps) // per_window
    covered = np.array([_covered(i * window_s, (i + 1) * window_s, seizures) for i in range(count)])
    keep = (covered == 0) | (covered >= 0.5 * window_s)
    shaped = steps[: count * per_window].reshape(count, per_window, -1)
    return Windows(folder.name, name, shaped[keep], (covered[keep] > 0).astype(np.int64))


def _steps(signal: AnyFloats, size: int) -> AnyFloats:
    """Return mean and log line length of each block of `size` samples: [T, M] -> [blocks, 2 M]."""
    blocks = signal[: len(signal) // size * size].reshape(-1, size, signal.shape[1])
    length = np.abs(np.diff(blocks, axis=1)).mean(1)
    return np.asarray(np.concatenate([blocks.mean(1), np.log(length + 0.1)], axis=1), np.float32)


def _covered(start: float, end: float, seizures: Seizures) -> float:
    return float(sum(max(0.0, min(end, b) - max(start, a)) for a, b in seizures))


def _check_annotations(edf: Path, seizures: Seizures) -> None:
    """Check that the ``.seizures`` file, where it is there, agrees with the summary."""
    file = edf.with_name(edf.name + ".seizures")
    if not file.is_file():
        if seizures:
            raise InputError(
                str(file), "does not exist, though the summary names seizures", "Copy it beside the EDF file"
            )
        return
    marks = read_marks(edf, "seizures")
    seconds = [round(float(s) / RATE_HZ) for s in marks.samples]
    pairs = tuple(zip(seconds[::2], seconds[1::2], strict=False))
    if set(marks.symbols) - {"[", "]"} or pairs != seizures:
        raise InputError(str(file), f"marks seizures {pairs}, the summary {seizures}", "One of the two is mislabelled")


def _summary(folder: Path) -> Path:
    found = sorted(folder.glob("*-summary.txt"))
    if not found:
        raise InputError(str(folder), "holds no *-summary.txt", f"Copy it from {WHERE}")
    return found[0]


class _Parts(NamedTuple):
    """Records to learn from and to judge by, how they were split, and why that judges nothing ("": it judges)."""

    train: list[Windows]
    test: list[Windows]
    how: str
    makeshift: str = ""

    @property
    def able(self) -> bool:
        """Both parts have windows with and without a seizure."""
        return all(len({int(label) for w in part for label in w.labels}) == 2 for part in (self.train, self.test))


def _split(found: list[Windows], test_case: str | None) -> _Parts:
    """Leave a case out: the named one, else the last that can be judged by; of one case alone its last records.

    Raises:
        InputError: no such case.
    """
    names = sorted({w.case for w in found})
    if test_case is not None and test_case not in names:
        raise InputError("test_case", f"{test_case!r} is not there", f"There are: {', '.join(names)}")
    if len(names) > 1:
        tried = [_without(found, [w for w in found if w.case == n], f"case {n} left out") for n in reversed(names)]
        if test_case is not None:
            return tried[names[::-1].index(test_case)]
    else:
        tried = [_without(found, _last_records(found), f"one case ({names[0]}): its last records")]
    if able := [parts for parts in tried if parts.able]:
        return able[0]
    if len({int(label) for w in found for label in w.labels}) < 2:
        return tried[0]
    reason = "judges nothing: there are too few records with and without a seizure, so that each is learnt from up to its middle"
    return _Parts(_cut_in_time(found), _cut_in_time(found, later=True), "each record cut in time", reason)


def _without(found: list[Windows], test: list[Windows], how: str) -> _Parts:
    return _Parts([w for w in found if all(w is not t for t in test)], test, how)


def _last_records(found: list[Windows]) -> list[Windows]:
    """Return the last third (at least one) of the records with seizures, and of those without."""
    with_seizures = [w for w in found if w.labels.any()]
    without = [w for w in found if not w.labels.any()]
    return [w for group in (with_seizures, without) for w in group[len(group) - max(1, len(group) // 3) :]]


def _cut_in_time(windows: list[Windows], later: bool = False) -> list[Windows]:
    """Return each record up to the middle of its windows, or what is later; a record with seizures up to the middle of those."""
    out = []
    for w in windows:
        seizures = np.flatnonzero(w.labels)
        middle = int(seizures[(len(seizures) - 1) // 2]) + 1 if len(seizures) else -(-len(w.labels) // 2)
        middle = min(middle, max(len(w.labels) - 1, 1))  # something is left to be shown
        part = slice(middle, None) if later else slice(0, middle)
        out.append(replace(w, steps=w.steps[part], labels=w.labels[part]))
    return out


def _validation(train: list[Windows]) -> I64:
    """Return the positions of the windows of the train part's last records: whole records, as in the test split."""
    held = _last_records(train)
    inside = [np.full(len(w.labels), any(w is h for h in held)) for w in train]
    return np.flatnonzero(np.concatenate(inside))


def _part(windows: list[Windows], split: str, where: str, makeshift: str) -> Part:
    steps = [s for w in windows for s in w.steps]
    labels = np.concatenate([w.labels for w in windows]) if windows else np.zeros(0, np.int64)
    if not makeshift and len(set(labels.tolist())) < 2:
        raise InputError(
            where,
            f"the {split} split has {int(labels.sum())} seizure windows of {len(labels)}: an AUC needs both kinds",
            "Give more records or cases, or another test_case",
        )
    return Part(steps, labels)


def folder_facts(path: Path) -> dict[str, Any]:
    """Return figures of a folder of recordings."""
    found = read_windows(path, None, 4.0, 16, CHANNELS)
    return {
        "cases": len({w.case for w in found}),
        "records": len(found),
        "windows of 4 s": sum(len(w.labels) for w in found),
        "seizure windows": sum(int(w.labels.sum()) for w in found),
    }


register_task(
    TaskInfo(
        "chbmit",
        "EEG, seizure windows",
        "path",
        "https://physionet.org/content/chbmit/1.0.0/",
        load,
        layout=r"-summary\.txt$",
        check=folder_facts,
        preset="series",
        rank=14,
    )
)
