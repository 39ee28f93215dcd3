"""Packed data of the user's, unpacked within bounds: an archive that unfolds far beyond what data do is refused."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

from simulator.base.errors import InputError
from simulator.base.reading import boundary, check_is_file

BOMB_BYTES = 2**26
BOMB_RATIO = 200  # deflate reaches 1000 on zeros, numbers and text hardly 50
MAX_BYTES = 2**31


def check_unpacked(unpacked: int, packed: int, where: str) -> None:
    """Raise `InputError` for packed data that unfold far beyond what data do: a bomb."""
    if unpacked <= packed:  # stored as it is
        return
    if unpacked > MAX_BYTES or (unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * packed):
        raise InputError(
            where, f"unpacks {packed:,} bytes to {unpacked:,}; {BOMB_RATIO} times is the most", "Store it unpacked"
        )


def read_maybe_gzip(path: Path) -> bytes:
    """Return the bytes of a file; those inside it where its name ends in ``.gz``.

    Raises:
        InputError: no such file, truncated, or a bomb.
    """
    check_is_file(path)
    with boundary(path, "a whole file", "It is truncated: copy it again"):
        packed = path.stat().st_size
        if packed > MAX_BYTES:
            raise InputError(str(path), f"has {packed:,} bytes; {MAX_BYTES:,} are the most", "Give a smaller file")
        if path.suffix != ".gz":
            return path.read_bytes()
        most = max(BOMB_BYTES, BOMB_RATIO * packed)
        with gzip.open(path) as stream:
            data = stream.read(min(most, MAX_BYTES) + 1)
        check_unpacked(len(data), packed, str(path))
        return data


def read_member(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    """Return one member of a zip archive.

    Raises:
        InputError: no such member, damaged, or a bomb.
    """
    with boundary(f"{where}: {name}", "a whole member of a zip archive", "Copy it again"):
        entry = archive.getinfo(name)
        check_unpacked(entry.file_size, entry.compress_size, f"{where}: {name}")
        return archive.read(entry)
