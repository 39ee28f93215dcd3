"""PTB-XL: 21,799 twelve-lead ECGs of ten seconds (Wagner et al., Scientific Data 7 (2020) 154; CC BY 4.0).

Get it at https://physionet.org/content/ptb-xl/1.0.3/ . `path` holds ``ptbxl_database.csv``, ``scp_statements.csv`` and
``records100/`` (or ``records500/``). Official folds: 1-8 train, 9 validation, 10 test. Labels: the diagnostic superclasses
NORM, MI, STTC, CD, HYP of each record's statements (any likelihood), as in the data's paper; several may hold at once.
"""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.tasks.base import Task
from bimhw.tasks.checks import check_folder, check_not_empty, read_utf8
from bimhw.tasks.registry import TaskInfo, register_task
from bimhw.tasks.sources.sequences import Part, graded_task
from bimhw.tasks.sources.wfdb_files import read_record
from simulator.base.arrays import F32, I64, Bools
from simulator.base.errors import InputError

WHERE = "https://physionet.org/content/ptb-xl/1.0.3/"
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True)
class Electrocardiograms:
    """Records with at least one superclass.

    Attributes:
        signals: [n, T, 12] mV.
        labels: [n, 5] bool, in the order of `SUPERCLASSES`.
        folds: [n] in 1..10.
        patients: [n] patient numbers; all records of a patient lie in one fold.
    """

    signals: F32
    labels: Bools
    folds: I64
    patients: I64


def load(path: str | Path | None = None, labels: str = "norm", rate_hz: int = 100, steps: int | None = 250) -> Task:
    """Load PTB-XL with one label a record: folds 1-8 train, 9 judges settings (never learnt from), 10 is the test split.

    Args:
        path: the user's copy.
        labels: ``norm``: NORM alone (class 0) against any other superclass (class 1), judged by AUC. ``all``: the five
            superclasses at once, each there or not, judged by the mean of the five AUCs (macro AUC) as the benchmark of the
            data's authors is. ``superclass``: the five as classes, records with exactly one of them. The name of a superclass
            (``MI``): whether a record has it (class 1) among all it may have, judged by AUC.
        rate_hz: 100 or 500.
        steps: block means to so many steps; None: all samples.

    A copy without any record in folds 1-8 is learnt from in what it has (fold 9, else fold 10), and judges nothing.

    Raises:
        InputError: no path, missing or broken files, no record in fold 10, an unknown kind of label.
    """
    if path is None:
        raise InputError("ptbxl", "needs a path (1.7 GB at 100 Hz, CC BY 4.0)", f"Get it at {WHERE}")
    data = read_records(Path(path), rate_hz)
    keep, classes = _classes(data.labels, labels)
    masks, split, makeshift = _folds(data.folds, keep, f"ptbxl-{labels}")
    train, judged, test = (Part(list(data.signals[m]), classes[m].astype(np.int64)) for m in masks)
    metric = {"superclass": "accuracy", "all": "macro_auc"}.get(labels, "auc")
    facts = {"source": WHERE, "licence": "CC BY 4.0", "split": split}
    unseen = Part([*judged.series, *test.series], np.concatenate([judged.labels, test.labels]))
    task = graded_task(
        f"ptbxl-{labels}",
        train,
        unseen,
        2 if metric == "auc" else len(SUPERCLASSES),
        facts,
        steps=steps,
        metric=metric,
    )
    cut = len(judged.series)
    return replace(
        task,
        test=task.test.take(slice(cut, None)),
        judged=task.test.take(slice(0, cut)) if cut else None,
        makeshift=makeshift,
    )


Masks = list[Bools]


def _folds(folds: I64, keep: Bools, where: str) -> tuple[Masks, str, str]:
    """Return the records of training, validation and test part, the split in words, and why it is makeshift ("": it is not)."""
    masks = [keep & chosen for chosen in (folds <= 8, folds == 9, folds == 10)]
    check_not_empty(int(masks[2].sum()), "test", f"{where}, fold 10")
    if masks[0].any():
        return masks, "official folds 1-8 train, 9 validation, 10 test", ""
    learnt = 9 if masks[1].any() else 10
    reason = f"judges nothing: the copy has no record in folds 1-8, so that fold {learnt} is learnt from"
    return [masks[learnt - 8], np.zeros_like(keep), masks[2]], f"fold {learnt} train, 10 test: not official", reason


def _classes(labels: Bools, kind: str) -> tuple[Bools, I64]:
    """Return which records are kept, and the class of each."""
    everyone = np.ones(len(labels), np.bool_)
    if kind == "norm":
        return everyone, (~labels[:, 0] | labels[:, 1:].any(1)).astype(np.int64)
    if kind == "all":
        return everyone, labels.astype(np.int64)
    if kind == "superclass":
        return labels.sum(1) == 1, labels.argmax(1).astype(np.int64)
    if kind in SUPERCLASSES:
        return everyone, labels[:, SUPERCLASSES.index(kind)].astype(np.int64)
    raise InputError(
        "labels", f"{kind!r} is not known", f"Choose norm, all, superclass or one of {', '.join(SUPERCLASSES)}"
    )


def read_records(path: Path, rate_hz: int = 100) -> Electrocardiograms:
    """Read all records of the user's copy that carry a superclass.

    Raises:
        InputError: missing or broken files, a missing lead, NaN, a statement or fold that does not exist, no record.
    """
    check_folder(path, "ptbxl_database.csv, scp_statements.csv and records100")
    if rate_hz not in (100, 500):
        raise InputError("ptbxl", f"rate {rate_hz} Hz", "The records are there at 100 and 500 Hz")
    classes = _statements(path / "scp_statements.csv")
    column = "filename_lr" if rate_hz == 100 else "filename_hr"
    signals, labels, folds, patients = [], [], [], []
    for where, row in _rows(path / "ptbxl_database.csv", ("scp_codes", "strat_fold", "patient_id", column)):
        found = _superclasses(row["scp_codes"], classes, where)
        if not found:
            continue
        record = read_record(path / row[column], LEADS)
        if record.rate_hz != rate_hz or len(record.signal) != 10 * rate_hz:
            raise InputError(
                str(path / row[column]), f"{len(record.signal)} samples at {record.rate_hz} Hz, must be 10 s"
            )
        signals.append(record.signal.astype(np.float32))
        labels.append([c in found for c in SUPERCLASSES])
        folds.append(_fold(row["strat_fold"], where))
        patients.append(int(float(row["patient_id"])))
    check_not_empty(len(signals), "all", str(path))
    return Electrocardiograms(np.stack(signals), np.array(labels), np.array(folds), np.array(patients))


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(read_utf8(path), newline=""))
    missing = [n for n in needed if n not in (reader.fieldnames or ())]
    if missing:
        raise InputError(str(path), f"has no column {missing[0]!r}", "It is not the table of PTB-XL, or truncated")
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        if any(row[n] is None for n in needed):
            raise InputError(where, "is cut", "The table is truncated: copy it again")
        yield where, row


def _statements(path: Path) -> dict[str, str]:
    """Return statement -> superclass, '' where it is no diagnosis."""
    reader = csv.reader(io.StringIO(read_utf8(path), newline=""))
    header = next(reader, [])
    if "diagnostic" not in header or "diagnostic_class" not in header:
        raise InputError(str(path), "has no columns diagnostic and diagnostic_class", "Copy it again")
    is_diagnosis, name = header.index("diagnostic"), header.index("diagnostic_class")
    return {row[0]: row[name] if row[is_diagnosis] == "1.0" else "" for row in reader if len(row) > name}


def _superclasses(text: str, classes: dict[str, str], where: str) -> set[str]:
    try:
        codes = ast.literal_eval(text)
        known = {classes[code] for code in codes}
    except (ValueError, SyntaxError, TypeError) as error:
        raise InputError(where, f"scp_codes {text[:60]!r} is not a dictionary of statements") from error
    except KeyError as error:
        raise InputError(
            where, f"the statement {error} is not in scp_statements.csv", "The row is mislabelled"
        ) from error
    strange = known - {"", *SUPERCLASSES}
    if strange:
        raise InputError(where, f"the superclass {strange.pop()!r} is none of {', '.join(SUPERCLASSES)}")
    return known - {""}


def _fold(text: str, where: str) -> int:
    try:
        fold = int(float(text))
    except ValueError:
        fold = 0
    if not 1 <= fold <= 10:
        raise InputError(where, f"strat_fold {text!r} is not in 1..10", "The row is cut or altered")
    return fold


def folder_facts(path: Path) -> dict[str, Any]:
    """Return figures of the records, by fold and superclass."""
    found = read_records(path)
    return {
        "records": len(found.folds),
        "patients": len(set(found.patients.tolist())),
        "folds 1 to 10": " ".join(str(n) for n in np.bincount(found.folds, minlength=11)[1:]),
        **{f"records with {name}": int(found.labels[:, k].sum()) for k, name in enumerate(SUPERCLASSES)},
    }


register_task(
    TaskInfo(
        "ptbxl",
        "12-lead ECG, NORM or rest, 5 superclasses",
        "path",
        "https://physionet.org/content/ptb-xl/1.0.3/",
        load,
        layout=r"ptbxl_database\.csv$",
        check=folder_facts,
        preset="series",
        rank=13,
    )
)
