"""The third factor: C graded error words, broadcast, and what each layer makes of them.

    e = softmax(o) - onehot(label)                       o: readout state y (C words)
    direct     delta_l = Wo_l^T e                        Wo_l: the readout's weights from layer l, kept at the layer's cores
    filt-Win   delta_l = Wo_l^T e + W_in^(l+1)T (psi^(l+1) delta_(l+1))      (readout on the membrane above: (c + D) delta)

The error is made at the ``host`` (exact exp and division, then rounded to the error word) or on a ``core`` (table of exp(-d),
d in [0, 8) in 256 cells, 16 fractional bits, and one integer division a class).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from simulator.base.arrays import I64, Array, Floats

Place = Literal["host", "core"]

_CELLS, _REACH, _FRAC = 256, 8.0, 16


@lru_cache(maxsize=1)
def exp_table() -> I64:
    """Return round(2^16 exp(-d)) at the left edge of 256 cells of d in [0, 8)."""
    d = np.arange(_CELLS) * (_REACH / _CELLS)
    table: I64 = np.round(np.exp(-d) * 2**_FRAC).astype(np.int64)
    return table


def softmax(o: Floats) -> Floats:
    """Compute softmax(o) [C]."""
    x = np.exp(o - o.max())
    return np.asarray(x / x.sum())


def softmax_table(o: Floats) -> Floats:
    """Compute softmax by the table; scores that lie 8 or more below the largest count 0."""
    cell = np.floor((o.max() - o) * (_CELLS / _REACH)).astype(np.int64)
    parts = np.where(cell < _CELLS, exp_table()[np.minimum(cell, _CELLS - 1)], 0)
    return np.asarray((parts << _FRAC) // parts.sum()) / 2.0**_FRAC


def error(o: Floats, label: int, place: Place, bits: int) -> Floats:
    """Return e = softmax(o) - onehot [C], rounded to a word of `bits` (one sign bit, the rest fractional; 0 bits: exact)."""
    e = softmax_table(o) if place == "core" and bits else softmax(o)
    e[label] -= 1.0
    if not bits:
        return e
    scale = 2.0 ** (bits - 1)
    return np.asarray(np.clip(np.floor(e * scale + 0.5), -scale, scale - 1) / scale)


def through_layer(w_in: Floats, gain: Floats, delta: Floats) -> Floats:
    """Send down through a layer (filt-Win): W_in^T (gain delta) [M] for w_in [M, H] (gain: psi)."""
    return row_sums(w_in, gain * delta)


def row_sums(w: Array, x: Floats) -> Floats:
    """Compute w x [M] for w [M, H], each row summed by itself: the same value whatever other rows a core holds."""
    return np.asarray((w * x).sum(axis=1))
