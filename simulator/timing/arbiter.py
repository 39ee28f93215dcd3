"""Choice of the leaves of an input's head that go through an output."""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import U64
from simulator.timing.words import DST, U, output_towards

_1, _8 = U(1), U(8)


@numba.njit(cache=True, nogil=True)
def branch(
    carries: U64, where: U64, here: np.uint64, port: np.uint64, m: np.uint64, stop: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Return the stretch of the leaves [m, stop) that needs an output of the router at `here`: its first, and its end."""
    while output_towards(where[(carries[m] >> _8) & DST], here) != port:
        m += _1
    beyond = m + _1
    while beyond < stop and output_towards(where[(carries[beyond] >> _8) & DST], here) == port:
        beyond += _1
    return m, beyond
