"""Locks of files and folders in use: a second process is told who holds them instead of spoiling them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from simulator.base.errors import InputError
from simulator.base.text import printable

_MINE: set[Path] = set()


@contextlib.contextmanager
def held(path: Path | str) -> Iterator[None]:
    """Hold `path` for this process while the block runs.

    The lock is a file beside it (``.NAME.lock``) that the system frees when the process ends, however it ends. It names its
    holder. A process may hold a path several times. A file system without locks is used unlocked.

    Raises:
        InputError: another process holds it, or its folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    lock = _lock_of(target)
    if lock in _MINE:  # of this process, further out
        yield
        return
    if not target.parent.is_dir():
        raise InputError(str(path), f"the folder {str(target.parent)!r} does not exist", "Create it first")
    try:
        handle = _locked(lock, str(path))
    except OSError as error:
        raise InputError(
            str(path), f"cannot be locked ({error.strerror})", "Give a path in a folder that can be written"
        ) from error
    _MINE.add(lock)
    try:
        yield
    finally:
        _MINE.discard(lock)
        if handle is not None:
            with contextlib.suppress(OSError):
                lock.unlink()  # before the lock goes: a waiter checks that the name is still that of its file
            os.close(handle)


def holder(path: Path | str) -> str | None:
    """Return who holds `path` now, None where nobody does; it takes no lock."""
    target = Path(os.path.realpath(path))
    try:
        handle = os.open(_lock_of(target), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _name_in(handle)
    except OSError:  # no locks on this file system
        return None
    finally:
        os.close(handle)
    return None


def _lock_of(target: Path) -> Path:
    name, stored = target.name, os.fsencode(target.name)
    if len(stored) > 200:  # a file's name has at most 255 bytes
        name = f"{stored[:180].decode(errors='ignore')}-{zlib.crc32(stored):08x}"
    return target.parent / f".{name}.lock"


def _name_in(handle: int) -> str:
    return printable(os.pread(handle, 200, 0).decode(errors="replace")) or "another process"


def _locked(lock: Path, shown: str) -> int | None:
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _name_in(handle)
            os.close(handle)
            raise InputError(shown, f"is in use by {who}", "Wait until it ends, or give another path") from None
        except OSError:  # no locks on this file system
            os.close(handle)
            return None
        if _same(handle, lock):
            with contextlib.suppress(OSError):  # on a full disk the holder has no name
                os.ftruncate(handle, 0)
                os.pwrite(handle, _who().encode(errors="replace"), 0)
            return handle
        os.close(handle)  # its holder removed it between opening and locking


def _who() -> str:
    return f"process {os.getpid()} ({Path(sys.argv[0]).name} {' '.join(sys.argv[1:3])})"


def _same(handle: int, lock: Path) -> bool:
    try:
        there = lock.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
