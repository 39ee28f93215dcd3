"""From gradient sums to weights: the optimiser's rows, the hybrid rule, hard bounds, rounding.

u = lam g - (1 - lam) kappa Omega   (input port;  lam g elsewhere);   w <- clip(w - lr Opt(u), -bound, bound)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from simulator.base.arrays import U8, Array, Bools, Floats
from simulator.plasticity.config import LearnConfig
from simulator.plasticity.forward import Forward
from simulator.plasticity.layers.parts import Part
from simulator.plasticity.rules.optimiser import Rms
from simulator.plasticity.words.counts import LearnCounts
from simulator.plasticity.words.rounding import MODES, update_weights

_CHANGE_LIMIT = 2.0**40  # in 2^-16 of a weight's unit: far beyond any bound
_MOST_FACTOR = 2.0**200  # of a gradient; its own words end far below the largest float over this
_MEMORY = 0.99  # of the running mean squares behind kappa


@dataclass(eq=False)
class Block:
    """Weights of one projection (or a row of biases as [1, H]).

    Attributes:
        weights: [n, H], stored units; a view of what the net runs with.
        live: uint8 [n, H].
        unit: [H], value of one stored unit.
        limit: largest stored |weight|; wide words: largest value.
        key: number of the projection, for the random numbers.
    """

    weights: Array
    live: U8
    unit: Floats
    limit: float
    key: int


def bias_block(forward: Forward, population: str, name: str, limit: float, key: int) -> Block:
    """Return the words `name` that the neurons of a population have each of their own; limit and key as in `Block`."""
    view, unit = forward.bias(population, name)
    return Block(view.reshape(1, -1), full((1, view.size)), np.full(view.size, unit or 1.0), limit, key)


def weights_and_bias(
    forward: Forward, population: str, blocks: Sequence[Block], config: LearnConfig, seed: int, moments: Mapping[str, float],
    bits: int, key: int,
) -> dict[str, Row]:  # fmt: skip
    """Return rows ``w`` and ``b`` of a population whose neurons have one port and a bias of `bits` bits, random key `key`."""
    bias = bias_block(forward, population, "b", np.inf if config.wide else 2 ** (bits - 1) - 1, key)
    each = {"w": tuple(blocks), "b": (bias,)}
    return {name: Row(of, config, seed, moments.get(name, 0.0)) for name, of in each.items()}


class Row:
    """Blocks whose columns (target neurons) share one optimiser word.

    Args:
        blocks: one after another along the gradient's rows.
        config: of the learning.
        seed: of stochastic rounding.
        lsb: unit of the second moment (chip words).
    """

    def __init__(self, blocks: Sequence[Block], config: LearnConfig, seed: int, lsb: float = 0.0) -> None:
        self.blocks, self.config, self.seed = tuple(blocks), config, seed
        width = blocks[0].weights.shape[1]
        exact = config.wide or lsb == 0.0  # no binary point yet: calibration
        self.rms = Rms(width, config.beta, config.eps, exact, lsb) if config.optimiser == "rms" else None
        self.updates, self.bounded = 0, 0  # bounded: weights that met the hard bound
        self.mean_square = np.zeros(2)  # of gradient and Omega, for kappa

    @property
    def words(self) -> int:
        """Optimiser words."""
        return self.rms.v.size if self.rms else 0

    def apply(
        self, g: Floats, part: Part, lr: float, number: int, counts: LearnCounts, population: int,
        on: Bools | None = None, bias: bool = False,
    ) -> int:  # fmt: skip
        """Apply one update of a core's neurons with their gradient g [M, part]; return the weights written.

        Args:
            g: gradient, biases as one row.
            part: the neurons.
            lr: learning rate.
            number: of the update; key of the random numbers.
            counts: where the operations are counted.
            population: whose neurons they are.
            on: the neurons whose synapses are touched; the gradient of the others is 0, and their synapses cost nothing
                (their optimiser word still decays). None: all.
            bias: per-neuron words (not counted as weights).
        """
        self.updates, g = number + 1, np.ascontiguousarray(g)
        scale, touched = np.ones(g.shape[1]), g.shape[1] if on is None else int(np.count_nonzero(on))
        if self.rms is not None:
            scale = self.rms.scale(g, self.updates, part.columns)
            counts.add("optimiser_rmw", population, scale.size, part.core)
            counts.add("optimiser_mac", population, g.shape[0] * touched, part.core)
            counts.add("lut", population, scale.size, part.core)
        step, start, written = -lr * scale, 0, 0
        for block in self.blocks:
            rows = g[start : start + block.weights.shape[0]]
            start += rows.shape[0]
            written += self._write(block, part, rows, step, number)
            if not self.config.wide and self.config.rounding == "stochastic":
                counts.add("random", population, rows.shape[0] * touched, part.core)
        counts.add("neuron_word_updates" if bias else "weight_updates", population, written, part.core)
        return written

    def _write(self, block: Block, part: Part, g: Floats, step: Floats, number: int) -> int:
        """Write the weights of a core's share of a block; return their number."""
        weights, live = part.take(block.weights), part.take(block.live)
        if self.config.wide:
            moved = np.clip(weights + step * g, -block.limit, block.limit)
            weights[:] = np.where(live != 0, moved, weights)
            part.give(block.weights, weights)
            return int(np.count_nonzero(g))
        change = np.empty(g.shape, np.int64)
        _fixed_change(g, step, block.unit[part.columns], change)
        mode = MODES[self.config.rounding]
        written, bounded, _ = update_weights(
            weights, change, live, int(block.limit), mode, self.seed, number, block.key, 0, part.lo
        )
        part.give(block.weights, weights)
        self.bounded += int(bounded)
        return int(written)

    def kappa(self, g: Floats, omega: Floats) -> float:
        """Scale of the STDP term for an update: fixed, or the ratio of the running root mean squares of the whole rows.

        The one quantity of an update that all cores of a layer share.
        """
        c = self.config
        if c.kappa != 0.0 or c.share == 1.0:
            return c.kappa
        fresh = np.array([np.mean(g * g), np.mean(omega * omega)])
        if c.share == 0.0:
            fresh[0] = fresh[1]  # no gradient to compare with: Omega as it is
        self.mean_square[:] = _MEMORY * self.mean_square + (1 - _MEMORY) * fresh
        return float(np.sqrt(self.mean_square[0] / self.mean_square[1])) if self.mean_square[1] > 0 else 0.0

    def hybrid(self, g: Floats, omega: Floats, kappa: float) -> Floats:
        """Compute lam g - (1 - lam) kappa Omega."""
        share = self.config.share
        return g if share == 1.0 else share * g - (1 - share) * kappa * omega


@numba.njit(cache=True, nogil=True)
def _fixed_change(g: Any, step: Any, unit: Any, change: Any) -> None:
    """Compute change = round(g w 2^16) with w = step / unit as a word of a 16-bit mantissa."""
    for i in range(g.shape[1]):
        # finite, so that a gradient of 0 changes nothing
        mantissa, exponent = math.frexp(min(max(step[i] / unit[i], -_MOST_FACTOR), _MOST_FACTOR))
        w = math.ldexp(math.floor(mantissa * 65536.0 + 0.5), exponent)  # 2^16 (step / unit)
        for j in range(g.shape[0]):
            change[j, i] = np.int64(math.floor(min(max(g[j, i] * w, -_CHANGE_LIMIT), _CHANGE_LIMIT) + 0.5))


def full(shape: tuple[int, int]) -> U8:
    """Return a mask of existing synapses."""
    return np.ones(shape, np.uint8)
