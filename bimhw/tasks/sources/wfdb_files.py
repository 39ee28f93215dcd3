"""WFDB records (PhysioNet): signals by the library wfdb within the boundary, annotations by `annotations`."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bimhw.tasks.checks import check_finite, extra
from bimhw.tasks.sources.annotations import Marks, parse_marks
from simulator.base.arrays import Floats
from simulator.base.errors import InputError
from simulator.base.reading import boundary, check_is_file, read_bytes, read_text


@dataclass(frozen=True)
class Record:
    """A signal [T, M] in physical units with its channel names and sampling rate."""

    signal: Floats
    channels: tuple[str, ...]
    rate_hz: float


def read_record(path: Path, channels: Sequence[str] | None = None) -> Record:
    """Read a record by the path of its header without ending; `channels` picks and orders.

    Raises:
        InputError: header or signal file missing, truncated, a missing channel, NaN samples.
        MissingExtraError: wfdb is not installed.
    """
    wfdb = extra("wfdb", "reading WFDB records")
    if not path.with_name(path.name + ".hea").is_file():
        raise InputError(f"{path}.hea", "does not exist", "Copy the record's .hea and .dat files")
    with boundary(path, "a whole WFDB record", "Copy its .hea and .dat again"):
        _check_size(path)
        record = wfdb.rdrecord(str(path))
        if record.p_signal is None:
            raise InputError(str(path), "holds no signal", "Copy its .hea and .dat again")
        names = tuple(name or "" for name in record.sig_name)  # None where the header gives none
    signal = np.asarray(record.p_signal, np.float64)
    if channels is not None:
        signal, names = signal[:, pick_channels(names, channels, str(path))], tuple(channels)
    check_finite(signal, str(path))
    return Record(signal, names, float(record.fs))


def _check_size(path: Path) -> None:
    """Compare what the header announces with the signal files, before memory is taken for it."""
    lines = [
        line for line in read_text(path.with_name(path.name + ".hea"), 2**20).splitlines() if not line.startswith("#")
    ]
    fields = lines[0].split()
    announced = int(fields[1]) * (int(fields[3]) if len(fields) > 3 else 1)
    files = [f for f in path.parent.glob(f"{glob.escape(path.name)}*") if not f.is_dir()]
    for file in files:
        check_is_file(file)
    there = sum(f.stat().st_size for f in files)
    if announced > 8 * there:
        raise InputError(
            f"{path}.hea", f"announces {announced:,} samples, its files have {there:,} bytes", "Copy it again"
        )


def read_marks(path: Path, ending: str) -> Marks:
    """Read the annotations of a record: `path` without the ending.

    Raises:
        InputError: no such file, or not an annotation file.
    """
    file = path.with_name(f"{path.name}.{ending}")
    if not file.is_file():
        raise InputError(str(file), "does not exist", "Copy the annotation file beside the record")
    return parse_marks(read_bytes(file, 2**28), str(file))


def pick_channels(there: Sequence[str], wanted: Sequence[str], where: str) -> list[int]:
    """Return the positions of channels by name; of a name that occurs twice, the first.

    Raises:
        InputError: a channel is missing; the message lists those there.
    """
    missing = [c for c in wanted if c not in there]
    if missing:
        raise InputError(where, f"the channel {missing[0]!r} is missing", f"It has: {', '.join(there)}")
    return [list(there).index(c) for c in wanted]
