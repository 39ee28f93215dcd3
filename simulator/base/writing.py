"""Writing: a file is there whole or as it was before, is never a device, and is known to be writable before the work."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import socket
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from simulator.base.errors import InputError

_SERIAL = itertools.count()
_HOST = f"{zlib.crc32(socket.gethostname().encode(errors='replace')):08x}"
_PART = ".bimhw-part-"
_HELD: ContextVar[list[tuple[Path, Path]] | None] = ContextVar("held", default=None)


def check_output(path: Path | str, *inputs: Path | str | None) -> Path:
    """Return the file that writing to `path` would make (links followed), if it can be written.

    Args:
        path: file to write.
        inputs: files that are read in the same work, which it must not replace.

    Raises:
        InputError: its folder is missing or read-only, it is a folder, a device, a pipe or one of the inputs.
    """
    shown = str(path)
    with os_errors(shown):
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise InputError(shown, f"the folder {str(target.parent)!r} does not exist", "Create it first")
        if target.is_dir():
            raise InputError(shown, "is a folder, not a file", "Give a file name")
        if target.is_symlink():
            raise InputError(shown, "is a link to itself", "Give a file name")
        if target.exists() and not target.is_file():
            raise InputError(shown, "is a device or a pipe; only regular files are written", "Give a file name")
        for other in inputs:
            if other is not None and target.exists() and Path(other).exists() and target.samefile(other):
                raise InputError(shown, "is the file that is read", "Give another file name")
        if target.exists() and not os.access(target, os.W_OK):
            raise InputError(shown, "cannot be written (Permission denied)", "Change its rights or give another path")
        _part(target).unlink()
        return target


def check_output_folder(path: Path | str) -> Path:
    """Return `path` if a folder can be made or written there; it makes no folder.

    Raises:
        InputError: it is a file, or it, or the folder that would hold it, cannot be written.
    """
    with os_errors(str(path)):
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise InputError(str(path), "is a file, not a folder", "Give another folder")
        there = next((p for p in (folder, *folder.absolute().parents) if p.is_dir()), Path("/"))
        _part(there / folder.name).unlink()
        return folder


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block ends well, and goes when it does not.

    A link is followed. A new file gets the rights that the umask leaves, an old one keeps its own. What a killed process
    left is removed by the next one that writes the same file.

    Raises:
        InputError: as `check_output`, or the disk is full.
    """
    target = check_output(path)
    with os_errors(str(path)):
        temporary = _part(target)
        try:
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            yield temporary
            held = _HELD.get()
            if held is None:
                temporary.replace(target)
            else:
                held.append((temporary, target))
        finally:
            if (temporary, target) not in (_HELD.get() or ()):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Let the files that the block writes by `replacing` appear at its end: all of them, or none where it fails.

    A kill between two renames can still part them.
    """
    held: list[tuple[Path, Path]] = []
    token = _HELD.set(held)
    try:
        yield
        for temporary, target in held:
            with os_errors(str(target)):
                temporary.replace(target)
    finally:
        _HELD.reset(token)
        for temporary, _ in held:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a new folder inside `folder`; its files take the place of those of `names` when the block ends well.

    What fails leaves `folder` as it was: the files that it held, or no folder. The caller holds it (`simulator.base.locks`).

    Args:
        folder: made where it is missing.
        names: of the files that belong together, the one that vouches for the others last. Those that the block does not
            write are removed.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    with os_errors(str(folder)):
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{_PART}files"
        shutil.rmtree(part, ignore_errors=True)  # of a killed process
        try:
            part.mkdir()
            yield part
            for name in reversed(names):
                if not (part / name).exists() or name == names[-1]:
                    (folder / name).unlink(missing_ok=True)
            for name in names:
                if (part / name).exists():
                    (part / name).replace(folder / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            if made:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # nothing where the block failed; else it is not empty


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write JSON (sorted keys, so that equal values give equal bytes) whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


@contextlib.contextmanager
def os_errors(shown: str) -> Iterator[None]:
    """Turn what the system says of writing into one `InputError` on `shown`."""
    try:
        yield
    except ValueError as error:
        if "null" not in str(error):
            raise
        raise InputError(shown, "is no path (it holds a null byte)", "Give another path") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(shown, f"cannot be written ({reason})", "Make room or give another path") from error


def _part(target: Path) -> Path:
    """Make an empty file beside `target` under a name of its own, with the rights that the umask leaves."""
    stem = target.name[:80].encode(errors="surrogateescape")[:100].decode(errors="ignore")
    prefix = f"{_PART}{stem}-{_HOST}-"
    _remove_abandoned(target.parent, prefix)
    part = target.parent / f"{prefix}{os.getpid()}-{next(_SERIAL)}{target.suffix[:20]}"
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return part


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove what killed processes of this machine left of the same file."""
    with contextlib.suppress(OSError):  # a folder that may be written but not listed
        for part in folder.iterdir():
            pid = part.name.removeprefix(prefix).partition("-")[0]
            if part.name.startswith(prefix) and pid.isdecimal() and not _alive(int(pid)):
                part.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
