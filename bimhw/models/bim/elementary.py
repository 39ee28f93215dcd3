"""exp and log1p for compiled loops (numba), written out: a call of libm would keep the compiler from vector instructions.

Each in double and in single precision, within 3 units in the last place. Polynomials are summed by Estrin's scheme (pairs, then
pairs of pairs), which waits less than Horner's. e^x = 2^k e^r with |r| <= ln 2 / 2, e^r by its Taylor series;
2^k is two factors, as one alone would not reach denormal numbers. log(1 + e) = 2 atanh(s), s = e / (2 + e) <= 1/3, by its series.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from bimhw.models.bim.loops import Number

_LEAST, _LEAST_SINGLE = -745.5, np.float32(-104.0)  # below, e^x is 0
_LOG2_E, _LOG2_E_SINGLE = 1 / math.log(2), np.float32(1 / math.log(2))
# ln 2 in two parts; the high one has zeros at its end for k times it
_HIGH, _LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_HIGH_SINGLE, _LOW_SINGLE = np.float32(0.693359375), np.float32(-2.12194440e-4)
_EXP = tuple(1 / math.factorial(n) for n in range(14))
_ATANH = tuple(1 / (2 * n + 1) for n in range(17))
_EXP_SINGLE = tuple(np.float32(c) for c in _EXP[:8])
_ATANH_SINGLE = tuple(np.float32(c) for c in _ATANH[:8])
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1), np.float32(2)


@njit(error_model="numpy", fastmath={"contract"}, forceinline=True)
def _four(c: tuple[Number, ...], first: int, x: Number, x2: Number) -> Number:
    """Return the four terms of a polynomial from c[first] on."""
    return (c[first] + c[first + 1] * x) + (c[first + 2] + c[first + 3] * x) * x2


@njit(error_model="numpy", fastmath={"contract"}, forceinline=True)
def exp_below(x: Number) -> Number:
    """Return e^x of x < 700."""
    x = _LEAST if x < _LEAST else x  # a NaN stays one
    k = np.floor(x * _LOG2_E + 0.5)
    r = (x - k * _HIGH) - k * _LOW
    r2 = r * r
    r4 = r2 * r2
    above = _four(_EXP, 8, r, r2) + (_EXP[12] + _EXP[13] * r) * r4
    p = (_four(_EXP, 0, r, r2) + _four(_EXP, 4, r, r2) * r4) + above * (r4 * r4)
    whole = np.int64(k)
    half = whole >> 1
    first, second = np.int64((half + 1023) << 52), np.int64((whole - half + 1023) << 52)
    return p * first.view(np.float64) * second.view(np.float64)


@njit(error_model="numpy", fastmath={"contract"}, forceinline=True)
def exp_below_single(x: Number) -> Number:
    """Return e^x of x < 80."""
    x = _LEAST_SINGLE if x < _LEAST_SINGLE else x
    k = np.floor(x * _LOG2_E_SINGLE + _HALF)
    r = (x - k * _HIGH_SINGLE) - k * _LOW_SINGLE
    r2 = r * r
    p = _four(_EXP_SINGLE, 0, r, r2) + _four(_EXP_SINGLE, 4, r, r2) * (r2 * r2)
    whole = np.int32(k)
    half = np.int32(whole >> 1)
    first, second = np.int32((half + 127) << 23), np.int32((whole - half + 127) << 23)
    return p * first.view(np.float32) * second.view(np.float32)


@njit(error_model="numpy", fastmath={"contract"}, forceinline=True)
def log1p_unit(e: Number) -> Number:
    """Return log(1 + e) of 0 <= e <= 1."""
    s = e / (2.0 + e)
    y = s * s
    y2 = y * y
    y4 = y2 * y2
    below = _four(_ATANH, 0, y, y2) + _four(_ATANH, 4, y, y2) * y4
    above = _four(_ATANH, 8, y, y2) + _four(_ATANH, 12, y, y2) * y4
    y8 = y4 * y4
    return 2.0 * s * (below + (above + _ATANH[16] * y8) * y8)


@njit(error_model="numpy", fastmath={"contract"}, forceinline=True)
def log1p_unit_single(e: Number) -> Number:
    """Return log(1 + e) of 0 <= e <= 1."""
    s = e / (_TWO + e)
    y = s * s
    y2 = y * y
    return _TWO * s * (_four(_ATANH_SINGLE, 0, y, y2) + _four(_ATANH_SINGLE, 4, y, y2) * (y2 * y2))
