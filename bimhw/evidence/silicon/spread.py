"""Mean of the longest core where only the mean work of each core is known: how far steps spread about it.

A step ends with its longest core, so a measured step is the mean of a maximum, which is above the maximum of the means.
Cores of one layer get the same spikes and work together; layers are taken as independent of one another, the work of each
as lognormal about its mean m_l with the same coefficient of variation c::

    F(t) = prod_l F_l(t),   E[max] = int 1 - F(t) dt,   E[max^2] = int 2 t (1 - F(t)) dt

c is the one at which the maximum varies as the trace of step times does. Only the ratio of the trace's standard deviation to
its mean is read, never its mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

STORED = 0.261  # c of the published LIF run, by `coefficient` on the shape of its trace: for results without a trace
_GRID, _FAR = 4001, 12.0
_MOST = 2.0
_erf = np.vectorize(math.erf)


def variation(times: Sequence[float]) -> float | None:
    """Return the coefficient of variation of step times; None below ten of them."""
    if len(times) < 10:
        return None
    values = np.asarray(times, np.float64)
    return float(values.std() / values.mean())


def longest(means: Sequence[float], c: float) -> tuple[float, float]:
    """Return mean and coefficient of variation of the maximum of independent lognormal works.

    Args:
        means: mean work of each layer's busiest core, in any unit of time.
        c: coefficient of variation of every one; 0: the largest mean itself.
    """
    known = np.array([m for m in means if m > 0])
    if c <= 0 or not known.size:
        return float(known.max(initial=0.0)), 0.0
    sigma = math.sqrt(math.log1p(c * c))
    middle = np.log(known) - sigma * sigma / 2
    top = float(known.max()) * math.exp(_FAR * sigma / 2) * (1 + c)
    grid = np.linspace(top / _GRID, top, _GRID)
    below = 0.5 * (1 + _erf((np.log(grid)[:, None] - middle) / (sigma * math.sqrt(2))))
    rest = 1 - np.prod(below, axis=1)
    first = float(np.trapezoid(rest, grid)) + float(grid[0])
    second = float(np.trapezoid(2 * grid * rest, grid))
    return first, math.sqrt(max(0.0, second / first**2 - 1))


def coefficient(means: Sequence[float], shape: float) -> float:
    """Return the c at which the maximum has the coefficient of variation `shape`, by bisection."""
    low, high = 0.0, _MOST
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if longest(means, middle)[1] < shape else (low, middle)
    return (low + high) / 2
