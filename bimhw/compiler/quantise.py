"""Weights of a float network -> stored integers, port by port of each target population.

All projections into one port share one accumulator, so they share its unit: the value of 1 in the accumulator. Projections
of the same weights and scale are stored as the same integers. With a power-of-two scale per projection, the coarser
projections are shifted left by their ``exponent``; with a scale per row, or a free one, it is chosen over all projections into
the port, and the exponents level out what their sources' spikes are worth (1 for spikes, far less for a graded membrane).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bimhw.compiler.calibrate import Drive
from bimhw.compiler.fixed import store, weight_fracs, weight_limit, weight_scales
from bimhw.compiler.options import CompileOptions
from bimhw.compiler.row_errors import Received, row_errors
from mapping.words import dense_bits, sparse_bits
from simulator.base.arrays import I32, AnyInts, Floats, Integers
from simulator.base.errors import FitError
from simulator.program.graph import Population, Projection
from simulator.program.shared import SharedProjection, first_of_channel, magnitudes, with_weights

_MAX_EXPONENT = 15
_ACCUMULATOR_BITS = 30  # magnitude that sums of weights may take of the 32 bits
_MUCH = (
    4.0  # an outlier in one projection: units of their own make the port's error this much smaller, or they share one
)
_LEAST_VARIANCE = 1e-2  # of the population's mean variance


@dataclass(frozen=True, eq=False)
class PortWeights:
    """The stored weights into one port.

    Attributes:
        projections: integer stage.
        unit: value of 1 in the port's accumulator, shape () or (n_target,).
        rms_error: root mean square of (stored - float) weight over the root mean square weight, by projection name.
        row_errors: by projection name, see `bimhw.compiler.row_errors`; empty unless they were asked for.
    """

    projections: tuple[Projection, ...]
    unit: Floats
    rms_error: Mapping[str, float]
    row_errors: Mapping[str, Floats] = field(default_factory=dict)


def quantise_port(
    projections: Sequence[Projection],
    n_target: int,
    scales: Mapping[str, float],
    options: CompileOptions,
    drives: Mapping[str, Drive] | None = None,
    fixed: bool = False,
    by_row: bool = False,
    channels: int = 0,
) -> PortWeights:
    """Quantise all projections into one port.

    Args:
        projections: float stage, of one target port.
        n_target: neurons of the target.
        scales: source population -> value of a spike with payload 1.
        options: bits, per row, free scales, layout.
        drives: source population -> statistics of what it sends, where known; see `Synapses`.
        fixed: the accumulator has the unit 1; each projection is stored in multiples of the least 2^k, k >= 0, that holds
            its weights.
        by_row: the errors of the rows are computed too.
        channels: of the target, where kernels lead to it; 0 where it has none.
    """
    if not projections:
        return PortWeights((), np.asarray(1.0), {})
    groups = [_synapses(q, scales[q.source], (drives or {}).get(q.source), n_target) for q in projections]
    n_rows = math.gcd(*(_channels(q, n_target, channels) for q in projections))
    first = _first_of_equals(projections, scales)
    own = sorted(set(first))
    joined = [_joined([g for g, k in zip(groups, first, strict=True) if k == at]) for at in own]
    found = _fixed_units(joined, options.bits) if fixed else port_units(joined, n_target, options, n_rows)
    units, exponents = [found[0][own.index(k)] for k in first], [found[1][own.index(k)] for k in first]
    port_unit = np.asarray(units[0] / 2.0 ** exponents[0])
    out, errors, misses = [], {}, []
    for q, synapses, unit, exponent in zip(projections, groups, units, exponents, strict=True):
        each = unit[synapses.rows] if unit.ndim else unit
        stored = store(synapses.values / each, options.bits)
        miss = stored * each - synapses.values
        errors[q.name] = _relative_rms(miss, synapses.values)
        misses += [miss] if by_row else []
        out.append(_integer(q, stored, n_target, exponent, options))
    if not by_row:
        return PortWeights(tuple(out), port_unit, errors)
    plane = max(n_target // q.channels if isinstance(q, SharedProjection) else 1 for q in projections)
    received = [_received(q, scales[q.source], (drives or {}).get(q.source), n_target, plane) for q in projections]
    rows = row_errors(received, [g.values for g in groups], misses)
    return PortWeights(tuple(out), port_unit, errors, {q.name: r for q, r in zip(projections, rows, strict=True)})


def channels_of(population: Population) -> int:
    """Return the channels of neurons in planes, 0 of others."""
    shape = population.shape
    return shape[0] if len(shape) > 1 and math.prod(shape) == population.size else 0


def _channels(q: Projection, n_target: int, channels: int) -> int:
    """Return how many parts of the target have words of their own: neurons of a channel share those of its kernel."""
    if isinstance(q, SharedProjection):
        return q.channels
    return channels if channels and q.layout == "conv" else n_target


def _received(q: Projection, scale: float, drive: Drive | None, n_target: int, plane: int) -> Received:
    """Return what arrives over the weights of a projection; of a shared kernel, at the first neuron of its channel."""
    ones = np.ones(q.indptr.size - 1)
    mean, variance = (0 * ones, ones) if drive is None else (drive.mean / scale, drive.variance / scale**2)
    if isinstance(q, SharedProjection):
        each = _power_of_rows(q, variance + mean * mean)
        return Received(first_of_channel(q, n_target), np.zeros(each.size), each, n_target, plane)
    source = np.repeat(np.arange(ones.size), np.diff(q.indptr))
    return Received(q.targets, mean[source], variance[source], n_target, plane)


def finer(port: PortWeights, n_target: int, bits: int) -> PortWeights:
    """Return the same weights in an accumulator finer by up to `bits`, as far as its 32 bits and the exponents allow."""
    if not port.projections:
        return port
    sums = np.zeros(n_target)
    for q in port.projections:
        if isinstance(q, SharedProjection):
            sums += magnitudes(q, n_target) * 2.0**q.exponent
        else:
            sums += np.bincount(
                q.targets, weights=np.abs(q.weights.astype(np.float64)) * 2.0**q.exponent, minlength=n_target
            )
    room = _ACCUMULATOR_BITS - math.ceil(math.log2(max(1.0, float(sums.max(initial=0)))))
    more = max(0, min(bits, room, *(_MAX_EXPONENT - q.exponent for q in port.projections)))
    moved = tuple(replace(q, exponent=q.exponent + more) for q in port.projections)
    return replace(port, projections=moved, unit=port.unit * 2.0**-more)


def _fixed_units(groups: Sequence[Synapses], bits: int) -> tuple[list[Floats], list[int]]:
    """Return the units 2^k, k >= 0, of the projections into a port of unit 1, and the exponents k."""
    shifts = []
    for g in groups:
        largest = float(np.abs(g.values).max(initial=0))
        shift = max(0, math.ceil(math.log2(max(largest / weight_limit(bits), 1e-300))))
        if shift > _MAX_EXPONENT:
            raise FitError(
                "weights", f"reach {largest:g} in the unit of their port; {bits} bits hold less", "Rescale the model"
            )
        shifts.append(shift)
    return [np.asarray(2.0**k) for k in shifts], shifts


@dataclass(frozen=True, eq=False)
class Synapses:
    """The weights of one projection in a list, and what arrives over them.

    Attributes:
        values: added to the port by a spike of payload 1.
        scale: value of a spike of payload 1.
        rows: target neuron of each; the first of its channel where the word is shared.
        mean, variance: of the payload that arrives over each in a step; a scale is chosen for the smallest expected square of
            the port's error, sum_j variance_j miss_j^2 + (sum_j mean_j miss_j)^2 (sources taken as independent). Without
            calibration 0 and 1: the smallest squared error of the weights.
    """

    values: Floats
    scale: float
    rows: AnyInts
    mean: Floats
    variance: Floats


def _first_of_equals(projections: Sequence[Projection], scales: Mapping[str, float]) -> list[int]:
    """Return for each projection the first of the same weights and scale: a residual stack has a matrix for several sources."""
    first, seen = list(range(len(projections))), dict[tuple[object, ...], int]()
    sizes = [q.weights.size for q in projections]
    for k, q in enumerate(projections):
        if not isinstance(q, SharedProjection) and sizes.count(sizes[k]) > 1:  # else nothing needs to be looked through
            words = hash((q.indptr.tobytes(), q.indices.tobytes(), q.weights.tobytes()))
            found = seen.setdefault((words, sizes[k], scales[q.source]), k)
            first[k] = found if np.array_equal(projections[found].weights, q.weights) else k
    return first


def _joined(groups: Sequence[Synapses]) -> Synapses:
    """Return the synapses of projections with the same weights as one: what arrives over them adds up."""
    if len(groups) == 1:
        return groups[0]
    mean, variance = np.sum([g.mean for g in groups], axis=0), np.sum([g.variance for g in groups], axis=0)
    return replace(groups[0], mean=mean, variance=variance)


def _synapses(q: Projection, scale: float, drive: Drive | None, n_target: int) -> Synapses:
    values = q.weights.astype(np.float64) * scale
    rows = first_of_channel(q, n_target) if isinstance(q, SharedProjection) else q.targets
    if drive is None:
        return Synapses(values, scale, rows, np.zeros(values.size), np.ones(values.size))
    mean, variance = arriving(drive.over(scale))
    if isinstance(q, SharedProjection):
        return _shared_synapses(q, values, scale, rows, variance + mean * mean)
    source = np.repeat(np.arange(q.indptr.size - 1), np.diff(q.indptr))
    return Synapses(values, scale, q.targets, mean[source], variance[source])


def _shared_synapses(q: SharedProjection, values: Floats, scale: float, rows: AnyInts, power: Floats) -> Synapses:
    """Estimate a shared kernel's words: the expected square of what arrives, summed over the sources of a row.

    Sources are taken as independent and of mean 0, since a row stands for many targets.
    """
    return Synapses(values, scale, rows, np.zeros(values.size), _power_of_rows(q, power))


def _power_of_rows(q: SharedProjection, power: Floats) -> Floats:
    """Return the sum of the sources' `power` for each word of the rows that they share."""
    summed = np.bincount(q.row, weights=power, minlength=q.template.size - 1)
    return np.repeat(summed, np.diff(q.template))


def arriving(drive: Drive) -> tuple[Floats, Floats]:
    """Return mean and variance for `Synapses`, by source neuron; one that was silent counts a little all the same."""
    least = _LEAST_VARIANCE * float(drive.variance.mean()) if drive.variance.size else 0.0
    return drive.mean, drive.variance + (least or 1.0)


def port_units(
    groups: Sequence[Synapses], n_target: int, options: CompileOptions, n_rows: int | None = None
) -> tuple[list[Floats], list[int]]:
    """Return the unit of the last place of each projection into a port (() or [n_target]), and the left shifts that bring
    the projections to the finest of them.

    With a scale per row, n_target / n_rows neurons in succession share one: those of a channel where kernels are shared.
    """
    if options.per_row or options.free_scales:
        parts = (n_rows or n_target) if options.per_row else 0
        found = _levelled(groups, [g.scale for g in groups], n_target, options, parts)
        if len(groups) == 1:
            return found
        own = [float(_together([g], n_target, options)) if g.values.size else 0.0 for g in groups]
        other = _levelled(groups, [u or max(own) for u in own], n_target, options, parts)
        return other if _miss(groups, other[0], options) * _MUCH < _miss(groups, found[0], options) else found
    fracs = [-round(math.log2(float(_together([g], n_target, options)))) for g in groups]
    used = [bool(g.values.any()) for g in groups]  # weights of 0 ask for no unit of their own
    finest = max((f for f, own in zip(fracs, used, strict=True) if own), default=0)
    fracs = [max(f, finest - _MAX_EXPONENT) if own else finest for f, own in zip(fracs, used, strict=True)]
    return [np.asarray(2.0**-f) for f in fracs], [finest - f for f in fracs]


def _levelled(
    groups: Sequence[Synapses], sizes: Sequence[float], n_target: int, options: CompileOptions, parts: int
) -> tuple[list[Floats], list[int]]:
    """Return units chosen over all projections, apart by powers of two as their `sizes` are, and the shifts to the finest."""
    least = min(sizes)
    shifts = [min(round(math.log2(size / least)), _MAX_EXPONENT) for size in sizes]
    level = [_scaled_down(g, s) for g, s in zip(groups, shifts, strict=True)]
    unit = _together(level, n_target, options, parts)
    return [unit * 2.0**s for s in shifts], shifts


def _miss(groups: Sequence[Synapses], units: Sequence[Floats], options: CompileOptions) -> float:
    """Return the expected square of the port's error, sources taken as independent and of mean 0."""
    total = 0.0
    for g, unit in zip(groups, units, strict=True):
        each = unit[g.rows] if unit.ndim else unit
        miss = store(g.values / each, options.bits) * each - g.values
        total += float((miss * miss * (g.variance + g.mean**2)).sum())
    return total


def _scaled_down(g: Synapses, shift: int) -> Synapses:
    """Return the synapses for spikes that are worth 2^-shift and arrive 2^shift times as often."""
    return Synapses(g.values * 2.0**-shift, g.scale * 2.0**-shift, g.rows, g.mean * 2.0**shift, g.variance * 4.0**shift)


def _together(groups: Sequence[Synapses], n_target: int, options: CompileOptions, n_rows: int = 0) -> Floats:
    """Return one unit for all these synapses, (), or with `n_rows` one for each of so many equal parts, [n_target]."""
    values, rows, mean, variance = (
        np.concatenate([getattr(g, name) for g in groups]) for name in ("values", "rows", "mean", "variance")
    )

    def errors(miss: Floats) -> Floats:
        spread = np.bincount(rows, weights=miss * miss * variance, minlength=n_target)
        shift = np.bincount(rows, weights=miss * mean, minlength=n_target)
        by_row: Floats = spread + shift * shift
        summed: Floats = by_row.reshape(n_rows or 1, -1).sum(axis=1)
        return summed

    plane = n_target // n_rows if n_rows else 1
    group, n_groups = (rows // plane, n_rows) if n_rows else (np.zeros(values.size, np.int64), 1)
    if options.free_scales:
        unit = weight_scales(values, group, n_groups, options.bits, errors)
    else:
        unit = 2.0 ** -weight_fracs(values, group, n_groups, options.bits, errors).astype(np.float64)
    found: Floats = np.repeat(unit, plane) if n_rows else unit[0]
    return found


def _relative_rms(miss: Floats, value: Floats) -> float:
    power = float(np.mean(value * value)) if value.size else 0.0
    return float(np.sqrt(np.mean(miss * miss) / power)) if power > 0 else 0.0


def _integer(q: Projection, stored: I32, n_target: int, exponent: int, options: CompileOptions) -> Projection:
    """Return the integer projection in the layout that takes less memory; sparse drops weights that became 0."""
    kind = np.int8 if options.bits <= 8 else np.int16
    weights: Integers = stored.astype(kind)
    if isinstance(q, SharedProjection):
        layout = "conv" if q.layout == "conv" and options.layout == "auto" else "sparse"
        return with_weights(q, weights, exponent=exponent, weight_bits=options.bits, layout=layout)
    n_source = q.indptr.size - 1
    nonzero = int(np.count_nonzero(weights))
    dense = dense_bits(n_source, n_target, options.bits) <= sparse_bits(nonzero, n_target, options.bits)
    fixed = replace(q, weights=weights, exponent=exponent, weight_bits=options.bits)
    if q.layout == "conv" and options.layout == "auto":
        return replace(_drop_zeros(fixed), layout="conv")
    if options.layout == "dense" or (options.layout == "auto" and dense and options.bits > 1):
        return _fill(fixed, n_target)
    return _drop_zeros(fixed)


def _drop_zeros(q: Projection) -> Projection:
    keep = q.weights != 0
    kept = np.concatenate([[0], np.cumsum(keep)])
    return replace(q, indptr=kept[q.indptr], indices=q.indices[keep], weights=q.weights[keep], layout="sparse")


def _fill(q: Projection, n_target: int) -> Projection:
    """Store every (source, target) pair: the zeros of a dense matrix are in memory and are added too."""
    n_source = q.indptr.size - 1
    if q.n_synapses == n_source * n_target:
        return replace(q, layout="dense")
    matrix = np.zeros((n_source, n_target), q.weights.dtype)
    matrix[np.repeat(np.arange(n_source), np.diff(q.indptr)), q.targets] = q.weights
    return replace(
        q,
        indptr=np.arange(n_source + 1, dtype=np.int64) * n_target,
        indices=np.tile(np.arange(n_target, dtype=np.int32), n_source),
        weights=matrix.ravel(),
        layout="dense",
        first=0,
    )
