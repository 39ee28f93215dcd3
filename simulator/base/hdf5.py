"""HDF5 -> plain dictionaries, with every size known before memory is taken and nothing but plain data accepted.

A damaged file can send the HDF5 library into an endless loop or a crash: it is tried first (`simulator.base.tried`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.base.errors import InputError, MissingExtraError
from simulator.base.host_memory import check_memory
from simulator.base.reading import boundary, check_is_file
from simulator.base.tried import MAX_BYTES, check_survived

# A file beyond these is refused: they are far above any network that a chip holds (a million neurons with a
# hundred synapses each take 0.5 GB), and far below what would fill a machine's memory.
MAX_OBJECTS = 200_000
MAX_DEPTH = 64
# gzip shrinks at most about 1000 times; a larger array of mostly one value is a bomb, not a network.
BOMB_BYTES = 2**26
BOMB_RATIO = 200
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}

Tree = dict[str, Any]
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass
class _Budget:
    """Budget of what may still be read from one file."""

    where: str
    bytes_left: int = MAX_BYTES
    objects_left: int = MAX_OBJECTS


def read_tree(path: Path) -> Tree:
    """Read the content of an HDF5 file: groups as dictionaries, datasets as numpy arrays, strings as `str`.

    Raises:
        InputError: not HDF5, truncated, larger than the limits above, or holding links to other files.
        MissingExtraError: h5py is not installed.
    """
    if importlib.util.find_spec("h5py") is None:
        raise MissingExtraError("h5py", "nir", f"reading {path.name}")
    check_is_file(path)
    if not is_hdf5(path):
        raise InputError(str(path), "is not an HDF5 file, as .nir, .net and .h5 files are", "Name such a file")
    check_memory(path.stat().st_size, str(path), "its arrays", "Use a machine with more, or a smaller network")
    check_survived(path, _read, "a whole HDF5 file")
    with boundary(path, "a whole HDF5 file"):
        return _read(path)


def is_hdf5(path: Path) -> bool:
    """Return whether HDF5's signature stands at byte 0, 512, 1024, 2048 and so on."""
    with path.open("rb") as file:
        at, size = 0, path.stat().st_size
        while at < size:
            file.seek(at)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
            at = max(512, 2 * at)
    return False


def _read(path: Path) -> Tree:
    import h5py

    with h5py.File(path, "r") as file:
        return _group(file, "", _Budget(str(path)), 0)


def _group(group: Any, at: str, budget: _Budget, depth: int) -> Tree:
    import h5py

    if depth > MAX_DEPTH:
        raise InputError(budget.where, f"nests groups deeper than {MAX_DEPTH} at {at!r}", "Flatten the graph")
    out: Tree = {}
    for name in group:
        budget.objects_left -= 1
        if budget.objects_left < 0:
            raise InputError(budget.where, f"has more than {MAX_OBJECTS} groups and datasets")
        here = f"{at}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{budget.where}: {here}", "is a link, not data", "Copy the data into the file")
        item = group[name]
        out[name] = _group(item, here, budget, depth + 1) if isinstance(item, h5py.Group) else _data(item, here, budget)
    return out


def _data(item: Any, at: str, budget: _Budget) -> Any:
    where = f"{budget.where}: {at}"
    _check_storage(item, where)
    declared, stored = int(item.size or 0) * item.dtype.itemsize, int(item.id.get_storage_size())
    if declared > budget.bytes_left:
        raise InputError(
            where,
            f"holds {declared:,} bytes; a file may hold {MAX_BYTES:,}",
            "Use a smaller network, or write it as an .npz (docs/function.md), which memory alone limits",
        )
    if declared > BOMB_BYTES and declared > BOMB_RATIO * stored:
        raise InputError(where, f"unpacks {stored:,} bytes to {declared:,}: more than {BOMB_RATIO} times")
    check_memory(declared, where, "one array", "Use a machine with more, or a smaller network")
    budget.bytes_left -= declared
    return _rows(item, where, budget) if item.dtype.metadata and _holds_arrays(item) else _plain(item[()])


def _holds_arrays(item: Any) -> bool:
    """Return whether a dataset is a list of arrays of numbers, each of a length of its own."""
    import h5py

    inner = h5py.check_vlen_dtype(item.dtype)
    return isinstance(inner, np.dtype) and item.ndim == 1


def _rows(item: Any, where: str, budget: _Budget) -> list[Any]:
    """Read such a list row by row: many rows may be one object of the file, so what they unfold to is counted as it comes."""
    rows = []
    for k in range(len(item)):
        row = np.asarray(item[k])
        budget.bytes_left -= row.nbytes
        if budget.bytes_left < 0:
            raise InputError(where, f"unfolds to more than {MAX_BYTES:,} bytes", "Use a smaller file")
        rows.append(row)
    return rows


def _check_storage(item: Any, where: str) -> None:
    if not hasattr(item, "is_virtual") or item.is_virtual or item.external:
        raise InputError(where, "keeps its data in another file", "Copy the data into the file")
    filters = item.id.get_create_plist()
    for i in range(filters.get_nfilters()):
        code = filters.get_filter(i)[0]
        if code not in _FILTERS:
            raise InputError(where, f"is packed with filter {code}", f"Known filters: {', '.join(_FILTERS.values())}")


def _plain(value: Any) -> Any:
    """Convert bytes to `str`, object arrays of strings to nested lists of `str`; leave numbers as they are."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        return _strings(value.tolist())
    return value


def _strings(value: Any) -> Any:
    if isinstance(value, list):
        return [_strings(v) for v in value]
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def require(tree: Mapping[str, Any], key: str, where: str, way_out: str = "") -> Any:
    """Return ``tree[key]``, or raise an `InputError` that names what there is instead."""
    if key not in tree:
        raise InputError(where, f"has no {key!r} (it has {sorted(tree)[:8]})", way_out)
    return tree[key]
