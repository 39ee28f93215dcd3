"""Pruning on the chip: a controller moves one threshold per weight matrix until the wanted share of synapses is below it.

    p_ij = sig(beta (theta - |w_ij|));   S = mean p;   theta <- clip(theta + gamma (rho - S), -6/beta, max|w| + 6/beta)

``beta = 20 / std(w)`` (the reach does not depend on the scale of the weights); ``gamma = 0.5 std(w)`` is stable since
gamma S' < 2. One call per interval (p is a probability per call). Modes: ``mask`` prunes |w| < theta as it stands (with
S = the pruned share, beta -> inf) and lets shadow weights come back; ``gated`` samples p and never regrows, only while
S < rho; ``regrow`` prunes with 0.05 p and regrows (at weight 0) with 0.05 (1 - p). Random numbers are keyed by the call and the
synapse. A pruned synapse keeps no weight (``mask`` excepted: its shadow), gets no event, trace or update.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from simulator.base.arrays import U8, Array, Bools, Floats
from simulator.plasticity.words.rounding import fill_random

Mode = Literal["mask", "gated", "regrow"]

_BETA, _GAMMA, _RATE = 20.0, 0.5, 0.05
_STREAM = 3 + 256 * 4096  # of random numbers, + 256 x projection


@dataclass(eq=False)
class Pruner:
    """The controller of one weight matrix.

    Attributes:
        target: rho.
        mode: see above.
        key: number of the projection.
        seed: of sampling.
        theta: the threshold, in units of the weights.
        calls: done so far.
        shadow: weights of masked synapses (``mask``), 0 elsewhere.
    """

    target: float
    mode: Mode
    key: int
    seed: int
    theta: float = 0.0
    calls: int = 0
    shadow: Any = field(default=None)

    def call(self, weights: Array, live: U8, unit: float) -> int:
        """Call once: move theta, change `live` and `weights` [n, H] in place; return the synapses looked at.

        Args:
            weights: stored units.
            live: uint8, 0 where pruned.
            unit: value of one stored unit.
        """
        if self.shadow is None:
            self.shadow = np.zeros_like(weights)
        size = np.abs(np.where(live != 0, weights, self.shadow).astype(np.float64)) * unit
        scale = max(float(size.std()), 1e-12)
        beta = _BETA / scale
        p = 1 / (1 + np.exp(-np.clip(beta * (self.theta - size), -60, 60)))
        share = self._share(size, p, live)
        high = float(size.max()) + 6 / beta
        self.theta = float(np.clip(self.theta + _GAMMA * scale * (self.target - share), -6 / beta, high))
        keep = self._keep(size, p, live, share)
        self._apply(weights, live, keep)
        self.calls += 1
        return weights.size

    def _share(self, size: Floats, p: Floats, live: U8) -> float:
        if self.mode == "mask":
            return float((size < self.theta).mean())
        return float(1 - live.mean()) if self.mode == "gated" else float(p.mean())

    def _keep(self, size: Floats, p: Floats, live: U8, share: float) -> Bools:
        if self.mode == "mask":
            return np.asarray(size >= self.theta)
        r = self._random(size.shape)
        on = live != 0
        if self.mode == "gated":
            wanted = on & (r < p)
            room = max(0, int(np.floor((self.target - share) * size.size)))
            order = np.flatnonzero(wanted)
            order = order[np.argsort(size.ravel()[order], kind="stable")][:room]  # no overshoot within a call
            out: Bools = on.copy()
            out.ravel()[order] = False
            return out
        return np.asarray(np.where(on, r >= _RATE * p, r < _RATE * (1 - p)), bool)

    def _random(self, shape: tuple[int, ...]) -> Floats:
        """Draw uniform numbers in [0, 1) of 16 bits, by (seed, call, source, target)."""
        row = np.zeros((shape[1] + 7) // 8 * 8, np.int64)
        out = np.empty(shape)
        for j in range(shape[0]):
            fill_random(row, self.seed, self.calls, j, _STREAM + 256 * self.key)
            out[j] = row[: shape[1]] / 2.0**16
        return out

    def _apply(self, weights: Array, live: U8, keep: Bools) -> None:
        on = live != 0
        if self.mode == "mask":
            back = keep & ~on
            self.shadow = np.where(on & ~keep, weights, self.shadow)
            weights[:] = np.where(back, self.shadow, weights)
            self.shadow[keep] = 0
        weights[~keep] = 0
        live[:] = keep


def sparsity(live: U8) -> float:
    """Share of pruned synapses."""
    return float(1 - live.mean())
