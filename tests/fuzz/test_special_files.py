"""What is no readable file in the place of every file of every reader: one message, in time, and no waiting."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.harness import MEGABYTES, SECONDS, apart
from tests.fuzz.reader import Reader
from tests.fuzz.readers import build

NOBODY = 65534
SPARSE = 10 * 2**30


def _socket(path: Path, data: bytes) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(path.name)
    os.fchdir(here)
    os.close(here)


def _unreadable(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0)


def _sparse(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.truncate(path, SPARSE)


def _holes(path: Path, data: bytes) -> None:
    path.touch()
    os.truncate(path, SPARSE)


KINDS: dict[str, Callable[[Path, bytes], object]] = {
    "a pipe": lambda path, data: os.mkfifo(path),
    "a socket": _socket,
    "a folder": lambda path, data: path.mkdir(),
    "a link to nothing": lambda path, data: path.symlink_to("nothing"),
    "a link to itself": lambda path, data: path.symlink_to(path.name),
    "zeros without end": lambda path, data: path.symlink_to("/dev/zero"),
    "a full device": lambda path, data: path.symlink_to("/dev/full"),
    "without rights": _unreadable,
    "10 GB of holes": _holes,
    "10 GB at its end": _sparse,
}


@pytest.fixture(scope="module")
def readers() -> Iterator[list[tuple[Reader, Path, object]]]:
    """Yield every reader with the folder of its whole input and what it makes of it."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # so that one without rights reaches the file
        found = []
        for k, reader in enumerate(build(Path(scratch))):
            folder = Path(scratch) / f"reader-{k}"
            for name, data in reader.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
            found.append((reader, folder, None if reader.name == "silicon" else reader.read(folder)))
        yield found


def _read(reader: Reader, folder: Path, sound: object, rights: bool) -> None:
    if not rights and os.geteuid() == 0:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    assert reader.read(folder) == sound or not reader.hashed


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_refused(kind: str, readers: list[tuple[Reader, Path, object]]) -> None:
    for reader, folder, sound in readers:
        for name, data in reader.files.items():
            path = folder / name
            path.unlink()
            KINDS[kind](path, data)
            outcome, seconds, megabytes = apart(lambda: _read(reader, folder, sound, kind != "without rights"))  # noqa: B023
            _remove(path)
            path.write_bytes(data)
            long = kind.startswith("10 GB")  # what lies behind its own end need not be read
            fine = outcome == "refused" or (outcome == "read" and (long or reader.name == "state_dict"))
            assert fine and seconds < SECONDS and megabytes < MEGABYTES, (
                reader.name,
                name,
                outcome,
                seconds,
                megabytes,
            )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
