"""Readers of recorded data: files and folders by suffix, objects of torch and tonic.

===========  ==========================================================================================
.npz         x, or x.NAME for each of several inputs; perhaps y and out, or y.NAME and out.NAME (see `Dataset`)
.npy         x
.h5, .hdf5   SHD and SSC: spikes/times [s], spikes/units, perhaps labels; binned by ``time_step``. Or the arrays of an .npz
.csv         events t, x, y, p of one sample (t in microseconds); a header line is skipped
.bin         N-MNIST and N-Caltech: five bytes an event
.aedat4      events of a DV camera, by the package aedat (extra ``tasks``)
folder       x.npy, perhaps y.npy and out.npy, as the arrays of an .npz. Or one file a sample (events, or x [T, ...] as .npy or
             .npz); sub-folders are the classes, in the order of their names
===========  ==========================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bimhw.tasks.binning import checked
from bimhw.tasks.checks import extra
from bimhw.tasks.labels import as_labels
from bimhw.tasks.lengths import one_length
from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.files import check_is_file, read_npy, read_npz
from simulator.base.hdf5 import read_tree
from simulator.base.host_memory import check_memory
from simulator.base.misplaced import check_no_run_folder
from simulator.base.reading import boundary, read_bytes, read_text, unheard
from simulator.base.tried import check_survived
from simulator.base.unpacking import BOMB_BYTES

Value = Any  # what a user's dataset holds: tensors, arrays, numbers
Options = Mapping[str, Any]
Fields = Mapping[str, Any]  # of a Dataset, by name
Events = tuple[Array, Array, Array, Array]  # t [us], x, y, p
TIME_STEP = 0.01  # s, of event data
SHD_UNITS = 700
MOST_EVENT_BYTES = 2**30


def read_fields(source: object, how: Options) -> Fields:
    """Return the fields of a `Dataset` (x, perhaps y, out, name) that a file, a folder or an object holds."""
    how = checked(how)
    if isinstance(source, str | Path):
        return {"name": Path(source).name} | dict(_read_path(Path(source), how))
    return _read_object(source, how)


def _read_path(path: Path, how: Options) -> Fields:
    if path.is_dir():
        check_no_run_folder(path)
        return _read_folder(path, how)
    check_is_file(path)
    reader = BY_SUFFIX.get(path.suffix.lower())
    if reader is None:
        raise InputError(str(path), f"has the unknown suffix {path.suffix!r}", f"Data: {', '.join(sorted(BY_SUFFIX))}")
    with boundary(path, "a file of samples", "See `bimhw.tasks.readers` for what each suffix holds"):
        return reader(path, how)


def _read_npz(path: Path, how: Options) -> Fields:
    return _named_arrays(path, read_npz(path))


def _named_arrays(path: Path, arrays: Mapping[str, Array]) -> Fields:
    """Return the fields of a `Dataset` from arrays by name."""
    inputs, targets, recorded = (
        {k.removeprefix(mark): v for k, v in arrays.items() if k.startswith(mark)} for mark in ("x.", "y.", "out.")
    )
    if "x" not in arrays and not inputs:
        raise InputError(str(path), "has no array 'x'", f"It has: {sorted(arrays)}")
    found: dict[str, object] = {k: arrays[k] for k in ("x", "y", "out") if k in arrays}
    found |= {"targets": targets, "recorded": recorded}
    return {"x": next(iter(inputs.values())), "inputs": inputs} | found if inputs else found


def _read_npy(path: Path, how: Options) -> Fields:
    return {"x": read_npy(path)}


def _read_h5(path: Path, how: Options) -> Fields:
    """Read spike counts [B, T, units] in bins of ``time_step``."""
    step = float(how.get("time_step", TIME_STEP))
    tree = read_tree(path)
    plain = {k: np.asarray(v) for k, v in tree.items() if not isinstance(v, Mapping)}
    if "spikes" not in tree and ("x" in plain or any(k.startswith("x.") for k in plain)):
        return _named_arrays(path, plain)
    with boundary(path, "in the layout of SHD and SSC", "It needs spikes/times and spikes/units, or arrays x and y"):
        times, units = tree["spikes"]["times"], tree["spikes"]["units"]
        labels = as_labels(plain["labels"], f"{path}: labels") if "labels" in plain else None
        pairs = [(np.asarray(t), np.asarray(u)) for t, u in zip(times, units, strict=True)]
        if any(u.dtype.kind not in "iu" for _, u in pairs):
            raise ValueError("its units are no whole numbers")
        if any(t.shape != u.shape or t.ndim != 1 or not np.isfinite(t).all() or (t < 0).any() for t, u in pairs):
            raise ValueError("its times and units differ in length, or a time is no number of at least 0")
        if "labels" in plain and (labels is None or labels.shape != (len(pairs),)):
            raise ValueError(f"it has {plain['labels'].size} labels for {len(pairs)} samples, one class each")
    size = how.get("size")
    if isinstance(size, tuple):
        raise InputError("data option size", f"is {size[0]} x {size[1]} for a file of channels", "Give one number")
    width = int(size or max([SHD_UNITS, *(int(u.max(initial=0)) + 1 for _, u in pairs)]))
    steps = int(how.get("bins", 1 + max((int(float(t.max(initial=0)) / step) for t, _ in pairs), default=0)))
    _check_binned(len(pairs) * steps * width, sum(t.size for t, _ in pairs), str(path), how)
    x = _counts((_cells_of_units(t, u, step, steps, width) for t, u in pairs), (len(pairs), steps, width))
    return {"x": x, "y": labels, "layout": "bt"}


def _cells_of_units(times: Array, units: Array, step: float, steps: int, width: int) -> Array:
    """Return the flat index into [steps, width] of each spike inside of it."""
    at, unit = (times.astype(np.float64) / step).astype(np.int64), units.astype(np.int64)
    inside = (at < steps) & (unit >= 0) & (unit < width)
    return (at * width + unit)[inside]


def _events_csv(path: Path) -> Events:
    with boundary(path, "a list of events", "Write lines t,x,y,p"):
        lines = read_text(path, MOST_EVENT_BYTES).splitlines()
        skip = int(any(c.isalpha() for c in lines[0])) if lines else 0
        table = np.loadtxt(lines[skip:], delimiter=",", ndmin=2)
        if table.shape[1] != 4:
            raise InputError(str(path), f"has {table.shape[1]} columns", "Write lines t,x,y,p")
        if not (np.abs(table) < 2.0**53).all():
            raise ValueError("it holds a value that is no whole number below 2^53")
    t, x, y, p = table.T
    return t, x.astype(np.int64), y.astype(np.int64), (p > 0).astype(np.int64)


def _events_bin(path: Path) -> Events:
    raw = np.frombuffer(read_bytes(path, MOST_EVENT_BYTES), np.uint8)
    if raw.size % 5:
        raise InputError(str(path), f"has {raw.size} bytes, and an event has five", "It was cut off")
    b = raw.reshape(-1, 5).astype(np.int64)
    t = ((b[:, 2] & 0x7F) << 16) | (b[:, 3] << 8) | b[:, 4]
    return t, b[:, 0], b[:, 1], b[:, 2] >> 7


def _events_aedat4(path: Path) -> Events:
    """Read events of all streams of a recording, in time order, from the first one on."""
    aedat = extra("aedat", str(path))

    def packets(path: Path) -> list[Array]:
        return [packet["events"] for packet in aedat.Decoder(str(path)) if "events" in packet]

    what, way_out = "a whole AEDAT4 recording", "Record it again"
    with boundary(path, what, way_out), unheard():
        check_survived(path, packets, what, way_out)
        parts = packets(path)
    if not any(part.size for part in parts):
        raise InputError(str(path), "holds no events", "Record a stream of events")
    events = np.concatenate(parts)
    events = events[np.argsort(events["t"], kind="stable")]
    t, x, y, on = (events[name].astype(np.int64) for name in ("t", "x", "y", "on"))
    return t - t[0], x, y, on


_EVENTS: dict[str, Callable[[Path], Events]] = {".csv": _events_csv, ".bin": _events_bin, ".aedat4": _events_aedat4}


def _read_events(path: Path, how: Options) -> Fields:
    return {"x": _frames([_EVENTS[path.suffix.lower()](path)], how, str(path)), "layout": "bt"}


def _frames(recordings: list[Events], how: Options, where: str, signs: int = 2) -> Array:
    """Count events [B, T, signs, H, W] in bins of ``time_step`` s; ON events are channel 1, or all events channel 0."""
    step = float(how.get("time_step", TIME_STEP)) * 1e6
    for t, x, y, _ in recordings:
        if t.size and (min(int(t.min()), int(x.min()), int(y.min())) < 0):
            raise InputError(where, "has an event before time 0 or outside of the sensor")
    size = how.get("size")
    size = (size, size) if isinstance(size, int) else size
    width = int(size[0] if size else 1 + max((int(r[1].max(initial=0)) for r in recordings), default=0))
    height = int(size[1] if size else 1 + max((int(r[2].max(initial=0)) for r in recordings), default=0))
    steps = int(how.get("bins", 1 + max((int(r[0].max(initial=0) / step) for r in recordings), default=0)))
    events = sum(r[0].size for r in recordings)
    _check_binned(signs * len(recordings) * steps * width * height, events, where, how)

    def cells(recording: Events) -> Array:
        t, x, y, p = recording
        at = (t / step).astype(np.int64)
        inside = (at < steps) & (x < width) & (y < height)
        flat: Array = (((at * signs + np.minimum(p, signs - 1)) * height + y) * width + x)[inside]
        return flat.astype(np.int64)

    return _counts(map(cells, recordings), (len(recordings), steps, signs, height, width))


def _check_binned(size: int, events: int, where: str, how: Options) -> None:
    """Raise `InputError` for bins that do not fit the memory, or far more of them than so few events need."""
    check_memory(size, where, "its binned events", "Take longer steps: --data-option time_step=SECONDS")
    if size > BOMB_BYTES and size > 1000 * events and not {"bins", "size"} & set(how):
        raise InputError(
            where,
            f"spreads {events:,} events over {size:,} bins: a time or an address is far off",
            "Give size and bins",
        )


def _counts(samples: Iterable[Array], shape: tuple[int, ...]) -> Array:
    """Return how often each cell occurs in each sample (its cells are flat indices into shape[1:]), in the narrowest words.

    Sample by sample: sorting or holding the events of a whole recording took most of the time and memory of reading it.
    """
    out = np.zeros(shape, np.uint8)
    size = math.prod(shape[1:])
    for k, cells in enumerate(samples):
        if size <= 16 * cells.size:
            counts = np.bincount(cells, minlength=size)
            at = np.flatnonzero(counts)
            n = counts[at]
        else:  # few events on a large sensor
            at, n = np.unique(cells, return_counts=True)
        if (most := int(n.max(initial=0))) > np.iinfo(out.dtype).max:
            out = out.astype(np.int16 if most < 2**15 else np.int32)
        out[k].reshape(-1)[at] = n
    return out


def _read_folder(path: Path, how: Options) -> Fields:
    if named := {p.stem: p for p in sorted(path.glob("*.npy")) if p.stem.partition(".")[0] in ("x", "y", "out")}:
        with boundary(path, "a folder of x.npy, y.npy and out.npy"):
            return _named_arrays(path, {name: read_npy(p) for name, p in named.items()})
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in (*_EVENTS, *_ARRAYS))
    if not files:
        raise InputError(str(path), "holds no recordings", f"One file a sample: {', '.join((*_EVENTS, *_ARRAYS))}")
    arrays = [p.suffix.lower() in _ARRAYS for p in files]
    if any(arrays) and not all(arrays):
        raise InputError(str(path), "holds both events and arrays", "Give each a folder of its own")
    names = sorted({p.parent.name for p in files if p.parent != path}, key=lambda n: (not n.isdigit(), n.zfill(9)))
    labelled = all(p.parent != path for p in files)
    y = np.array([names.index(p.parent.name) for p in files], np.int64) if labelled else None
    with boundary(path, "a folder of recordings"):
        if any(arrays):
            parts, notes = one_length([_sample(p) for p in files], 0, 1, path.name)
            return {"x": np.stack(parts), "y": y, "notes": notes} | ({"layout": "bt"} if parts[0].ndim > 1 else {})
        x = _frames([_EVENTS[p.suffix.lower()](p) for p in files], how, str(path))
    return {"x": x, "y": y, "layout": "bt"}


def _sample(path: Path) -> Array:
    """Return the array of one sample: an .npy, or x or the only array of an .npz."""
    if path.suffix.lower() == ".npy":
        return read_npy(path)
    arrays = read_npz(path)
    if "x" not in arrays and len(arrays) != 1:
        raise InputError(str(path), "has no array 'x'", f"It has: {sorted(arrays)}")
    return arrays["x"] if "x" in arrays else next(iter(arrays.values()))


def _read_object(source: object, how: Options) -> Fields:
    """Read the arrays of a torch Dataset or DataLoader, of tonic, or of any sequence of (input, label)."""
    if not hasattr(source, "__iter__") and not hasattr(source, "__getitem__"):
        raise InputError(f"data of type {type(source).__name__!r}", "is not known", "Give a file, or pairs of (x, y)")
    batched = hasattr(source, "batch_size") and getattr(source, "batch_size", None) is not None
    items = list(_items(source))
    if not items:
        raise InputError("data", "has no samples", "Give at least one")
    name = type(source).__name__
    first = items[0][0]
    if getattr(first, "dtype", None) is not None and getattr(first.dtype, "names", None):  # tonic: structured events
        recordings = [(e["t"], e["x"].astype(np.int64), _row(e), e["p"].astype(np.int64)) for e, _ in items]
        width, height, signs = getattr(source, "sensor_size", None) or (None, None, 2)
        size = {} if width is None or height is None else {"size": (width, height)}
        x = _frames(recordings, {**size, **how}, name, int(signs))
        return {"x": x, "y": _labels([y for _, y in items]), "layout": "bt", "name": name}
    arrays = [_numpy(x) for x, _ in items]
    labels = [_numpy(y) for _, y in items]
    if batched:
        axis = 0 if all(a.shape[0] == np.size(y) for a, y in zip(arrays, labels, strict=True)) else 1
        parts, notes = one_length(arrays, 1 - axis, 2, name)
        layout = {} if not notes else {"layout": "bt" if axis == 0 else "tb"}
        y = np.concatenate([np.atleast_1d(y) for y in labels])
        return {"x": np.concatenate(parts, axis), "y": y, "name": name, "notes": notes, **layout}
    parts, notes = one_length(arrays, 0, 1, name)
    return {
        "x": np.stack(parts),
        "y": _labels(labels),
        "name": name,
        "notes": notes,
        **({"layout": "bt"} if notes else {}),
    }


def _items(source: Value) -> Iterable[tuple[Value, Value]]:
    """Return pairs; a map-style dataset has a length and no end of its own."""
    if hasattr(source, "__len__") and hasattr(source, "__getitem__"):
        pairs: Iterable[Value] = (source[i] for i in range(len(source)))
    else:
        pairs = iter(source)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError("data", f"gives {type(pair).__name__}, not pairs of (x, y)")
        yield pair[0], pair[1]


def _row(events: Array) -> Array:
    rows: Array = events["y"].astype(np.int64) if "y" in (events.dtype.names or ()) else np.zeros(events.size, np.int64)
    return rows


def _numpy(value: Value) -> Array:
    if getattr(value, "is_sparse", False):
        value = value.to_dense()
    array: Array = np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
    return array


def _labels(values: list[Value]) -> Array:
    """Return labels; names of classes become numbers in the order of the names."""
    stacked = np.stack([_numpy(v) for v in values])
    return np.unique(stacked, return_inverse=True)[1] if stacked.dtype.kind in "US" else stacked


_ARRAYS = (".npy", ".npz")
BY_SUFFIX: dict[str, Callable[[Path, Options], Fields]] = {
    ".npz": _read_npz, ".npy": _read_npy, ".h5": _read_h5, ".hdf5": _read_h5,
    ".csv": _read_events, ".bin": _read_events, ".aedat4": _read_events,
}  # fmt: skip
