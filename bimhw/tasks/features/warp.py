"""Augmentation of log-mel pictures: random affine warps of frequency and time, level, tilt, colouration (training data only)."""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import F32, AnyFloats
from simulator.base.errors import InputError

KNOTS = 6  # of the colouration across the bands


def warp(pictures: AnyFloats, seed: int, speed: float = 0.2, colour: float = 0.0) -> F32:
    """Warp copies of pictures [n, T, M] in units of the bands' standard deviation.

    Per picture, uniform: mel scale 1 +- .12, mel shift +- .06 M, tempo 1 +- speed, level +- .3, tilt +- .3 across the bands.
    Bilinear; beyond the edge the edge's value. Then `colour`: an offset of each band, the same at all steps, as another voice,
    room or microphone would give: normal at `KNOTS` places across the bands, linear between them.

    Args:
        pictures: [n, T, M], z-scored.
        seed: of the draws; picture i's depend on (seed, i) alone.
        speed: largest relative change of tempo.
        colour: standard deviation of the colouration at its knots.

    Raises:
        InputError: a tempo that would stand still or run back, or a negative colouration.
    """
    if not (0 <= speed < 1 and 0 <= colour < np.inf):
        raise InputError("warp", f"speed {speed}, colour {colour}", "speed must be in [0, 1), colour not negative")
    n, steps, bands = pictures.shape
    r, knots = _draws(n, seed)
    time, band = np.arange(steps, dtype=np.float32), np.arange(bands, dtype=np.float32)
    middle = np.float32((bands - 1) / 2)
    off = band - middle
    at_band = middle + off * (1 + 0.12 * r[:, :1]) + 0.06 * bands * r[:, 1:2]
    moved = _linear(pictures.astype(np.float32), time * (1 + speed * r[:, 2:3]))
    moved = _linear(moved.transpose(0, 2, 1), at_band).transpose(0, 2, 1)
    added = 0.3 * r[:, 3:4] + 0.3 * r[:, 4:5] * off / middle
    if colour:
        place = np.broadcast_to(np.linspace(0, KNOTS - 1, bands, dtype=np.float32), (n, bands))
        added = added + np.float32(colour) * _linear(knots[:, :, None], place)[:, :, 0]
    return np.asarray(moved + added[:, None, :], np.float32)


def _draws(n: int, seed: int) -> tuple[F32, F32]:
    """Draw for each picture five uniform numbers in [-1, 1) and `KNOTS` normal ones."""
    uniform, normal = np.empty((n, 5), np.float32), np.empty((n, KNOTS), np.float32)
    for i in range(n):
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, i]))
        uniform[i], normal[i] = generator.uniform(-1, 1, 5), generator.normal(size=KNOTS)
    return uniform, normal


def _linear(x: F32, at: F32) -> F32:
    """Interpolate x [n, L, K] at the places `at` [n, P] along its second axis, linearly; the edge's value beyond."""
    at = np.clip(at, 0, x.shape[1] - 1).astype(np.float32)
    low = np.minimum(at.astype(np.int64), x.shape[1] - 2)
    part, row = (at - low)[:, :, None], np.arange(len(x))[:, None]
    return np.asarray((1 - part) * x[row, low] + part * x[row, low + 1], np.float32)
