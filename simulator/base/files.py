"""Files: written to a temporary name and renamed; read with their sizes checked; never unpickled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError
from simulator.base.host_memory import check_memory

_MAX_HEADER_BYTES = 100_000_000
_DTYPES = {
    "<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<i2": "I16", "|i1": "I8", "<u8": "U64",
    "<u4": "U32", "<u2": "U16", "|u1": "U8", "|b1": "BOOL",
}  # fmt: skip


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends well, and is removed when it does not.

    Raises:
        InputError: the folder does not exist or cannot be written.
    """
    if not path.parent.is_dir():
        raise InputError(str(path), f"the folder {str(path.parent)!r} does not exist", "Create it first")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise InputError(str(path), f"cannot be written ({error.strerror})") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise InputError(str(path), f"cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        InputError: no such file, or it is not text.
    """
    check_is_file(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(str(path), "is not text in UTF-8", "Give a text file") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON (sorted keys, so that equal values give equal bytes) whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def content_hash(tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """sha256 over the tensors' names, types, shapes, bytes and the metadata (but for the hash itself)."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        digest.update(f"{name}|{array.dtype.str}|{array.shape}".encode())
        digest.update(array.tobytes())
    for key in sorted(metadata):
        if key != "sha256":
            digest.update(f"{key}={metadata[key]}".encode())
    return digest.hexdigest()


def write_safetensors(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str], hashed: bool = False
) -> None:
    """Write numpy arrays and string metadata; ``hashed`` adds a content hash under the key ``sha256``."""
    contiguous = {k: np.asarray(v, order="C") for k, v in tensors.items()}
    meta = dict(metadata)
    if hashed:
        meta["sha256"] = content_hash(contiguous, meta)
    header, order = _header(contiguous, meta)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for name in order:
            file.write(contiguous[name].data if contiguous[name].size else b"")


def _header(tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """The JSON header and the order of the tensors, a function of the content alone.

    The safetensors package keeps metadata in a hash map of random order, so its bytes differ from run to run. Wide words
    first keep every tensor aligned.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    entries: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    at = 0
    for name in order:
        array = tensors[name]
        end = at + array.nbytes
        entries[name] = {"dtype": _DTYPES[array.dtype.str], "shape": list(array.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8), order


def read_safetensors(path: Path, hashed: bool = False) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Arrays and metadata of a safetensors file.

    Raises:
        InputError: no such file, not safetensors, truncated, or (``hashed``) altered since it was written.
    """
    from safetensors import SafetensorError, safe_open

    check_is_file(path)
    _check_header(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise InputError(str(path), f"is not a whole safetensors file ({error})", "Write it again") from error
    if hashed and content_hash(tensors, metadata) != metadata.get("sha256"):
        raise InputError(str(path), "was altered after it was written (its hash does not fit)", "Write it again")
    return tensors, metadata


def check_is_file(path: Path) -> None:
    """Raise `InputError` unless `path` is a readable file."""
    if not path.exists():
        raise InputError(str(path), "does not exist", "Check the path")
    if not path.is_file():
        raise InputError(str(path), "is a folder, not a file", "Give the file inside it")


def _check_header(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
    if len(head) < 8:
        raise InputError(str(path), f"has {size} bytes and is not a safetensors file")
    (length,) = struct.unpack("<Q", head)
    if length > min(size, _MAX_HEADER_BYTES):
        raise InputError(str(path), "is not a safetensors file, or it is truncated")


def write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays whole or not at all; equal arrays give equal bytes."""
    named: dict[str, Any] = dict(arrays)  # numpy's signature names one more keyword, so the values must be Any
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **named)


def _check_npz(path: Path) -> None:
    """Compare what every array's header promises with the bytes that are there, before memory is taken for it."""
    total = 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as stream:
                form: Any = np.lib.format  # untyped in numpy
                old = form.read_magic(stream) == (1, 0)
                shape, _, dtype = (form.read_array_header_1_0 if old else form.read_array_header_2_0)(stream)
                promised, held = math.prod(shape) * dtype.itemsize, entry.file_size - stream.tell()
            if promised > held and not dtype.hasobject:
                where = f"{path}: {entry.filename.removesuffix('.npy')}"
                raise InputError(where, f"promises {promised:,} bytes and holds {held:,}", "Write it again")
            total += entry.file_size
    check_memory(total, str(path), "its arrays, unpacked", "Use a smaller file")


def read_npz(path: Path, names: tuple[str, ...] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an .npz file by name (all of them where no names are given), never unpickled.

    Raises:
        InputError: no such file, not a whole .npz file, an array is missing or not of numbers, or the file says that it
            holds more than it does or than there is memory for.
    """
    check_is_file(path)
    try:
        _check_npz(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in (names if names is not None else file.files)}
    except KeyError as error:
        raise InputError(str(path), f"lacks the array {error}") from error
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(str(path), f"is not a whole .npz file ({error})") from error
