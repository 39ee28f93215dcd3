"""Spike sources whose classes differ in their statistics: Bernoulli, two-state Markov and Poisson trains, made from a seed.

Two classes of trains on independent channels, after the sources of Rudnicka et al. 2025 (arXiv:2508.11674). Figures are ours:

    bernoulli   P(spike) 0.2 | 0.3                            the rate tells them apart
    poisson     rate 40 | 60 Hz, steps of 5 ms                the same in time
    markov      P(1 | 0) = P(0 | 1) = 0.35 | 0.5              equal rates of 1/2: only the order of the spikes does
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from bimhw.tasks.base import Split, Task, late_steps
from bimhw.tasks.registry import TaskInfo, register_task
from simulator.base.arrays import U8
from simulator.base.errors import InputError

Bits = U8
Source = Literal["bernoulli", "markov", "poisson"]


def bernoulli(p: float, shape: tuple[int, ...], seed: int) -> Bits:
    """Draw independent spikes of probability p."""
    _chance("p", p)
    return (np.random.default_rng(seed).random(shape) < p).astype(np.uint8)


def markov(p01: float, p10: float, shape: tuple[int, ...], seed: int) -> Bits:
    """Draw two-state Markov trains along the last axis, p01 = P(1 | 0), p10 = P(0 | 1), from the stationary state."""
    _chance("p01", p01)
    _chance("p10", p10)
    u = np.random.default_rng(seed).random(shape)
    out = np.empty(shape, np.uint8)
    out[..., 0] = u[..., 0] < p01 / max(p01 + p10, 1e-300)
    for t in range(1, shape[-1]):
        out[..., t] = np.where(out[..., t - 1] == 1, u[..., t] >= p10, u[..., t] < p01)
    return out


def poisson(rate_hz: float, dt_ms: float, shape: tuple[int, ...], seed: int) -> Bits:
    """Draw Poisson trains: a spike where at least one event falls in a step, p = 1 - exp(-rate dt)."""
    if rate_hz < 0 or dt_ms <= 0:
        raise InputError("poisson source", f"rate {rate_hz} Hz, dt {dt_ms} ms", "Give a rate >= 0 and a step > 0")
    return bernoulli(float(-np.expm1(-rate_hz * dt_ms / 1000)), shape, seed)


_CLASSES: dict[str, tuple[Callable[[tuple[int, ...], int], Bits], ...]] = {
    "bernoulli": (lambda shape, seed: bernoulli(0.2, shape, seed), lambda shape, seed: bernoulli(0.3, shape, seed)),
    "markov": (lambda shape, seed: markov(0.35, 0.35, shape, seed), lambda shape, seed: markov(0.5, 0.5, shape, seed)),
    "poisson": (lambda shape, seed: poisson(40, 5, shape, seed), lambda shape, seed: poisson(60, 5, shape, seed)),
}


def load(
    source: Source = "markov", steps: int = 128, channels: int = 4, train: int = 400, test: int = 400, seed: int = 0
) -> Task:
    """Return the task of these sizes.

    Args:
        source: ``bernoulli``, ``markov`` or ``poisson``.
        steps: T.
        channels: independent trains of a sample.
        train: training samples, half of each class.
        test: test samples.
        seed: of everything drawn.

    Raises:
        InputError: a size that makes no task, or an unknown source.
    """
    if source not in _CLASSES:
        raise InputError("task sources: source", f"is {source!r}", f"Sources: {', '.join(_CLASSES)}")
    for name, value, least in (("steps", steps, 8), ("channels", channels, 1), ("train", train, 2), ("test", test, 2)):
        if value < least:
            raise InputError(f"task sources: {name}", f"is {value}", f"Give at least {least}")
    splits = [_split(source, n, steps, channels, seed * 4 + 2 * k) for k, n in enumerate((train, test))]
    last = late_steps(steps, 1)
    return Task("sources", 2, 1.0, splits[0], splits[1], last, last, {"source": f"generated, {source}, seed {seed}"})


def _split(source: str, n: int, steps: int, channels: int, seed: int) -> Split:
    y = np.arange(n, dtype=np.int64) % 2
    x = np.empty((n, steps, channels), np.int16)
    for k, draw in enumerate(_CLASSES[source]):
        mine = y == k
        x[mine] = draw((int(mine.sum()), channels, steps), seed + k).transpose(0, 2, 1)
    return Split(x, y)


def _chance(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise InputError(f"source: {name}", f"is {p}", "Give a probability in [0, 1]")


register_task(
    TaskInfo("sources", "two classes of random spike trains", "package", "generated", load, preset="level", rank=7)
)
