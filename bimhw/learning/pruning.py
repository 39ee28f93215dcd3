"""Adaptive probabilistic pruning: the paper's eqs 9-10 with the sign that removes small weights and is stable.

    p_ij = sigmoid(beta (theta - |w_ij|)),  beta = beta0 / scale;      theta <- theta + gamma (rho - S)
    gamma = min(gamma0 scale, 1 / S'(theta)),  S' = mean beta p (1 - p),  scale = std(w)

S is the expected share of pruned synapses (mean p), for ``gated`` the real one. S rises with theta, so there is one equilibrium;
the step is stable for gamma < 2/S': gamma0 std(w) keeps that for weights that are spread out, 1/S' for those that are alike (all
of one magnitude: S' = beta / 4). Weights that are equal to rounding have their largest magnitude as scale. theta stays in
[-6/beta, max|w| + 6/beta] (anti-windup), and begins at the rho-quantile of |w|. One theta per matrix; the mask of the last call
is the one that is saved and compiled. Modes:

    resampled   every call draws the mask anew from p
    gated       irreversible: a kept synapse goes with probability p, only while S < rho (never beyond)
    regrow      the first call draws the mask as `resampled`; then a kept synapse goes with probability r p, a pruned one returns
                with r (1 - p)
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import numpy as np
import torch

from bimhw.models.bim.net import BimNet
from simulator.base.arrays import AnyFloats, Bools, Floats
from simulator.base.errors import check_fields

Mode = Literal["resampled", "gated", "regrow"]
READOUT = "readout.weight"
_REACH = 6.0  # sigmoid(-6) = 0.0025
_EQUAL = 1e-6  # std(w) below this share of max |w|: the weights are equal to rounding


class PruneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Target share ``rho`` of pruned synapses and how to get there; see the module."""

    rho: float
    mode: Mode = "gated"
    beta0: float = 20.0
    gamma0: float = 0.5
    turnover: float = 0.05  # r of regrow
    seed: int = 0

    def __post_init__(self) -> None:
        rules = (
            ("rho", 0 <= self.rho <= 0.99, "must be in [0, 0.99]"),
            ("beta0", 0 < self.beta0 < math.inf, "must be positive"),
            ("gamma0", 0 < self.gamma0 <= 0.5, "must be in (0, 0.5]: beyond, the threshold may oscillate"),
            ("turnover", 0 < self.turnover <= 1, "must be in (0, 1]"),
        )
        check_fields("pruning ", self, rules)


class MatrixPruner:
    """The controller of one weight matrix.

    Args:
        settings: target and mode.
        number: of the matrix, part of the key of its random numbers.
        start: the first theta; None: the rho-quantile of |w|.
    """

    def __init__(self, settings: PruneSettings, number: int = 0, start: float | None = None) -> None:
        self.settings, self.number, self.theta = settings, number, start
        self.calls = 0
        self.mask: Bools | None = None

    def call(self, weights: AnyFloats) -> Bools:
        """Do one step of controller and mask; True: the synapse is kept."""
        w = np.abs(weights.astype(np.float64))
        scale, largest = float(weights.std(dtype=np.float64)), float(w.max(initial=0.0))
        if scale <= _EQUAL * largest or scale == 0:
            scale = largest or 1.0
        beta = self.settings.beta0 / scale
        if self.theta is None:
            self.theta = float(np.quantile(w, self.settings.rho))
        p = _sigmoid(beta * (self.theta - w))
        draw = self._random(w.shape)
        self.mask = self._next(self.mask, p, draw, w)
        share = 1 - float(self.mask.mean()) if self.settings.mode == "gated" else float(p.mean())
        slope = beta * float((p * (1 - p)).mean())
        gamma = min(self.settings.gamma0 * scale, 1 / slope if slope > 0 else math.inf)
        theta = self.theta + gamma * (self.settings.rho - share)
        self.theta = float(np.clip(theta, -_REACH / beta, largest + _REACH / beta))
        self.calls += 1
        return self.mask

    def state(self) -> dict[str, object]:
        """Return all that `load` needs."""
        mask = None if self.mask is None else torch.from_numpy(self.mask.copy())
        return {"theta": self.theta, "calls": self.calls, "mask": mask}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.theta, self.calls = state["theta"], state["calls"]
        self.mask = None if state["mask"] is None else np.array(state["mask"].numpy())

    @property
    def sparsity(self) -> float:
        """Share of pruned synapses in the last mask."""
        return 0.0 if self.mask is None else 1 - float(self.mask.mean())

    def _random(self, shape: tuple[int, ...]) -> Floats:
        key = np.array([self.settings.seed, self.number], dtype=np.uint64)
        counter = np.array([0, 0, 0, self.calls], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter)).random(shape)

    def _next(self, mask: Bools | None, p: Floats, draw: Floats, w: Floats) -> Bools:
        mode, r = self.settings.mode, self.settings.turnover
        if mode == "gated":
            mask = np.ones(w.shape, dtype=bool) if mask is None else mask
            return self._gate(mask, mask & (draw < p), w)
        if mode == "resampled" or mask is None:
            return draw >= p
        return np.where(mask, draw >= r * p, draw < r * (1 - p))

    def _gate(self, mask: Bools, leaving: Bools, w: Floats) -> Bools:
        """Let go of at most what is missing to rho, the smallest first."""
        missing = round(self.settings.rho * mask.size) - int((~mask).sum())
        out = mask.copy()
        if missing > 0:
            index = np.flatnonzero(leaving)
            out.flat[index[np.argsort(w.flat[index], kind="stable")[:missing]]] = False
        return out


class Pruner:
    """Prunes all synaptic matrices of a network, each with its own threshold.

    Args:
        net: gets masks as buffers.
        settings: target and mode.
        readout: prune the readout too. It has no mask: its absent weights are held at 0, and return from there.
    """

    def __init__(self, net: BimNet, settings: PruneSettings, readout: bool = False) -> None:
        self.net = net
        names = [n for n, _ in net.named_parameters() if ".w_" in n or (readout and n == READOUT)]
        self.matrices = {n: MatrixPruner(settings, i) for i, n in enumerate(names)}

    def call(self) -> None:
        """Do one step of every controller; the network's masks follow."""
        for name, pruner in self.matrices.items():
            mask = pruner.call(self.net.get_parameter(name).detach().numpy())
            if name != READOUT:
                self.net.add_mask(name.replace(".w_", ".mask_"), torch.from_numpy(mask.copy()))
        self.hold()

    @torch.no_grad()
    def hold(self) -> None:
        """Put the readout's absent weights back to 0; due after every update."""
        mask = self.matrices[READOUT].mask if READOUT in self.matrices else None
        if mask is not None:
            self.net.readout.weight *= torch.from_numpy(mask)

    @torch.no_grad()
    def finish(self) -> None:
        """Set the weights of absent synapses to 0, so that nothing but the mask's complement is left."""
        self.hold()
        for name in self.matrices:
            if name == READOUT:
                continue
            _, index, leaf = name.split(".")
            layer = self.net.layer(int(index))
            parameter = self.net.get_parameter(name)
            parameter.copy_(layer.weight(leaf.removeprefix("w_")))

    @property
    def sparsity(self) -> float:
        """Share of pruned synapses over all matrices."""
        sizes = [self.net.get_parameter(n).numel() for n in self.matrices]
        shares = [m.sparsity for m in self.matrices.values()]
        return float(np.average(shares, weights=sizes))


class Pruning:
    """A pruner that is called every so many updates.

    Args:
        pruner: prunes.
        every: updates between two calls.
    """

    def __init__(self, pruner: Pruner, every: int) -> None:
        self.pruner, self.every = pruner, every

    def after(self, updates: int) -> None:
        """Follow an update, the `updates`-th."""
        self.pruner.hold()
        if updates % self.every == 0:
            self.pruner.call()

    def finish(self) -> None:
        """Leave nothing but the masks' complement."""
        self.pruner.finish()

    def state(self) -> dict[str, dict[str, object]]:
        """Return thresholds, calls and masks by matrix."""
        return {name: m.state() for name, m in self.pruner.matrices.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        for name, matrix in self.pruner.matrices.items():
            matrix.load(state[name])


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))
