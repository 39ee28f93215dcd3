"""The one boundary of every reader: whatever a decoder, a library or numpy raises becomes one `InputError`.

A reader turns bytes into a value inside ``with boundary(path, "a chip file"):``. It lists no exception types: a decoder
may raise any. JSON and YAML have their one reader each here, with limits on size and depth.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from simulator.base.errors import BimhwError, InputError
from simulator.base.interrupts import check_interrupted
from simulator.base.misplaced import check_no_run_folder
from simulator.base.near import missing_path
from simulator.base.text import first_line, printable

T = TypeVar("T")
MAX_JSON_BYTES = 2**28
MAX_YAML_CHARACTERS = 2**18  # parsed in pure Python at 100 KB/s: this is 3 s
MAX_DEPTH = 64
MAX_BITS = 1024  # of an integer in YAML, hexadecimal ones too
MAX_YAML_NODES = 2**18  # with every alias followed
_NO_MEMORY = (
    "failed to map segment", "annot allocate memory", "can't allocate memory", "std::bad_alloc", "can't start new thread",
)  # fmt: skip


@contextlib.contextmanager
def boundary(where: Path | str, what: str, way_out: str = "Write it again") -> Iterator[None]:
    """Turn every exception of the block into one `InputError` on `where`; errors of bimhw pass as they are.

    Args:
        where: the file, with the place in it where that is known; a path to a device or a pipe, which may never end, is refused.
        what: what it should have been, as in "a whole .npz file".
        way_out: what the user can do.

    Raises:
        InputError: the block raised anything.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged content; what it makes of it is checked
            if isinstance(where, Path):
                _refuse_devices(where)
            yield
    except Exception as error:
        check_interrupted(error)
        if isinstance(error, BimhwError):
            raise
        raise _told(error, str(where), what, way_out) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of libraries in Rust: not derived from Exception
            raise
        raise _told(error, str(where), what, way_out) from error


def _told(error: BaseException, where: str, what: str, way_out: str) -> InputError:
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and lacks_memory(error)):
        return InputError(where, "asks for more memory than there is", way_out)
    if isinstance(error, ImportError) and lacks_memory(error):
        problem = f"cannot be read: a library cannot be loaded ({first_line(error)})"
        return InputError(where, problem, "Allow more memory (ulimit -v)")
    if isinstance(error, RecursionError):
        return InputError(where, f"is not {what} (it nests too deep)", way_out)
    if isinstance(error, OSError) and error.strerror is not None:
        return InputError(where, f"cannot be read ({error.strerror})", "Check the path and its rights")
    return InputError(where, f"is not {what} ({first_line(error)})", way_out)


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error is want of memory, as the system's loader or a library in C words it."""
    return any(words in str(error) for words in _NO_MEMORY)


def _refuse_devices(path: Path) -> None:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(str(path), "is a device or a pipe, not a file", "Give a regular file")


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Keep what a library in another language prints off standard output and error; its error still counts.

    Libraries in Rust print a trace of the stack before their panic becomes an exception, libraries in C what they found.
    The block must be short: what other threads print meanwhile is lost too.
    """
    flush_c()
    kept = {}
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # closed
            kept[descriptor] = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in kept:
            os.dup2(nowhere, descriptor)
        yield
    finally:
        flush_c()
        for descriptor, old in kept.items():
            os.dup2(old, descriptor)
            os.close(old)
        os.close(nowhere)


def flush_c() -> None:
    """Write out what the C library, and Python, keep for standard output."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)


def check_is_file(path: Path) -> None:
    """Raise `InputError` unless `path` is a regular file that can be read."""
    with boundary(path, "a path"):
        if not path.exists():
            raise missing_path(path)
        if path.is_dir():
            check_no_run_folder(path)
            raise InputError(str(path), "is a folder, not a file", "Give the file inside it")
        with path.open("rb"):
            pass


def read_bytes(path: Path, most: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        InputError: no such file, unreadable, or larger than `most` bytes.
    """
    check_is_file(path)
    with boundary(path, "a readable file"):
        size = path.stat().st_size
        if size > most:
            raise InputError(str(path), f"has {size:,} bytes; {most:,} are the most", "Give a smaller file")
        return path.read_bytes()


def read_text(path: Path, most: int = 2**30) -> str:
    """Return a text file; a byte order mark is dropped.

    Raises:
        InputError: no such file, it is not UTF-8, or it is larger than `most` bytes.
    """
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"{path}, {line_and_column(error.object[: error.start].decode('utf-8-sig'))}"
        at = len(data) - len(error.object) + error.start  # a byte order mark was cut off
        problem = f"is not text in UTF-8 (byte {at} is 0x{data[at]:02x})"
        raise InputError(place, problem, "Give a text file, saved as UTF-8") from error


def line_and_column(before: str) -> str:
    """Return the place, counted from 1, of the character after a text."""
    lines = re.split(r"\r\n|\r|\n", before)
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"


def parse_json(text: str | bytes, where: Path | str, way_out: str = "Write it again") -> Any:
    """Return the value of JSON text.

    Raises:
        InputError: not JSON, too deep, a key twice in an object, or a number of more digits than Python reads.
    """
    with boundary(where, "JSON", way_out):
        return json.loads(text, object_pairs_hook=_unique)


def parse_as(text: str | bytes, kind: type[T], where: Path | str, what: str, way_out: str = "Write it again") -> T:
    """Return JSON text as a value of the type `kind`, strictly.

    Raises:
        InputError: as `parse_json`, or it does not fit the type; `what` says what it should have been.
    """
    with boundary(where, what, way_out):
        value = msgspec.json.decode(text, type=kind)
        json.loads(text, object_pairs_hook=_unique)  # of a key that stands twice msgspec takes the last value
        return value


def check_unique(names: Iterable[str]) -> None:
    """Raise `ValueError` if a name stands twice: readers would take one of the two in silence."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"it holds {printable(name, 80)} twice")
        seen.add(name)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        check_unique(key for key, _ in pairs)
    return value


def read_json(path: Path, way_out: str = "Write it again") -> Any:
    """Return the value of a JSON file.

    Raises:
        InputError: as `read_bytes` and `parse_json`.
    """
    return parse_json(read_text(path, MAX_JSON_BYTES), path, way_out)


def read_object(path: Path, way_out: str = "Write it again") -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        InputError: as `read_json`, or its value is no object.
    """
    return _object(read_json(path, way_out), path, way_out)


def parse_object(text: str | bytes, where: Path | str, way_out: str = "Write it again") -> dict[str, Any]:
    """Return the object of JSON text.

    Raises:
        InputError: as `parse_json`, or its value is no object.
    """
    return _object(parse_json(text, where, way_out), where, way_out)


def _object(value: Any, where: Path | str, way_out: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(str(where), "is not a JSON object", way_out)
    return value


def parse_yaml(text: str, where: Path | str, way_out: str = "Mend the file", most: int = MAX_YAML_CHARACTERS) -> Any:
    """Return the value of YAML 1.2 text of at most so many characters, read by the safe loader.

    Raises:
        InputError: not YAML, deeper than `MAX_DEPTH`, or beyond the limits of size (aliases counted as often as used).
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    if len(text) > most:
        raise InputError(str(where), f"has {len(text):,} characters; {most:,} are the most", "Give a smaller file")
    if (deep := _too_deep(text)) is not None:
        raise InputError(f"{where}, {line_and_column(text[:deep])}", f"nests deeper than {MAX_DEPTH}", way_out)
    with boundary(where, "YAML", way_out):
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if mark is None:
                raise
            place = f"{where}, line {mark.line + 1}, column {mark.column + 1}"
            problem = (error.problem or error.context or "").splitlines()[0]
            raise InputError(place, f"is not YAML: {problem}", way_out) from error
        except ReaderError as error:
            place = f"{where}, {line_and_column(text[: error.position])}"
            problem = f"is not YAML: it holds the control character #x{error.character:04x}"
            raise InputError(place, problem, way_out) from error
        _size(value, str(where), {}, 0)
        return value


def read_yaml(path: Path, way_out: str = "Mend the file") -> Any:
    """Return the value of a YAML file.

    Raises:
        InputError: as `read_text` and `parse_yaml`.
    """
    return parse_yaml(read_text(path, 4 * MAX_YAML_CHARACTERS), path, way_out)


def _too_deep(text: str) -> int | None:
    """Return where more than `MAX_DEPTH` brackets are open, quoted ones included (a bound, found before parsing)."""
    depth = 0
    for at, c in enumerate(text):
        if c in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return at
        elif c in "]}":
            depth = max(0, depth - 1)
    return None


def _size(value: Any, where: str, known: dict[int, int], depth: int) -> int:
    """Return the nodes of a value with aliases followed; a value that holds itself is too deep."""
    if depth > MAX_DEPTH:
        raise InputError(where, f"nests deeper than {MAX_DEPTH}", "Mend the file")
    if (
        isinstance(value, int) and value.bit_length() > MAX_BITS
    ):  # a float's range; Python does not print many more digits
        raise InputError(where, f"holds an integer of {value.bit_length():,} bits", "Mend the file")
    if not isinstance(value, dict | list | set | tuple):
        return 1
    if id(value) not in known:
        items = [*value, *value.values()] if isinstance(value, dict) else list(value)
        known[id(value)] = 1 + sum(_size(item, where, known, depth + 1) for item in items)
    if known[id(value)] > MAX_YAML_NODES:
        raise InputError(where, f"unfolds to more than {MAX_YAML_NODES:,} values", "Use fewer aliases")
    return known[id(value)]
