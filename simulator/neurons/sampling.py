"""Random parameters of float populations for the cross-checks: dyadic numbers.

They have few bits after the point, so that sums do not depend on their order and a tie at the threshold is the same tie
in two simulators.
"""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import Floats


def dyadic(rng: np.random.Generator, n: int, low: float, high: float, step: float = 2.0**-6) -> Floats:
    """Draw n multiples of `step`, uniform in [low, high]; float64 [n]."""
    drawn: Floats = np.round(rng.uniform(low, high, n) / step) * step
    return drawn
