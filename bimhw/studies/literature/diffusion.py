"""Backpropagation diffusion: forward and backward waves through layers of one-step delay (Betti & Gori 2019, arXiv:1912.04635).

Layer l = 1..L of a chip with one step from layer to layer, f = tanh, squared loss V = |x^L - y|^2 / 2::

    a^l(t) = W^l x^(l-1)(t-1),   x^l(t) = f(a^l(t))
    delta^L(t) = f'(a^L(t)) (x^L(t) - y(t))
    delta^l(t) = f'(a^l) W^(l+1)T delta^(l+1)(t-1)
    naive      dW^l(t) = delta^l(t) x^(l-1)(t-1)^T,   f' of a^l(t)
    paired     dW^l(t) = delta^l(t) x^(l-1)(t-1-2(L-l))^T,   f' of a^l(t-2(L-l))

The error that reaches layer l at t left the output at t-(L-l), and that output was made of what layer l did at t-2(L-l). With
a constant input both forms are exact after 2L steps; with a moving input only the paired form is (apart from `y`, which must
be that of the same input). The abstract of the source states the idea; the equations above were derived here.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.base.arrays import Floats
from simulator.base.errors import InputError

Pairing = Literal["naive", "paired"]


@dataclass(frozen=True, eq=False)
class Waves:
    """Gradients of the newest step, layer by layer, by the waves and by backpropagation.

    Attributes:
        waves: dW^l of the diffusing waves.
        backprop: the gradient of V for the input that the output of that step answers (paired with the same delays).
        cosine: of the two, by layer.
    """

    waves: tuple[Floats, ...]
    backprop: tuple[Floats, ...]
    cosine: tuple[float, ...]


def diffuse(weights: list[Floats], inputs: Floats, targets: Floats, pairing: Pairing = "paired") -> Waves:
    """Run the waves over a sequence, and compare their last gradient with backpropagation.

    Args:
        weights: W^1 .. W^L, [n_l, n_(l-1)].
        inputs: x^0(t), [T, n_0], T > 3 L.
        targets: y for the input of the same index, [T, n_L].
        pairing: ``naive`` or ``paired``.

    Raises:
        InputError: fewer steps than the waves need.
    """
    depth, steps = len(weights), len(inputs)
    if steps <= 3 * depth:
        raise InputError("inputs", f"have {steps} steps; waves through {depth} layers need more than {3 * depth}")
    a, x = _forward(weights, inputs)
    waves = _backward(weights, a, x, targets, pairing)
    exact = _backprop(weights, inputs, targets, steps - 1, pairing)
    return Waves(waves, exact, tuple(_cosine(g, e) for g, e in zip(waves, exact, strict=True)))


def angle_by_speed(
    periods: list[float], *, sizes: tuple[int, ...] = (10, 10, 10, 10, 10), seed: int = 0, pairing: Pairing = "naive"
) -> Floats:
    """Return the angle (degrees) between wave and true gradient, [periods, layers], for sinusoidal inputs of these periods.

    A period of ``inf`` is a constant input: the angle is 0 in every layer.
    """
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 1 / np.sqrt(m), (n, m)) for m, n in itertools.pairwise(sizes)]
    phase, target = rng.uniform(0, 2 * np.pi, sizes[0]), rng.uniform(-0.5, 0.5, sizes[-1])
    steps = np.arange(4 * len(weights))[:, None]
    out = []
    for period in periods:
        inputs = np.sin(2 * np.pi * steps / period + phase)
        cosine = diffuse(weights, inputs, np.tile(target, (len(inputs), 1)), pairing).cosine
        out.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return np.array(out)


def _forward(weights: list[Floats], inputs: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return a^l(t) and x^l(t) for l = 0..L (a^0 unused), rest before the first step."""
    steps = len(inputs)
    x = [inputs, *(np.zeros((steps, len(w))) for w in weights)]
    a = [inputs, *(np.zeros((steps, len(w))) for w in weights)]
    for t in range(1, steps):
        for layer, w in enumerate(weights, 1):
            a[layer][t] = w @ x[layer - 1][t - 1]
            x[layer][t] = np.tanh(a[layer][t])
    return a, x


def _slope(a: Floats) -> Floats:
    out: Floats = 1 - np.tanh(a) ** 2
    return out


def _backward(
    weights: list[Floats], a: list[Floats], x: list[Floats], targets: Floats, pairing: Pairing
) -> tuple[Floats, ...]:
    depth, end = len(weights), len(targets) - 1
    delta: Floats = np.zeros(0)
    out: list[Floats] = []
    # The wave that arrives at layer l at `end` left the output at end - (L - l): one wave a layer, followed back.
    for layer in range(1, depth + 1):
        left = end - (depth - layer)
        delta = _slope(a[depth][left]) * (x[depth][left] - targets[left - depth])
        for k in range(depth - 1, layer - 1, -1):
            now = left + (depth - k)
            at = now - 2 * (depth - k) if pairing == "paired" else now
            delta = _slope(a[k][at]) * (weights[k].T @ delta)
        back = 2 * (depth - layer) if pairing == "paired" else 0
        out.append(np.outer(delta, x[layer - 1][end - 1 - back]))
    return tuple(out)


def _backprop(weights: list[Floats], inputs: Floats, targets: Floats, end: int, pairing: Pairing) -> tuple[Floats, ...]:
    """Return the true gradient: for each layer that of the input whose error reaches it at `end`."""
    depth, out = len(weights), []
    for layer in range(1, depth + 1):
        left = end - (depth - layer)
        out.append(_gradient(weights, inputs[left - depth], targets[left - depth])[layer - 1])
    return tuple(out)


def _gradient(weights: list[Floats], x0: Floats, y: Floats) -> list[Floats]:
    x: list[Floats] = [x0]
    for w in weights:
        x.append(np.tanh(w @ x[-1]))
    delta: Floats = (1 - x[-1] ** 2) * (x[-1] - y)
    out: list[Floats] = [delta[:, None] * x[-2]]
    for k in range(len(weights) - 1, 0, -1):
        delta = (1 - x[k] ** 2) * (weights[k].T @ delta)
        out.insert(0, delta[:, None] * x[k - 1])
    return out


def _cosine(a: Floats, b: Floats) -> float:
    return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300))
