"""The kernel's one array before the first step: an empty wheel, and rows that know their neighbours."""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import U64
from simulator.timing.words import (
    C_ENTRY,
    C_RING,
    FAR,
    HEAD,
    RING,
    ROW0,
    TAIL,
    UP,
    WHEEL,
    U,
)  # fmt: skip

_3, _4, _8 = U(3), U(4), U(8)


@numba.njit(cache=True, nogil=True)
def lay_out(
    S: U64, entry: U64, far: U64, link_ticks: U64, nil: np.uint64, port_mask: np.uint64, cores0: np.uint64,
    rings0: np.uint64, ring_words: np.uint64, core_rings0: np.uint64, core_slots: np.uint64, links0: np.uint64,
    n_links: np.uint64,
) -> None:  # fmt: skip
    """Write what every step finds; arguments as in `kernel.time_steps`, `..0` the first word of each part of S."""
    for i in range(WHEEL):
        S[i] = nil
    for i in range(far.size):
        S[links0 + U(i)] = link_ticks[i]
    for row in range(far.size):
        p = ROW0 + (U(row) << _4)
        ring = rings0 + U(row) * ring_words
        S[p + HEAD] = ring
        S[p + RING] = ring
        if (U(row) & port_mask) < n_links:
            if far[row] < U(far.size):
                q = ROW0 + (far[row] << _4)
                S[p + _8 + FAR] = q
                S[p + _8 + TAIL] = rings0 + far[row] * ring_words
                S[q + UP] = p + _8
        else:
            S[p + _8 + FAR] = cores0 + (far[row] << _3)
            S[p + _8 + TAIL] = core_rings0 + far[row] * core_slots
    for c in range(entry.size):
        core = cores0 + (U(c) << _3)
        p = ROW0 + (entry[c] << _4)
        S[core + C_ENTRY] = p
        S[p + UP] = core
        S[core + C_RING] = core_rings0 + U(c) * core_slots
