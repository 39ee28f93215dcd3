"""Reader of the UCR/UEA time-series archive: ``.ts`` (also ``.ts.gz``), ``.tsv`` and ``.arff``.

``.ts``: a header of ``@key value`` lines, then one sample a line, its dimensions separated by ``:``, values by ``,``, the label
last. ``.tsv``: one univariate sample a line, the label first. ``.arff``: the UEA form, one quoted field with ``\\n`` between
dimensions. Source: https://www.timeseriesclassification.com and the file specifications of the aeon toolkit.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bimhw.tasks.checks import check_finite, class_index
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError
from simulator.base.reading import boundary, check_is_file
from simulator.base.unpacking import read_maybe_gzip


@dataclass(frozen=True)
class Recordings:
    """Samples of an archive file: ``series[i]`` is [T_i, M] float64, ``labels[i]`` an index into ``classes``."""

    series: tuple[Floats, ...]
    labels: I64
    classes: tuple[str, ...]


def read_recordings(path: Path) -> Recordings:
    """Read an archive file; the form follows from its suffix.

    Raises:
        InputError: no such file, truncated, a ragged sample, a label outside the classes, a missing value, no sample.
    """
    check_is_file(path)
    name = path.name.removesuffix(".gz")
    readers = {".ts": _read_ts, ".tsv": _read_tsv, ".arff": _read_arff}
    suffix = Path(name).suffix
    if suffix not in readers:
        raise InputError(str(path), f"has the ending {suffix!r}", f"Known are {', '.join(readers)} (also with .gz)")
    with boundary(path, f"a whole {suffix} file", "Copy it again"):
        recordings = readers[suffix](path, _lines(path))
    if not recordings.series:
        raise InputError(str(path), "holds no sample", "Copy it again: it is truncated or empty")
    return recordings


def _lines(path: Path) -> list[str]:
    try:
        return read_maybe_gzip(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(str(path), f"is not a text file ({error.reason} at byte {error.start})") from error


def _read_ts(path: Path, lines: list[str]) -> Recordings:
    start = _data_line(path, lines)
    fields = [line[1:].split() for line in lines[:start] if line.startswith("@") and line[1:].split()]
    header = {key.lower(): values for key, *values in fields}
    classes = tuple(header.get("classlabel", [])[1:])
    if not classes:
        raise InputError(str(path), "its @classLabel line names no class", "A classification set is needed")
    width = int(header["dimensions"][0]) if "dimensions" in header else None
    samples = [
        _ts_sample(f"{path}, line {i + 1}", line, width, classes)
        for i, line in enumerate(lines[start + 1 :], start + 1)
        if line.strip()
    ]
    return Recordings(tuple(s for s, _ in samples), np.array([y for _, y in samples], np.int64), classes)


def _data_line(path: Path, lines: list[str]) -> int:
    for number, line in enumerate(lines):
        if line.strip().lower().startswith("@data"):
            return number
    raise InputError(str(path), "has no @data line", "It is truncated or not a time-series file")


def _ts_sample(where: str, line: str, width: int | None, classes: tuple[str, ...]) -> tuple[Floats, int]:
    *dimensions, label = line.strip().split(":")
    if not dimensions or (width is not None and len(dimensions) != width):
        raise InputError(
            where,
            f"has {len(dimensions)} dimensions before its label{'' if width is None else f', the header says {width}'}",
            "The line is cut or a channel is missing",
        )
    series = _columns(where, [d.split(",") for d in dimensions])
    return series, class_index(label.strip(), classes, where)


def _read_tsv(path: Path, lines: list[str]) -> Recordings:
    rows = [line.split("\t") for line in lines if line.strip()]
    classes = tuple(sorted({row[0].strip() for row in rows}, key=_class_order))
    series = tuple(_columns(f"{path}, line {i + 1}", [row[1:]]) for i, row in enumerate(rows))
    return Recordings(series, np.array([classes.index(row[0].strip()) for row in rows], np.int64), classes)


def _read_arff(path: Path, lines: list[str]) -> Recordings:
    start = _data_line(path, lines)
    nominal = [s for s in map(str.strip, lines[:start]) if s.lower().startswith("@attribute") and s.endswith("}")]
    classes = tuple(c.strip() for c in nominal[-1][nominal[-1].index("{") + 1 : -1].split(",")) if nominal else ()
    if not classes:
        raise InputError(str(path), "declares no class attribute {a,b,...}")
    series, labels = [], []
    for i, line in enumerate(lines[start + 1 :], start + 1):
        if not line.strip():
            continue
        where = f"{path}, line {i + 1}"
        fields = next(csv.reader([line], quotechar="'" if line.startswith("'") else '"'))
        relational = "\\n" in fields[0]
        rows = [d.split(",") for d in fields[0].split("\\n")] if relational else [fields[:-1]]
        series.append(_columns(where, rows))
        labels.append(class_index(fields[-1].strip(), classes, where))
    return Recordings(tuple(series), np.array(labels, np.int64), classes)


def _columns(where: str, rows: list[list[str]]) -> Floats:
    """Convert channels as text to [T, M]."""
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise InputError(where, f"its channels have different lengths ({sorted(lengths)})", "The line is cut")
    try:
        series = np.array([[float("nan") if v.strip() == "?" else float(v) for v in row] for row in rows]).T
    except ValueError as error:
        raise InputError(where, f"{error}", "The line is cut or not numeric") from error
    check_finite(series, where)
    return np.ascontiguousarray(series)


def _class_order(label: str) -> tuple[int, float, str]:
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label
