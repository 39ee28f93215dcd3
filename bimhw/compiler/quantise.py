"""Weights of a float network -> stored integers, port by port of each target population.

All projections into one port share one accumulator, so they share its unit: the value of 1 in the accumulator. With a
scale per projection, the coarser projections are shifted left by their ``exponent``; with a scale per row, a row's scale
is chosen over all projections into the port.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bimhw.compiler.fixed import store, weight_fracs, weight_scales
from bimhw.compiler.options import CompileOptions
from mapping.memory import dense_bits, sparse_bits
from simulator.graph import Projection

Floats = npt.NDArray[np.float64]
_MAX_EXPONENT = 15


@dataclass(frozen=True, eq=False)
class PortWeights:
    """The stored weights into one port.

    Attributes:
        projections: integer stage.
        unit: value of 1 in the port's accumulator, shape () or (n_target,).
        rms_error: root mean square of (stored - float) weight over the root mean square weight, by projection name.
    """

    projections: tuple[Projection, ...]
    unit: Floats
    rms_error: Mapping[str, float]


def quantise_port(
    projections: Sequence[Projection], n_target: int, scales: Mapping[str, float], options: CompileOptions
) -> PortWeights:
    """Quantise all projections into one port.

    Args:
        projections: float stage, of one target port.
        n_target: neurons of the target.
        scales: source population -> value of a spike with payload 1.
        options: bits, per row, free scales, layout.
    """
    if not projections:
        return PortWeights((), np.asarray(1.0), {})
    values = [q.weights.astype(np.float64) * scales[q.source] for q in projections]
    if options.per_row:
        units, exponents = _row_units(projections, values, n_target, options)
    else:
        units, exponents = _tensor_units(values, options)
    port_unit = np.asarray(units[0] / 2.0 ** exponents[0])
    out, errors = [], {}
    for q, value, unit, exponent in zip(projections, values, units, exponents, strict=True):
        each = unit[q.indices] if unit.ndim else unit
        stored = store(value / each, options.bits)
        errors[q.name] = _relative_rms(stored * each - value, value)
        out.append(_integer(q, stored, n_target, exponent, options))
    return PortWeights(tuple(out), port_unit, errors)


def _tensor_units(values: Sequence[Floats], options: CompileOptions) -> tuple[list[Floats], list[int]]:
    """Unit of each projection and the left shifts that bring them to the finest one."""
    if options.free_scales:
        together = np.concatenate(values)
        unit = weight_scales(together, np.zeros(together.size, np.int64), 1, options.bits)[0]
        return [np.asarray(unit)] * len(values), [0] * len(values)
    fracs = [int(weight_fracs(v, np.zeros(v.size, np.int64), 1, options.bits)[0]) for v in values]
    finest = max((f for f, v in zip(fracs, values, strict=True) if v.size), default=0)
    fracs = [max(f, finest - _MAX_EXPONENT) if v.size else finest for f, v in zip(fracs, values, strict=True)]
    return [np.asarray(2.0**-f) for f in fracs], [finest - f for f in fracs]


def _row_units(
    projections: Sequence[Projection], values: Sequence[Floats], n_target: int, options: CompileOptions
) -> tuple[list[Floats], list[int]]:
    rows = np.concatenate([q.indices for q in projections])
    together = np.concatenate(values)
    if options.free_scales:
        unit = weight_scales(together, rows, n_target, options.bits)
    else:
        unit = 2.0 ** -weight_fracs(together, rows, n_target, options.bits).astype(np.float64)
    return [unit] * len(values), [0] * len(values)


def _relative_rms(miss: Floats, value: Floats) -> float:
    power = float(np.mean(value * value)) if value.size else 0.0
    return float(np.sqrt(np.mean(miss * miss) / power)) if power > 0 else 0.0


def _integer(
    q: Projection, stored: npt.NDArray[np.int32], n_target: int, exponent: int, options: CompileOptions
) -> Projection:
    """The integer projection in the layout that takes less memory; sparse drops weights that became 0."""
    kind = np.int8 if options.bits <= 8 else np.int16
    weights = stored.astype(kind)
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
    """Every (source, target) pair stored: the zeros of a dense matrix are in memory and are added too."""
    n_source = q.indptr.size - 1
    if q.n_synapses == n_source * n_target:
        return replace(q, layout="dense")
    matrix = np.zeros((n_source, n_target), q.weights.dtype)
    matrix[np.repeat(np.arange(n_source), np.diff(q.indptr)), q.indices] = q.weights
    return replace(
        q,
        indptr=np.arange(n_source + 1, dtype=np.int64) * n_target,
        indices=np.tile(np.arange(n_target, dtype=np.int32), n_source),
        weights=matrix.ravel(),
        layout="dense",
    )
