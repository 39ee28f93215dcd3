"""Projections with shared rows: a convolution that is never unrolled.

Sources whose synapses differ only by where they start share one row. With r = row[i] and o = offset[i], source i has the synapses

    (indices[k] + o, weights[k])    for k in template[r] .. template[r + 1] - 1

A convolution has one row for each source channel and each kind of border; all other places are shifts of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numba
import numpy as np
import numpy.typing as npt

from simulator.base.arrays import I32, I64, Floats
from simulator.base.errors import InputError
from simulator.base.host_memory import check_memory
from simulator.program.graph import Projection

Numbers = npt.NDArray[np.number]
_SYNAPSE_BYTES = 12


@dataclass(frozen=True, eq=False)
class SharedProjection(Projection):
    """A projection whose ``indices`` and ``weights`` are those of its rows; ``indptr`` counts the synapses of each source.

    Attributes:
        row: int32 [n_source], row of each source.
        offset: int32 [n_source], added to the targets of the row.
        template: int64 [rows + 1], row pointers into ``indices`` and ``weights``.
        channels: target channels, where a core needs the kernels of its own channels only.
        channel_words: weight words of one target channel's kernels; 0 where a core needs all `shared_words`.
    """

    row: I32 = field(default_factory=lambda: np.zeros(0, np.int32))
    offset: I32 = field(default_factory=lambda: np.zeros(0, np.int32))
    template: I64 = field(default_factory=lambda: np.zeros(1, np.int64))
    channels: int = 1
    channel_words: int = 0

    @property
    def n_synapses(self) -> int:
        """Number of synapses, each shared word counted as often as it is used."""
        return int(self.indptr[-1])

    def fan_in(self, n_target: int) -> I64:
        """Return the synapses of each target neuron, int64 [n_target]."""
        out = np.zeros(n_target, np.int64)
        _count_targets(self.row, self.offset, self.template, self.indices, np.arange(n_target, dtype=np.int32), out)
        return out

    def synapses_on(self, core: I32, n_cores: int) -> I64:
        """Return the synapses on each core, int64 [n_cores]; `core` of each target neuron."""
        out = np.zeros(n_cores, np.int64)
        _count_targets(self.row, self.offset, self.template, self.indices, core, out)
        return out

    def channels_on(self, core: I32, n_cores: int) -> I64:
        """Return the target channels that each core holds a part of, int64 [n_cores]."""
        return channels_on(self.channels, core, n_cores)


def channels_on(channels: int, core: I32, n_cores: int) -> I64:
    """Return how many of `channels` equal parts of a population each core holds a part of, int64 [n_cores]."""
    number = np.repeat(np.arange(channels, dtype=np.int64), core.size // channels)
    pairs = np.unique(core.astype(np.int64) * channels + number)
    return np.bincount(pairs // channels, minlength=n_cores)


def first_of_channel(q: SharedProjection, n_target: int) -> I64:
    """Return the first neuron of the target channel of each word of the rows, int64 [words]."""
    offset, plane = np.zeros(q.template.size - 1, np.int64), n_target // q.channels
    offset[q.row] = q.offset  # every source of a row leads to the same channels
    target = q.indices.astype(np.int64) + np.repeat(offset, np.diff(q.template))
    return target // plane * plane


def with_weights(q: SharedProjection, weights: Numbers, **changed: object) -> SharedProjection:
    """Return the projection with other weights of its rows; synapses whose weight is 0 are dropped."""
    keep = weights != 0
    kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(keep)])
    template = kept[q.template]
    same = (
        {f.name: getattr(q, f.name) for f in fields(q)}
        | changed
        | {
            "indices": q.indices[keep],
            "weights": weights[keep],
            "template": template,
            "indptr": pointers(q.row, template),
        }
    )
    return SharedProjection(**same)


def pointers(row: I32, template: I64) -> I64:
    """Return the row pointers of the unrolled projection, int64 [n_source + 1]."""
    out = np.zeros(row.size + 1, np.int64)
    np.cumsum(np.diff(template)[row], out=out[1:])
    return out


def unrolled(q: Projection) -> Projection:
    """Return a projection with every synapse in a list of its own; one that is not shared is returned as it is.

    Raises:
        InputError: it would not fit the memory.
    """
    if not isinstance(q, SharedProjection):
        return q
    check_memory(
        _SYNAPSE_BYTES * q.n_synapses,
        f"projection {q.name!r}",
        "its synapses unrolled",
        "Run it where kernels are shared",
    )
    indices = np.empty(q.n_synapses, np.int32)
    weights = np.empty(q.n_synapses, q.weights.dtype)
    _unroll(q.row, q.offset, q.template, q.indices, q.weights, indices, weights)
    plain = {f.name: getattr(q, f.name) for f in fields(Projection)}
    return Projection(**plain | {"indices": indices, "weights": weights})


def unrolled_all(projections: Iterable[Projection]) -> tuple[Projection, ...]:
    """Return projections unrolled, for engines that follow single synapses.

    Raises:
        InputError: one does not fit the memory.
    """
    return tuple(unrolled(q) for q in projections)


def magnitudes(q: SharedProjection, n_target: int) -> Floats:
    """Return the sum of the absolute weights onto each target, float64 [n_target]."""
    out = np.zeros(n_target)
    add_shared_magnitudes(q.row, q.offset, q.template, q.indices, q.weights, 1.0, out)
    return out


class SharedMatrix:
    """A shared projection as the right factor of ``x @ matrix``, x [B, n_source]; only sources that are not 0 cost time."""

    __array_ufunc__ = None  # numpy leaves the product to `__rmatmul__`

    def __init__(self, q: SharedProjection, n_target: int) -> None:
        self.q, self.n_target = q, n_target

    def __rmatmul__(self, x: Floats) -> Floats:
        """Return [B, n_target]."""
        q, out = self.q, np.zeros((x.shape[0], self.n_target))
        _product(np.ascontiguousarray(x), q.row, q.offset, q.template, q.indices, q.weights, out)
        return out


def check_shared(q: SharedProjection, n_source: int, n_target: int, where: str) -> None:
    """Raise `InputError` unless rows and offsets lead to synapses and targets that are there."""
    for name in ("row", "offset", "template"):
        array = getattr(q, name)
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise InputError(where, f"has {name} of type {array.dtype} and shape {array.shape}; integers, 1-D")
    t = q.template
    if t.size < 1 or t[0] != 0 or t[-1] != q.indices.size or (t[1:] < t[:-1]).any():
        raise InputError(where, "has row pointers that do not fit its synapses")
    if q.row.shape != (n_source,) or q.offset.shape != (n_source,):
        raise InputError(where, f"has {q.row.size} rows and {q.offset.size} offsets for {n_source} sources")
    if n_source and not 0 <= int(q.row.min()) <= int(q.row.max()) < t.size - 1:
        raise InputError(where, f"has a row outside 0..{t.size - 2}")
    if not np.array_equal(q.indptr, pointers(q.row, t)):
        raise InputError(where, "has row pointers that do not fit its rows")
    low, high = np.zeros(t.size - 1, np.int64), np.full(t.size - 1, -1, np.int64)
    used = np.flatnonzero(np.diff(t))
    if used.size:
        low[used] = np.minimum.reduceat(q.indices, t[:-1][used])
        high[used] = np.maximum.reduceat(q.indices, t[:-1][used])
        mine = np.diff(t)[q.row] > 0
        first, last = low[q.row[mine]] + q.offset[mine], high[q.row[mine]] + q.offset[mine]
        if first.size and not 0 <= int(first.min()) <= int(last.max()) < n_target:
            raise InputError(where, f"has a target outside 0..{n_target - 1}")
    if q.channels < 1 or n_target % q.channels or q.channel_words < 0:
        raise InputError(where, f"has {q.channels} channels for {n_target} targets")
    if q.first:
        raise InputError(where, f"shares its rows and begins at the target {q.first}; it must begin at 0")
    if q.plastic:
        raise InputError(where, "shares its weights and is plastic", "Unroll it to learn")


@numba.njit(cache=True, nogil=True)
def _count_targets(row: I32, offset: I32, template: I64, indices: I32, place: I32, out: I64) -> None:
    """Add 1 to out[place[target]] for every synapse."""
    for i in range(row.size):
        shift = offset[i]
        for j in range(template[row[i]], template[row[i] + 1]):
            out[place[indices[j] + shift]] += 1


@numba.njit(cache=True, nogil=True)
def _unroll(
    row: I32, offset: I32, template: I64, indices: I32, weights: Numbers, targets: I32, values: Numbers
) -> None:
    at = 0
    for i in range(row.size):
        shift = offset[i]
        for j in range(template[row[i]], template[row[i] + 1]):
            targets[at] = indices[j] + shift
            values[at] = weights[j]
            at += 1


@numba.njit(cache=True, nogil=True)
def add_shared_magnitudes(
    row: I32, offset: I32, template: I64, indices: I32, weights: Numbers, scale: float, bound: Floats
) -> None:
    """Add |weight| * scale to bound[target] for every synapse."""
    for i in range(row.size):
        shift = offset[i]
        for j in range(template[row[i]], template[row[i] + 1]):
            bound[indices[j] + shift] += abs(weights[j]) * scale


@numba.njit(cache=True, nogil=True)
def _product(x: Floats, row: I32, offset: I32, template: I64, indices: I32, weights: Numbers, out: Floats) -> None:
    for b in range(x.shape[0]):
        for i in range(row.size):
            value = x[b, i]
            if value != 0.0:
                shift = offset[i]
                for j in range(template[row[i]], template[row[i] + 1]):
                    out[b, indices[j] + shift] += weights[j] * value
