"""A reader under test: a whole input that it reads, and how it is damaged."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

Mutation = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Reader:
    """A reader under test.

    Attributes:
        name: of the reader.
        files: relative path -> bytes of a whole input; one of them is damaged in each case.
        read: read the folder and use the content; returns a fingerprint where changed content must not pass, or None.
        mutations: ways to damage, chosen at random, by the ending of a file ("" for the others).
        hashed: every change of content must be refused.
    """

    name: str
    files: dict[str, bytes]
    read: Callable[[Path], Any]
    mutations: dict[str, tuple[Mutation, ...]] = field(default_factory=dict)
    hashed: bool = False


def print_of(*arrays: Any) -> str:
    """Return a hash of arrays and plain values."""
    digest = hashlib.sha256()
    for a in arrays:
        digest.update(np.ascontiguousarray(a).tobytes() if isinstance(a, np.ndarray) else repr(a).encode())
    return digest.hexdigest()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
