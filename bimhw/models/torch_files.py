"""Files that torch writes: no code in them is run, their content is hashed, equal content gives equal bytes."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.base.errors import InputError
from simulator.base.host_memory import check_memory
from simulator.base.misplaced import WAY_IN
from simulator.base.reading import boundary, check_is_file
from simulator.base.unpacking import check_unpacked
from simulator.base.writing import replacing

HASH_KEY = "sha256"


def save_torch(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dictionary of tensors and plain values, whole or not at all, with its hash under ``sha256``."""
    import torch

    buffer = io.BytesIO()  # torch writes a file's own name into it, and here that is a temporary one
    torch.save({**content, HASH_KEY: content_sha256(content)}, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_torch(path: Path, what: str, way_out: str = "Write it again") -> dict[str, Any]:
    """Return the dictionary of a torch file; its hash, where it holds one, must fit.

    Raises:
        InputError: no such file, damaged, altered, holding pickled objects, or no dictionary.
    """
    import torch

    check_is_file(path)
    with boundary(path, what, way_out):
        _check_size(path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise InputError(
                str(path),
                "holds a pickled object (loading it would run its code), or is no torch file",
                f"{WAY_IN}. A model of bimhw is saved by bimhw.models.io.save_model",
            ) from error
        if not isinstance(content, dict):
            raise InputError(str(path), f"holds {type(content).__name__}, not a dictionary", way_out)
        stated = content.get(HASH_KEY)
        if stated is not None and content_sha256({k: v for k, v in content.items() if k != HASH_KEY}) != stated:
            raise InputError(str(path), "was altered after it was written (its hash does not fit)", "Write it again")
        return content


def _check_size(path: Path) -> None:
    size = unpacked = path.stat().st_size
    if zipfile.is_zipfile(path):  # not torch's older form
        with zipfile.ZipFile(path) as archive:
            if any(entry.filename.endswith("/constants.pkl") for entry in archive.infolist()):
                raise InputError(str(path), "is a TorchScript archive, which runs code when it is read", WAY_IN)
            for entry in archive.infolist():
                check_unpacked(entry.file_size, min(entry.compress_size, size), f"{path}: {entry.filename}")
            unpacked = sum(entry.file_size for entry in archive.infolist())
    check_memory(unpacked, str(path), "its tensors", "Use a machine with more, or a smaller network")


def content_sha256(value: Any) -> str:
    """Return the sha256 of nested dictionaries, lists, tensors and plain values; the order of keys counts for nothing."""
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise InputError("tensor", "is no plain tensor of numbers", "Save it dense, in float32, on the CPU")
        plain = value.detach().contiguous()
        digest.update(f"T{plain.dtype}{tuple(plain.shape)}".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    elif isinstance(value, Mapping):
        digest.update(f"D{len(value)}".encode())
        for key in sorted(value, key=repr):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"L{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(f"{type(value).__name__}{value!r};".encode())
