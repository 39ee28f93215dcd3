"""Which of the inputs that ask an output serves, and which leaves of the head there: what the kernel decides at an output."""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.intrinsics import trailing_zeros
from simulator.timing.words import DST, GRANTS, KEY, TURN, U64, U, output_towards

_1, _4, _8 = U(1), U(4), U(8)


@numba.njit(cache=True, nogil=True, inline="always")
def choose(
    S: U64, out: np.uint64, asked: np.uint64, first_row: np.uint64, rotating: bool, port_mask: np.uint64
) -> np.uint64:
    """Return the input that an output serves: the first from its turn on, or the one with the oldest head."""
    chosen: np.uint64
    if rotating:
        turn = S[out + GRANTS] & TURN
        ahead = asked >> turn
        chosen = turn + trailing_zeros(ahead) if ahead else trailing_zeros(asked)
        S[out + GRANTS] = (S[out + GRANTS] & ~TURN) | ((chosen + _1) & port_mask)
    else:
        chosen = trailing_zeros(asked)
        rest = asked & (asked - _1)
        best = S[first_row + (chosen << _4) + KEY]
        while rest:
            i = trailing_zeros(rest)
            rest &= rest - _1
            key = S[first_row + (i << _4) + KEY]
            if key < best:
                best, chosen = key, i
    return chosen


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
