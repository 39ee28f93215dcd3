"""Augmentation of log-mel pictures: random affine warps of frequency and time, level and tilt (training data only)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def warp(pictures: npt.NDArray[np.floating], seed: int, speed: float = 0.2) -> npt.NDArray[np.float32]:
    """Warped copies of pictures [n, T, M] in units of the bands' standard deviation.

    Per picture, uniform: mel scale 1 +- .12, mel shift +- .06 M, tempo 1 +- speed, level +- .3, tilt +- .3 across the bands.
    Bilinear; beyond the edge the edge's value.

    Args:
        pictures: [n, T, M], z-scored.
        seed: of the draws; picture i's depend on (seed, i) alone.
        speed: largest relative change of tempo.
    """
    n, steps, bands = pictures.shape
    out = np.empty((n, steps, bands), np.float32)
    time, band = np.arange(steps, dtype=np.float64), np.arange(bands, dtype=np.float64)
    middle = (bands - 1) / 2
    for i, picture in enumerate(pictures):
        r = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, i])).uniform(-1, 1, 5)
        at_band = middle + (band - middle) * (1 + 0.12 * r[0]) + 0.06 * bands * r[1]
        at_time = time * (1 + speed * r[2])
        moved = _linear(_linear(picture.astype(np.float64), at_time, 0), at_band, 1)
        out[i] = moved + 0.3 * r[3] + 0.3 * r[4] * (band - middle) / middle
    return out


def _linear(x: npt.NDArray[np.float64], at: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    at = np.clip(at, 0, x.shape[axis] - 1)
    low = np.minimum(at.astype(int), x.shape[axis] - 2)
    part = at - low
    part = part[:, None] if axis == 0 else part
    return np.asarray((1 - part) * x.take(low, axis) + part * x.take(low + 1, axis))
