"""Projections known by their pattern only: a convolution that is counted, not unrolled.

The synapses of a window sum are a Kronecker product: a source (c, i, j, ...) meets a target (o, y, x, ...) where
channels[o, c], dims[0][y, i], dims[1][x, j] ... all hold. Fan-in, synapses of a core and axons follow from the factors, so that
a network of 10^9 synapses is judged in megabytes. Every position of a pattern counts as a stored synapse; weights that
quantisation would round to 0 are counted too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.base.arrays import I32, I64, Bools
from simulator.base.errors import FitError
from simulator.program.graph import Projection
from simulator.program.program import Program
from simulator.program.shared import channels_on

MOST_CORES = 50_000  # beyond which axons are not counted


@dataclass(frozen=True, eq=False)
class Pattern:
    """Pairs of sources and targets.

    Attributes:
        channels: bool [O, C], scipy CSR.
        dims: bool [out, in] for each further dimension.
    """

    channels: Any
    dims: tuple[Bools, ...] = ()

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the targets."""
        return (int(self.channels.shape[0]), *(int(d.shape[0]) for d in self.dims))

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of the sources."""
        return (int(self.channels.shape[1]), *(int(d.shape[1]) for d in self.dims))

    @cached_property
    def fan_in(self) -> I64:
        """Synapses of each target, int64 [targets]."""
        sums = [np.diff(self.channels.indptr).astype(np.int64), *(d.sum(axis=1, dtype=np.int64) for d in self.dims)]
        return np.asarray(reduce(np.multiply.outer, sums), np.int64).reshape(-1)

    @cached_property
    def full(self) -> bool:
        """Return whether every channel of the sources meets every channel of the targets."""
        return bool(self.channels.nnz == self.channels.shape[0] * self.channels.shape[1])

    @cached_property
    def _known(self) -> dict[tuple[int, ...], Bools]:
        return {}

    def _side(self, d: int, low: int, high: int) -> Bools:
        """Return source positions of direction `d` that reach a target position low .. high - 1; kept, for cores repeat."""
        key = d, low, high
        if key not in self._known:
            self._known[key] = np.asarray(self.dims[d][low:high].any(axis=0))
        return self._known[key]

    def reached_from(self, low: int, high: int) -> Bools:
        """Return the positions whose channels reach one of the targets low .. high - 1, bool [sources / channels]; kept.

        Of a `full` pattern, every channel of these positions does.
        """
        row = math.prod(self.out_shape[1:])
        key = (low % row, high - low) if (-(-low // row) + 1) * row > high else (0, row)
        if key not in self._known:
            out = np.zeros(self.in_shape[1:], bool)
            for _, *rest in _boxes(key[0], sum(key), self.out_shape):
                sides = [self._side(d, a, b) for d, (a, b) in enumerate(rest)]
                out |= reduce(np.logical_and.outer, sides) if sides else True
            self._known[key] = out.reshape(-1)
        return self._known[key]

    def reached_by(self, low: int, high: int) -> Bools:
        """Return the sources that reach one of the targets low .. high - 1, bool [sources]."""
        if self.full:
            return np.tile(self.reached_from(low, high), self.in_shape[0])
        out = np.zeros(self.in_shape, bool)
        for (first, last), *rest in _boxes(low, high, self.out_shape):
            channels = self.channels.indices[self.channels.indptr[first] : self.channels.indptr[last]]
            sides = [self._side(d, a, b) for d, (a, b) in enumerate(rest)]
            out[channels] |= reduce(np.logical_and.outer, sides) if sides else True
        return out.reshape(-1)


def _boxes(low: int, high: int, shape: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
    """Split the flat range low .. high - 1 of an array into boxes: one range a dimension."""
    if low >= high:
        return
    if len(shape) == 1:
        yield [(low, high)]
        return
    row = math.prod(shape[1:])
    first, last = -(-low // row), high // row
    if first > last:  # within one row
        at = low // row
        yield from ([(at, at + 1), *rest] for rest in _boxes(low - at * row, high - at * row, shape[1:]))
        return
    if low < first * row:
        yield from ([(first - 1, first), *rest] for rest in _boxes(low - (first - 1) * row, row, shape[1:]))
    if first < last:
        yield [(first, last), *((0, n) for n in shape[1:])]
    if last * row < high:
        yield from ([(last, last + 1), *rest] for rest in _boxes(0, high - last * row, shape[1:]))


@dataclass(frozen=True, eq=False)
class PatternProjection(Projection):
    """A projection without its synapses; ``indptr`` only tells the number of sources.

    Attributes:
        pattern: which synapses there are.
        peak: largest absolute weight.
        channel_words: weight words of one target channel's kernels, where a core needs those of its own channels only;
            0 where it needs all `shared_words`.
    """

    pattern: Pattern = field(default_factory=lambda: Pattern(None))
    peak: float = 0.0
    channel_words: int = 0

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return int(self.pattern.fan_in.sum())

    def fan_in(self, n_target: int) -> I64:
        """Return the synapses of each target neuron, int64 [n_target]."""
        return self.pattern.fan_in

    def synapses_on(self, core: I32, n_cores: int) -> I64:
        """Return the synapses on each core, int64 [n_cores]; `core` of each target neuron."""
        return np.bincount(core, weights=self.pattern.fan_in, minlength=n_cores).astype(np.int64)

    def channels_on(self, core: I32, n_cores: int) -> I64:
        """Return the target channels that each core holds a part of, int64 [n_cores]."""
        return channels_on(self.pattern.out_shape[0], core, n_cores)


def is_patterned(program: Program) -> bool:
    """Return whether a program holds projections that are known by their pattern only."""
    return any(isinstance(q, PatternProjection) for q in program.projections)


def pattern_axons(program: Program) -> tuple[I64, I64]:
    """Return (axons into each core, distinct destination cores of each neuron), as `simulator.program.axons` counts them.

    Raises:
        FitError: more than `MOST_CORES` cores.
    """
    first, n_cores = program.first_ids(), int(program.core.max(initial=-1)) + 1
    used, label = np.unique(program.core, return_inverse=True)
    if used.size > MOST_CORES:
        raise FitError(
            "program", f"needs {used.size:,} cores; axons are counted up to {MOST_CORES:,}", "Take a larger chip"
        )
    into, fan = np.zeros(used.size, np.int64), np.zeros(program.n_neurons, np.int64)
    for p in program.populations:
        leaving = [q for q in program.projections if q.source == p.name and isinstance(q, PatternProjection)]
        runs = [_runs(label[first[q.target] :][: program.population(q.target).size]) for q in leaving]
        if leaving:
            own, cores = _leaving(tuple(q.pattern for q in leaving), tuple(runs))
            into[: own.size] += own
            fan[first[p.name] : first[p.name] + p.size] = cores
    counted = np.zeros(n_cores, np.int64)
    counted[used[used >= 0]] = into[used >= 0]
    return counted, fan


def _runs(label: npt.NDArray[np.intp]) -> tuple[tuple[int, int, int], ...]:
    """Return (first, last + 1, core) of each run of neurons on one core."""
    edges = np.flatnonzero(np.diff(label)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), label.size]
    return tuple((a, b, int(label[a])) for a, b in zip(starts, ends, strict=True))


@lru_cache(maxsize=256)  # chips and chip counts often get the same blocks
def _leaving(patterns: tuple[Pattern, ...], runs: tuple[tuple[tuple[int, int, int], ...], ...]) -> tuple[I64, I64]:
    """Return (axons by core, cores by neuron) of what leaves one population."""
    one_channel = all(pattern.full for pattern in patterns)
    channels = patterns[0].in_shape[0]
    reached: dict[int, Bools] = {}
    for pattern, own in zip(patterns, runs, strict=True):
        for low, high, core in own:
            sources = pattern.reached_from(low, high) if one_channel else pattern.reached_by(low, high)
            reached[core] = reached[core] | sources if core in reached else sources
    into, fan = np.zeros(max(reached) + 1, np.int64), np.zeros(next(iter(reached.values())).size, np.int64)
    for core, sources in reached.items():
        into[core] = np.count_nonzero(sources) * (channels if one_channel else 1)
        fan += sources
    return into, np.tile(fan, channels) if one_channel else fan


def least_axons(q: Projection) -> int:
    """Return the axons that any mapping gives a core of the target, for a projection known by its pattern; else 0."""
    return int(q.pattern.fan_in.max(initial=0)) if isinstance(q, PatternProjection) else 0
