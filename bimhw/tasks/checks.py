"""Checks of every loader, so that bad data ends in one clear message and not in a wrong number."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.base.arrays import AnyInts, Array
from simulator.base.errors import InputError, MissingExtraError, UnjudgedWarning
from simulator.base.near import missing_path
from simulator.base.reading import check_is_file, read_bytes


def extra(module: str, needed_for: str) -> Any:
    """Import a library of the extra ``tasks``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library does with its own dependencies is not the user's concern
            return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(module, "tasks", needed_for) from error


def check_folder(path: Path, holds: str) -> None:
    """Raise `InputError` unless `path` is a folder; `holds` says what should lie in it."""
    if not path.exists():
        raise missing_path(path, f"Give the folder that holds {holds}")
    if not path.is_dir():
        raise InputError(str(path), "is a file, not a folder", f"Give the folder that holds {holds}")


def read_utf8(path: Path) -> str:
    """Return the text of a user's file, line ends as they are.

    Raises:
        InputError: no such file, or not UTF-8.
    """
    data = read_bytes(path, 2**31)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error


def utf8_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a user's text file, each with its end.

    Raises:
        InputError: no such file, not UTF-8, blank.
    """
    check_is_file(path)
    blank = True
    with path.open(encoding="utf-8") as file:
        try:
            for line in file:
                blank = blank and not line.strip()
                yield line
        except UnicodeDecodeError as error:
            raise _not_utf8(path, error) from error
    if blank:
        raise InputError(str(path), "is empty")


def _not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    text = f"is not UTF-8 text ({error.reason} at byte {error.start})"
    return InputError(str(path), text, "It is damaged, or of another kind: copy it again")


def check_finite(values: Array, where: str) -> None:
    """Raise `InputError` on the first NaN or infinite sample."""
    finite = np.isfinite(values)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        count = int(values.size - finite.sum())
        raise InputError(
            where,
            f"{count} of {values.size} samples are not finite numbers (the first at index {first})",
            "Repair the recording or leave it out",
        )


def check_labels(labels: AnyInts, n_classes: int, where: str) -> None:
    """Raise `InputError` on a class index outside 0 .. n_classes-1."""
    bad = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if bad.size:
        i = int(bad[0])
        raise InputError(where, f"sample {i} has the label {int(labels.flat[i])}, classes are 0 to {n_classes - 1}")


def class_index(label: str, classes: Sequence[str], where: str) -> int:
    """Return the index of a label.

    Raises:
        InputError: the label is none of `classes`.
    """
    try:
        return classes.index(label)
    except ValueError:
        raise InputError(where, f"the label {label!r} is none of the classes {', '.join(classes)}") from None


def check_not_empty(count: int, split: str, where: str) -> None:
    """Raise `InputError` for a split without samples."""
    if count == 0:
        raise InputError(where, f"the split {split!r} is empty", "Check that the folder is complete")


LEAST_JUDGED = 10  # sequences, words or symbols: below it one decision moves a figure by more than 10 points


def too_few(count: int, what: str) -> str:
    """Return why a test set of so many members (sequences, words) cannot judge a model; "": it can."""
    if count >= LEAST_JUDGED:
        return ""
    share = 100 / max(count, 1)
    return f"has {count} {what}: one of them moves the figure by {share:.0f} %, at least {LEAST_JUDGED} are needed"


def say_unjudged(reason: str, where: str) -> None:
    """Warn that a test set judges nothing, where there is a reason."""
    if reason:
        warnings.warn(f"{where} {reason}; no figure of it is given", UnjudgedWarning, stacklevel=3)


def check_judged(reason: str, where: str) -> None:
    """Raise `InputError` with the reason why a test split judges nothing, where there is one."""
    if reason:
        raise InputError(where, reason, "Give more data, or another split")
