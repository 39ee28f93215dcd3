"""Damage: random edits of bytes, and of the content of files that carry a hash, with the hash made to fit again."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from simulator.base.files import content_hash

_ODD_INTS = (
    0, 1, -1, 2, 63, 64, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, -(2**31), 2**32, 2**63 - 1, 2**63, 10**30,
)  # fmt: skip
_ODD_TEXT = (
    "", "[/x]", "\x1b[31m", "\0", "a" * 5000, "<script>", "../../etc/passwd", "\ud800", "nan", "\N{SNOWMAN}", "__proto__",
)  # fmt: skip
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0.5, -0.0, 1e308, float("nan"), float("inf"), [], {}, [[]], {"": None}),
    *_ODD_INTS,
    *_ODD_TEXT,
)
_SPLICES = (
    *(b"\0" * 64, b"\xff" * 8, b"[" * 3000, b"{" * 500, b'"', b"\\", b"\n", b"9" * 5000, b"1e999", b"nan"),
    *(b"&a [*a]", b"!!python/object", b"\x1b[31m", b"../" * 20),
)


def damage(data: bytes, random: Random) -> bytes:
    """Return the bytes with one to four random edits; never the same bytes."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        random.choice(_EDITS)(out, random)
    return bytes(out) if bytes(out) != data else data + b"\0"


def _at(out: bytearray, random: Random) -> int:
    """Return a place: anywhere, or near an end, where headers and directories are."""
    n = max(1, len(out))
    return random.choice((random.randrange(n), random.randrange(min(n, 200)), n - 1 - random.randrange(min(n, 200))))


def _flip(out: bytearray, random: Random) -> None:
    if out:
        out[_at(out, random)] ^= 1 << random.randrange(8)


def _set(out: bytearray, random: Random) -> None:
    if out:
        out[_at(out, random)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))


def _word(out: bytearray, random: Random) -> None:
    at, form = _at(out, random), random.choice(("<H", "<I", "<Q", ">H", ">I", ">Q"))
    size = struct.calcsize(form)
    out[at : at + size] = struct.pack(form, random.choice(_ODD_INTS) % 256**size)


def _cut(out: bytearray, random: Random) -> None:
    del out[_at(out, random) :]


def _remove(out: bytearray, random: Random) -> None:
    at = _at(out, random)
    del out[at : at + random.randrange(1, 40)]


def _repeat(out: bytearray, random: Random) -> None:
    at = _at(out, random)
    out[at:at] = out[at : at + random.randrange(1, 200)] * random.randrange(1, 5)


def _insert(out: bytearray, random: Random) -> None:
    at = _at(out, random)
    out[at:at] = random.choice(_SPLICES)


def _swap(out: bytearray, random: Random) -> None:
    a, b, n = _at(out, random), _at(out, random), random.randrange(1, 30)
    out[a : a + n], out[b : b + n] = out[b : b + n], out[a : a + n]


_EDITS: tuple[Callable[[bytearray, Random], None], ...] = (
    *(_flip, _flip, _set, _word, _word, _cut, _remove, _repeat, _insert, _swap),
)


def damage_json(value: Any, random: Random) -> Any:
    """Return a JSON value with one leaf, entry or key changed."""
    paths: list[tuple[Any, Any]] = []

    def walk(v: Any) -> None:
        for key, item in list(v.items() if isinstance(v, dict) else enumerate(v)):
            paths.append((v, key))
            if isinstance(item, dict | list):
                walk(item)

    value = json.loads(json.dumps(value))
    if not isinstance(value, dict | list) or not value:
        return random.choice(_ODD)
    walk(value)
    holder, key = random.choice(paths)
    kind = random.random()
    if kind < 0.15:
        del holder[key]
    elif kind < 0.25 and isinstance(holder, dict):
        holder[random.choice(_ODD_TEXT)] = holder[key]
    elif isinstance(holder[key], int) and not isinstance(holder[key], bool) and kind < 0.7:
        holder[key] = random.choice((*_ODD_INTS, holder[key] + 1, holder[key] - 1, -holder[key]))
    else:
        holder[key] = random.choice(_ODD)
    return value


def damage_safetensors(data: bytes, random: Random) -> bytes:
    """Return a hashed safetensors file whose metadata or tensors are changed and whose hash fits again."""
    from safetensors.numpy import load

    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    tensors = dict(load(data))
    if random.random() < 0.5:
        key = random.choice([k for k in metadata if k != "sha256"])
        try:
            metadata[key] = json.dumps(damage_json(json.loads(metadata[key]), random))
        except ValueError:
            metadata[key] = str(random.choice(_ODD))
    else:
        name = random.choice(sorted(tensors))
        tensors[name] = _damage_array(tensors[name], random)
        if random.random() < 0.1:
            del tensors[name]
    return _packed(tensors, {k: v.encode("utf-8", "replace").decode() for k, v in metadata.items()})


def _damage_array(array: np.ndarray, random: Random) -> np.ndarray:
    kind = random.random()
    if kind < 0.6 and array.size:
        out = array.copy().reshape(-1)
        value = random.choice(_ODD_INTS)
        if out.dtype.kind in "iu":
            info = np.iinfo(out.dtype)
            out[random.randrange(out.size)] = random.choice((info.min, info.max, max(info.min, min(info.max, value))))
        elif out.dtype.kind == "f":
            with np.errstate(over="ignore"):  # of half floats
                out[random.randrange(out.size)] = random.choice((np.nan, np.inf, 1e38, -1e38, 0.0))
        return out.reshape(array.shape)
    if kind < 0.75:
        with np.errstate(all="ignore"):  # the values wrap
            return array.astype(random.choice(("i1", "i2", "i4", "i8", "f4", "f8", "u1")))
    if kind < 0.9:
        return array.reshape(-1)[: max(0, array.size - random.randrange(1, 4))]
    return np.concatenate([array.reshape(-1)] * 2) if kind < 0.95 else array.reshape(1, *array.shape)


def _packed(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    from safetensors.numpy import save

    whole = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    return save(whole, metadata | {"sha256": content_hash(whole, metadata)})
