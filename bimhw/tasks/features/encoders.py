"""From real values to spikes: rate, latency, delta (on/off) and graded codes.

x is [..., M] in [0, 1] for `rate` and `latency`, a sequence [..., T, M] for `delta` and `graded`. Random codes draw from
counter-based numbers keyed by (seed, sample), so that a sample's spikes do not depend on the batch it is in.
"""

from __future__ import annotations

import numpy as np

from bimhw.tasks.checks import check_finite
from simulator.base.arrays import F32, I16, AnyFloats, Bools
from simulator.base.errors import InputError

Bits = Bools


def rate(x: AnyFloats, steps: int, seed: int, first_sample: int = 0, max_rate: float = 1.0) -> Bits:
    """Draw Bernoulli spikes: P(spike at a step) = max_rate · x.

    Args:
        x: [N, M] in [0, 1].
        steps: T.
        seed: key of the random numbers.
        first_sample: index of x[0] in the whole set: the spikes of sample i depend on (seed, i) alone.
        max_rate: spikes a step at x = 1, in (0, 1].

    Returns:
        [N, T, M] bool.
    """
    _check_unit(x)
    _check_steps(steps)
    if not 0 < max_rate <= 1:
        raise InputError("rate code", f"max_rate {max_rate} is not in (0, 1]")
    out = np.empty((len(x), steps, x.shape[-1]), np.bool_)
    for i, sample in enumerate(x):
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, first_sample + i]))
        out[i] = generator.random((steps, len(sample))) < max_rate * sample
    return out


def latency(x: AnyFloats, steps: int, dark: float = 0.0) -> Bits:
    """Encode as one spike a channel, the earlier the stronger: t = round((1 - x)(T - 1)); none where x <= dark.

    Args:
        x: [N, M] in [0, 1].
        steps: T.
        dark: values up to here stay silent.

    Returns:
        [N, T, M] bool.
    """
    _check_unit(x)
    _check_steps(steps)
    when = np.rint((1.0 - x) * (steps - 1)).astype(np.int64)
    spikes = np.arange(steps)[None, :, None] == when[:, None, :]
    return np.asarray(spikes & (x > dark)[:, None, :], np.bool_)


def delta(x: AnyFloats, threshold: float) -> Bits:
    """Send on delta: an ON (OFF) spike where x rose (fell) by `threshold` since the level last sent; the level follows by it.

    At most one spike a channel and step: a jump of k thresholds is sent over k steps.

    Args:
        x: [N, T, M].
        threshold: > 0, in the unit of x.

    Returns:
        [N, T, 2M] bool: the M ON channels, then the M OFF channels. Nothing at the first step.
    """
    check_finite(x, "delta code")
    if threshold <= 0:
        raise InputError("delta code", f"the threshold {threshold} is not above 0")
    n, steps, width = x.shape
    out = np.zeros((n, steps, 2 * width), np.bool_)
    level = x[:, 0].astype(np.float64)
    for t in range(1, steps):
        on, off = x[:, t] - level >= threshold, level - x[:, t] >= threshold
        out[:, t, :width], out[:, t, width:] = on, off
        level += threshold * (on.astype(np.float64) - off)
    return out


def payloads(x: AnyFloats, limit: float = 3.0, fraction_bits: int = 4) -> I16:
    """Return the integers of graded spikes: round(clip(x, ±limit) · 2^fraction_bits); a zero is no spike."""
    check_finite(x, "graded code")
    return np.asarray(np.rint(np.clip(x, -limit, limit) * 2.0**fraction_bits), np.int16)


def graded(x: AnyFloats, limit: float = 3.0, fraction_bits: int = 4) -> F32:
    """Return the values of graded spikes: `payloads` times 2^-fraction_bits, float32, in the shape of x."""
    return np.asarray(payloads(x, limit, fraction_bits) * 2.0**-fraction_bits, np.float32)


def _check_unit(x: AnyFloats) -> None:
    check_finite(x, "spike code")
    if x.size and (x.min() < 0 or x.max() > 1):
        raise InputError("spike code", f"values from {x.min():.4g} to {x.max():.4g}, must lie in [0, 1]", "Scale them")


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise InputError("spike code", f"{steps} steps", "At least 1 is needed")
