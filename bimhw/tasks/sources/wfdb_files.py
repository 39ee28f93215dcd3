"""WFDB records (PhysioNet): signals and annotations by the library wfdb, with its errors made clear."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bimhw.tasks.checks import check_finite, extra
from simulator.base.errors import InputError


@dataclass(frozen=True)
class Record:
    """A signal [T, M] in physical units with its channel names and sampling rate."""

    signal: npt.NDArray[np.float64]
    channels: tuple[str, ...]
    rate_hz: float


@dataclass(frozen=True)
class Marks:
    """Annotations: sample positions [n] and their symbols."""

    samples: npt.NDArray[np.int64]
    symbols: tuple[str, ...]


def read_record(path: Path, channels: Sequence[str] | None = None) -> Record:
    """A record by the path of its header without ending; `channels` picks and orders.

    Raises:
        InputError: header or signal file missing, truncated, a missing channel, NaN samples.
        MissingExtraError: wfdb is not installed.
    """
    wfdb = extra("wfdb", "reading WFDB records")
    if not path.with_name(path.name + ".hea").is_file():
        raise InputError(f"{path}.hea", "does not exist", "Copy the record's .hea and .dat files")
    try:
        with _quiet():
            record = wfdb.rdrecord(str(path))
    except Exception as error:  # wfdb raises many kinds on broken files
        raise InputError(str(path), f"is not a whole WFDB record ({error})", "Copy its .hea and .dat again") from error
    names = tuple(record.sig_name)
    signal = np.asarray(record.p_signal, np.float64)
    if channels is not None:
        signal, names = signal[:, pick_channels(names, channels, str(path))], tuple(channels)
    check_finite(signal, str(path))
    return Record(signal, names, float(record.fs))


def read_marks(path: Path, ending: str) -> Marks:
    """Annotations of a record: `path` without the ending.

    Raises:
        InputError: no such file, or not an annotation file.
        MissingExtraError: wfdb is not installed.
    """
    wfdb = extra("wfdb", "reading WFDB annotations")
    file = path.with_name(f"{path.name}.{ending}")
    if not file.is_file():
        raise InputError(str(file), "does not exist", "Copy the annotation file beside the record")
    try:
        with _quiet():
            marks: Any = wfdb.rdann(str(path), ending)
    except Exception as error:  # wfdb raises many kinds on broken files
        raise InputError(str(file), f"is not a whole WFDB annotation file ({error})", "Copy it again") from error
    return Marks(np.asarray(marks.sample, np.int64), tuple(marks.symbol))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """wfdb warns of its own use of pandas, which is not the user's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pick_channels(there: Sequence[str], wanted: Sequence[str], where: str) -> list[int]:
    """Positions of channels by name; of a name that occurs twice, the first.

    Raises:
        InputError: a channel is missing; the message lists those there.
    """
    missing = [c for c in wanted if c not in there]
    if missing:
        raise InputError(where, f"the channel {missing[0]!r} is missing", f"It has: {', '.join(there)}")
    return [list(there).index(c) for c in wanted]
