"""Fixed-point formats and weight quantisation: pure functions on arrays.

A value v with f fractional bits is stored as an integer near v 2^f. Weights of b bits are stored in
[-(2^(b-1) - 1), 2^(b-1) - 1] (b = 1: {-1, 1}).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from simulator.base.arrays import I32, I64, AnyInts, Floats
from simulator.base.errors import FitError

Errors = Callable[[Floats], Floats]
_SMALL = 2.0**-40  # ranges below this are taken as 0
_GRID_BITS = 5  # above, a row uses too few of its grid's values to find the grid again
_UNIT_OF_ZEROS = 2.0**-16  # of weights that are all 0: a shift to any binary point is short
_SHIFT_BITS = 6  # of the signed word of a shift in every neuron model
_CANDIDATES = 3  # scales tried per tensor or row: no clipping, and one and two bits finer with clipping


def frac_bits(largest: float, bits: int, highest: int) -> int:
    """Return the fractional bits of a signed word of `bits` that holds +-largest; at most `highest`."""
    if largest < _SMALL:
        return highest
    return min(bits - 1 - math.ceil(math.log2(largest)), highest)


def to_fixed(value: npt.ArrayLike, frac: int, bits: int, what: str) -> I32:
    """Round to the nearest integers of value 2^frac.

    Raises:
        FitError: a value does not fit in a signed word of `bits`.
    """
    scaled = np.round(np.asarray(value, np.float64) * 2.0**frac)
    limit = 2 ** (bits - 1) - 1
    if scaled.size and float(np.abs(scaled).max()) > limit:
        raise FitError(
            what,
            f"needs |{float(np.abs(scaled).max()):.0f}| in a word of {bits} bits, whose largest value is {limit}",
            "Use wider states (state_bits) or rescale the model",
        )
    return scaled.astype(np.int32)


def weight_limit(bits: int) -> int:
    """Return the largest stored weight."""
    return 1 if bits == 1 else int(2 ** (bits - 1) - 1)


def store(scaled: Floats, bits: int) -> I32:
    """Store values that are already in units of the last place."""
    if bits == 1:
        return np.where(scaled >= 0, np.int32(1), np.int32(-1))
    limit = weight_limit(bits)
    stored: I32 = np.clip(np.round(scaled), -limit, limit).astype(np.int32)
    return stored


def squared_errors(group: AnyInts, n_groups: int) -> Errors:
    """Sum the squared misses of each group."""

    def errors(miss: Floats) -> Floats:
        total: Floats = np.bincount(group, weights=miss * miss, minlength=n_groups).astype(np.float64)
        return total

    return errors


def weight_fracs(weights: Floats, group: AnyInts, n_groups: int, bits: int, errors: Errors | None = None) -> I32:
    """Return the fractional bits of each group of weights with the smallest error, int32 [n_groups].

    A group (a tensor or a row) starts from the scale that clips nothing; finer ones that clip a little are tried too.

    Args:
        weights: all of them.
        group: of each weight.
        n_groups: number of groups.
        bits: of a stored weight.
        errors: misses (stored - wanted) of all weights -> error of each group; default: squares summed.
    """
    start = np.floor(np.log2(weight_limit(bits) / _largest(weights, group, n_groups, bits))).astype(np.int32)
    tried = [start + extra for extra in range(-1 if bits == 1 else 0, _CANDIDATES)]
    units = np.stack([2.0 ** -frac.astype(np.float64) for frac in tried])
    best: I32 = np.stack(tried)[_best_units(weights, group, units, bits, errors), np.arange(n_groups)]
    return best


def weight_scales(weights: Floats, group: AnyInts, n_groups: int, bits: int, errors: Errors | None = None) -> Floats:
    """Free scales: the value of one unit of each group, float64 [n_groups], with the smallest error tried; see `weight_fracs`."""
    full = _largest(weights, group, n_groups, bits) / weight_limit(bits)
    shrinks = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5] if bits > 1 else [1.0, 0.8, 0.65, 0.5, 0.4, 0.3]
    if 2 < bits <= _GRID_BITS:  # weights that lie on some grid of so many bits already keep it
        shrinks += [weight_limit(bits) / k for k in range(weight_limit(bits) // 2 + 1, weight_limit(bits))]
    units = np.stack([full * shrink for shrink in shrinks])
    best: Floats = units[_best_units(weights, group, units, bits, errors), np.arange(n_groups)]
    return best


def _largest(weights: Floats, group: AnyInts, n_groups: int, bits: int) -> Floats:
    """Return the largest magnitude of each group, not below the smallest; of weights that are all 0 any will do."""
    largest = np.zeros(n_groups)
    np.maximum.at(largest, group, np.abs(weights))
    nothing = _SMALL if bits == 1 else weight_limit(bits) * _UNIT_OF_ZEROS  # one bit cannot say 0
    return np.where(largest == 0, nothing, np.maximum(largest, _SMALL))


def _best_units(weights: Floats, group: AnyInts, units: Floats, bits: int, errors: Errors | None) -> I64:
    """Index of the first of the candidates `units` [n, n_groups] with the smallest error, for each group."""
    n_groups = units.shape[1]
    errors = errors or squared_errors(group, n_groups)
    best, best_error = np.zeros(n_groups, np.int64), np.full(n_groups, np.inf)
    for index, candidate in enumerate(units):
        unit = candidate[group]
        error = errors(store(weights / unit, bits) * unit - weights)
        better = error < best_error * (1 - 1e-12)
        best[better], best_error[better] = index, error[better]
    return best


def small_multiplier(factor: npt.ArrayLike) -> tuple[I32, I32]:
    """Return `multiplier` of factors that may be next to nothing, as of weights that are all 0: fewer bits, no longer shift."""
    mul, shift = multiplier(factor)
    longest = 2 ** (_SHIFT_BITS - 1) - 1
    beyond = np.clip(shift - longest, 0, 30)
    return np.round(mul * 2.0**-beyond).astype(np.int32), np.minimum(shift, longest).astype(np.int32)


def multiplier(factor: npt.ArrayLike, bits: int = 15) -> tuple[I32, I32]:
    """Return (mul, right shift) with mul 2^-shift ~ factor; powers of two give mul = 1."""
    factor = np.asarray(factor, np.float64)
    mantissa, exponent = np.frexp(factor)  # factor = mantissa 2^exponent, mantissa in [0.5, 1)
    exact = (mantissa == 0.5) | (
        np.round(mantissa * 2.0**bits) == 2**bits
    )  # or so near a power of two that it rounds to it
    exponent = np.where(exact & (mantissa > 0.5), exponent + 1, exponent)
    mul = np.where(exact, 1, np.round(mantissa * 2.0**bits))
    shift = np.where(exact, 1 - exponent, bits - exponent)
    return mul.astype(np.int32), shift.astype(np.int32)
