"""Files of arrays: written whole or not at all, read with their sizes checked, never unpickled."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.host_memory import check_memory
from simulator.base.reading import MAX_JSON_BYTES, check_unique, parse_json
from simulator.base.reading import boundary as boundary
from simulator.base.reading import check_is_file as check_is_file
from simulator.base.reading import read_text as read_text
from simulator.base.spool import Spool
from simulator.base.unpacking import check_unpacked
from simulator.base.writing import replacing as replacing
from simulator.base.writing import write_json as write_json
from simulator.base.writing import write_text as write_text

_MAX_HEADER_BYTES = 100_000_000
_MAX_ARRAYS = 10_000  # each takes some 0.2 ms
_MAX_EMPTY = 2**20  # values without a byte, such as empty texts
_NPY: Any = np.lib.format  # untyped in numpy
_DTYPES = {
    "<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<i2": "I16", "|i1": "I8", "<u8": "U64",
    "<u4": "U32", "<u2": "U16", "|u1": "U8", "|b1": "BOOL",
}  # fmt: skip


def content_hash(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    """Compute sha256 over the tensors' names, types, shapes, bytes and the metadata (but for the hash itself)."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        digest.update(f"{name}|{array.dtype.str}|{array.shape}".encode())
        digest.update(array.tobytes())
    for key in sorted(metadata):
        if key != "sha256":
            digest.update(f"{key}={metadata[key]}".encode())
    return digest.hexdigest()


def write_safetensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write numpy arrays, string metadata, and a hash of both under the key ``sha256``."""
    contiguous = {k: np.asarray(v, order="C") for k, v in tensors.items()}
    meta = dict(metadata)
    meta["sha256"] = content_hash(contiguous, meta)
    header, order = _header(contiguous, meta)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for name in order:
            file.write(contiguous[name].data if contiguous[name].size else b"")


def _header(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """Return the JSON header and the order of the tensors, a function of the content alone.

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


def read_safetensors(path: Path, hashed: bool = False) -> tuple[dict[str, Array], dict[str, str]]:
    """Read arrays and metadata of a safetensors file.

    Raises:
        InputError: no such file, not safetensors, truncated, altered since its hash was written, or (``hashed``) it
            holds no hash.
    """
    from safetensors import safe_open

    check_is_file(path)
    with boundary(path, "a whole safetensors file"):
        _check_header(path)
        check_memory(path.stat().st_size, str(path), "its arrays", "Use a machine with more, or a smaller file")
        with safe_open(str(path), framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
        stated = metadata.get("sha256")
        if (hashed or stated is not None) and content_hash(tensors, metadata) != stated:
            raise InputError(str(path), "was altered after it was written (its hash does not fit)", "Write it again")
    return tensors, metadata


def _check_header(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8:
            raise InputError(str(path), f"has {size} bytes and is not a safetensors file")
        (length,) = struct.unpack("<Q", head)
        if length > min(size, _MAX_HEADER_BYTES):
            raise InputError(str(path), "is not a safetensors file, or it is truncated")
        parse_json(file.read(length), path)


def may_be_whole(path: Path) -> bool:
    """Return whether a file that is too long to hash in passing ends where its own directory says."""
    from safetensors import safe_open

    if path.stat().st_size <= MAX_JSON_BYTES:
        return True
    try:
        with boundary(path, "a whole file"):
            if path.suffix == ".npz":
                zipfile.ZipFile(path).close()
                return True
            _check_header(path)
            with safe_open(str(path), framework="numpy"):
                return True
    except InputError:
        return False


def write_npz(path: Path, arrays: Mapping[str, Array | Spool]) -> None:
    """Write arrays whole or not at all; equal arrays give equal bytes, from memory or from the disk (those of `numpy.savez`)."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                if isinstance(array, Spool):
                    _write_spool(file, array)
                else:
                    _NPY.write_array(file, np.asanyarray(array), allow_pickle=False)


def _write_spool(file: IO[bytes], spool: Spool) -> None:
    facts = {"descr": _NPY.dtype_to_descr(spool.dtype), "fortran_order": False, "shape": spool.shape}
    _NPY.write_array_header_1_0(file, facts)
    for block in spool.blocks():
        file.write(block.data)


def _check_npz(path: Path) -> None:
    """Compare what every array's header promises with the bytes that are there, before memory is taken for it."""
    total, size = 0, path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > _MAX_ARRAYS:
            raise InputError(str(path), f"holds {len(entries):,} arrays; {_MAX_ARRAYS:,} are the most")
        check_unique(entry.filename.removesuffix(".npy") for entry in entries)
        for entry in entries:
            where = f"{path}: {entry.filename.removesuffix('.npy')}"
            check_unpacked(entry.file_size, min(entry.compress_size, size), where)
            with archive.open(entry) as stream:
                _check_array(stream, entry.file_size, where)
            total += entry.file_size
    check_memory(total, str(path), "its arrays, unpacked", "Use a smaller file")


def _check_array(stream: IO[bytes], size: int, where: str) -> None:
    """Raise `InputError` unless the header of an array of `size` bytes promises plain numbers or text that are there."""
    old = _NPY.read_magic(stream) == (1, 0)
    shape, _, dtype = (_NPY.read_array_header_1_0 if old else _NPY.read_array_header_2_0)(stream)
    promised, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if dtype.hasobject:
        raise InputError(where, "holds pickled objects (loading them would run code)", "Write numbers")
    if not dtype.itemsize and math.prod(shape) > _MAX_EMPTY:
        raise InputError(where, f"promises {math.prod(shape):,} values of no byte", "Write numbers")
    if promised > held:
        raise InputError(where, f"promises {promised:,} bytes and holds {held:,}", "Write it again")


def read_npz(path: Path, names: tuple[str, ...] | None = None) -> dict[str, Array]:
    """Read arrays of an .npz file by name (all of them where no names are given), never unpickled.

    Raises:
        InputError: no such file, not a whole .npz file, an array is missing or not of numbers, or the file says that it
            holds more than it does or than there is memory for.
    """
    check_is_file(path)
    with boundary(path, "a whole .npz file"):
        _check_npz(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            for name in names or ():
                if name not in file.files:
                    raise InputError(str(path), f"lacks the array {name!r}", f"It has: {', '.join(file.files[:20])}")
            return {name: _text_checked(file[name]) for name in (names if names is not None else file.files)}


def read_npy(path: Path) -> Array:
    """Return the array of an .npy file, never unpickled.

    Raises:
        InputError: no such file, not a whole .npy file, or an array of objects.
    """
    check_is_file(path)
    with boundary(path, "a plain .npy array", "Write it with numpy.save"), path.open("rb") as stream:
        _check_array(stream, path.stat().st_size, str(path))
        stream.seek(0)
        array: Array = np.load(stream, allow_pickle=False)
        return _text_checked(array)


def _text_checked(array: Array) -> Array:
    """Return the array; raise `ValueError` for text in it that is no Unicode, which would fail where it is used."""
    if array.dtype.kind == "U" and array.size and array.itemsize:
        codes = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("=")).reshape(-1).view(np.uint32)
        if int(codes.max()) > 0x10FFFF or ((codes >= 0xD800) & (codes < 0xE000)).any():
            raise ValueError("its text is no Unicode")
    return array
