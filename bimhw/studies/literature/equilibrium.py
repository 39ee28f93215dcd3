"""Continual equilibrium propagation, C-EP and C-VF (Ernoult et al. 2020, arXiv:2005.04168).

Layers s_0 (output) .. s_(N-1), the input x = s_N stands still; rho(u) = 1 / (1 + e^(-4 (u - 1/2))). Prototypical form::

    s_i <- rho(W_i s_(i+1) + W_(i-1)^T s_(i-1) + b_i)          + beta (y - s_0) for i = 0 in phase 2
    phase 1: T steps, beta = 0;      phase 2: K steps with beta
    EP      dW_i = eta_i / (beta B) (s_i s_(i+1)^T at the end of phase 2 - the same at its start), once
    C-EP    the same of every step of phase 2, s(t+1) against s(t): local in space and in time
    C-VF    forward and backward weights apart:  dWf_i = eta_i / (beta B) (s_i(t+1) - s_i(t)) s_(i+1)(t)^T,
            dWb_i = eta_i / (beta B) (s_(i+1)(t+1) - s_(i+1)(t)) s_i(t)^T

Energy-based form (for the gradient theorem): ds = dt (-s + rho'(s) (W rho(s) + b)), rho = tanh, symmetric W; the EP update of
step t of phase 2 is the BPTT gradient of step T - t as beta -> 0 (`gdu`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError

Rule = Literal["ep", "c-ep", "c-vf"]


class EquilibriumConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A network that settles, and how it learns.

    Attributes:
        sizes: output, hidden layers, input: (10, 64, 64).
        rates: eta_i of W_i, output side first.
        free_steps: T.
        nudged_steps: K.
        beta: nudging strength; its sign is drawn for each batch.
        rule: ``ep``, ``c-ep`` or ``c-vf``.
        angle_deg: start angle between forward and backward weights (``c-vf``), by sign flips of probability (1 - cos) / 2.
    """

    sizes: tuple[int, ...]
    rates: tuple[float, ...]
    free_steps: int = 30
    nudged_steps: int = 10
    beta: float = 0.2
    rule: Rule = "c-ep"
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        if len(self.sizes) < 3 or min(self.sizes) < 1:
            raise InputError("equilibrium: sizes", f"are {self.sizes}", "Give output, one or more hidden layers, input")
        if len(self.rates) != len(self.sizes) - 1:
            raise InputError(
                "equilibrium: rates", f"are {len(self.rates)}", f"Give {len(self.sizes) - 1}, output side first"
            )
        if self.free_steps < 1 or self.nudged_steps < 1 or self.beta == 0:
            raise InputError("equilibrium: phases", "need at least one step each and a beta other than 0")
        if self.angle_deg and self.rule != "c-vf":
            raise InputError("equilibrium: angle_deg", f"is {self.angle_deg} with tied weights", "Take rule c-vf")


@dataclass(eq=False)
class Equilibrium:
    """A settling network with its weights.

    Attributes:
        config: sizes and settings.
        forward: W_i [n_i, n_(i+1)], input side last.
        backward: weights from layer i to layer i + 1, [n_(i+1), n_i], hidden layers only; tied rules keep W_i^T.
        biases: of each layer.
    """

    config: EquilibriumConfig
    seed: int = 0
    forward: list[Floats] = field(init=False)
    backward: list[Floats] = field(init=False)
    biases: list[Floats] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        sizes = self.config.sizes
        bound = [1 / np.sqrt(m) for m in sizes[1:]]
        self.forward = [rng.uniform(-b, b, (n, m)) for n, m, b in zip(sizes[:-1], sizes[1:], bound, strict=True)]
        flips = (1 - np.cos(np.radians(self.config.angle_deg))) / 2
        self.backward = [w.T * np.where(rng.random(w.T.shape) < flips, -1.0, 1.0) for w in self.forward[:-1]]
        self.biases = [np.zeros(n) for n in sizes[:-1]]

    def settle(self, x: Floats, steps: int, state: list[Floats] | None = None) -> list[Floats]:
        """Return the layers' states after free steps on inputs [B, n_N] (from `state`, or from 0)."""
        state = state or [np.zeros((len(x), n)) for n in self.config.sizes[:-1]]
        still = x @ self.forward[-1].T + self.biases[-1]
        for _ in range(steps):
            state = self._step(state, still)
        return state

    def step(self, state: list[Floats], x: Floats, nudge: Floats | None = None) -> list[Floats]:
        """Do one step of all layers at once; `nudge` [B, n_0] is beta (y - s_0) of phase 2."""
        return self._step(state, x @ self.forward[-1].T + self.biases[-1], nudge)

    def _step(self, state: list[Floats], still: Floats, nudge: Floats | None = None) -> list[Floats]:
        """Do one step with the drive of the input, which stands still, as given."""
        out = []
        for i in range(len(state)):
            drive = state[i + 1] @ self.forward[i].T + self.biases[i] if i + 1 < len(state) else still
            if i:
                drive = drive + state[i - 1] @ self.backward[i - 1].T
            out.append(rho(drive))
        if nudge is not None:
            out[0] = out[0] + nudge
        return out

    def learn(self, x: Floats, y: Floats, sign: float = 1.0) -> None:
        """Learn a batch: inputs [B, n_N], targets [B, n_0]; `sign` turns beta."""
        c, beta = self.config, self.config.beta * sign
        state = self.settle(x, c.free_steps)
        first = state
        for _ in range(c.nudged_steps):
            new = self.step(state, x, beta * (y - state[0]))
            if c.rule != "ep":
                self._update(state, new, x, beta)
            state = new
        if c.rule == "ep":
            self._update(first, state, x, beta)

    def _update(self, old: list[Floats], new: list[Floats], x: Floats, beta: float) -> None:
        before, after = [*old, x], [*new, x]
        for i, rate in enumerate(self.config.rates):
            scale = rate / (beta * len(x))
            moved = after[i] - before[i]
            if self.config.rule == "c-vf":
                self.forward[i] += scale * moved.T @ before[i + 1]
                if i < len(self.backward):
                    self.backward[i] += scale * (after[i + 1] - before[i + 1]).T @ before[i]
            else:
                self.forward[i] += scale * (after[i].T @ after[i + 1] - before[i].T @ before[i + 1])
                if i < len(self.backward):
                    self.backward[i] = self.forward[i].T
            self.biases[i] += scale * moved.sum(0)

    def operations(self) -> dict[str, int]:
        """Return the operations of learning one sample, by the counters of `energy_models.learning`.

        Each of the T + K steps multiplies all weights, forward and (hidden layers) backward. The rules of every step
        change all weights K times, from s(t) and s(t+1) alone; EP changes them once, and keeps the free equilibrium.
        """
        c = self.config
        forward = sum(w.size for w in self.forward)
        times = 1 if c.rule == "ep" else c.nudged_steps
        changed = forward + (sum(w.size for w in self.backward) if c.rule == "c-vf" else 0)
        held = sum(c.sizes[:-1]) if c.rule == "ep" else 0
        products = 1 if c.rule == "c-vf" else 2  # C-VF: one product of a change and a state
        return {
            "learn_sweep_mac": (c.free_steps + c.nudged_steps) * (forward + sum(w.size for w in self.backward)),
            "learn_weight_mac": products * times * changed,
            "learn_weight_updates": times * changed,
            "learn_history_write": held,
            "learn_history_read": held,
        }

    def classify(self, x: Floats) -> I64:
        """Return the class of each input: the strongest output of the free equilibrium."""
        out: I64 = self.settle(x, self.config.free_steps)[0].argmax(1)
        return out


def rho(u: Floats) -> Floats:
    """Return 1 / (1 + e^(-4 (u - 1/2)))."""
    out: Floats = 1 / (1 + np.exp(-4 * (u - 0.5)))
    return out


@dataclass(frozen=True, eq=False)
class Gdu:
    """Gradient-descending updates: EP's update of each step beside the BPTT gradient of the matching step.

    Attributes:
        cosine: by step t = 0, 1, ...
        ratio: norm of EP's update over that of BPTT's gradient.
    """

    cosine: Floats
    ratio: Floats


def gdu(
    n: int = 12, n_out: int = 3, *, steps: int = 60, shown: int = 30, beta: float = 1e-4, dt: float = 0.2, seed: int = 0
) -> Gdu:
    """Compare EP with BPTT step by step in the energy-based form, rho = tanh, all-to-all symmetric weights.

    EP's update of step t of phase 2 is (rho(s(t+1)) rho(s(t+1))^T - rho(s(t)) rho(s(t))^T) / beta; BPTT's is the gradient of
    |s_out(T) - y|^2 / 2 with respect to W as it is used in step T - t, made symmetric.
    """
    rng = np.random.default_rng(seed)
    w = rng.normal(0, 0.6 / np.sqrt(n), (n, n))
    w = (w + w.T) / 2
    np.fill_diagonal(w, 0)
    bias, y = rng.normal(0, 0.5, n), rng.uniform(-0.5, 0.5, n_out)
    path = [np.zeros(n)]
    for _ in range(steps):
        path.append(_energy_step(path[-1], w, bias, dt))
    s = path[-1]
    lam = np.zeros(n)
    lam[:n_out] = s[:n_out] - y
    cosine, ratio = [], []
    nudged = s
    for t in range(shown):
        gradient, lam = _energy_adjoint(path[steps - 1 - t], lam, w, bias, dt)
        new = _energy_step(nudged, w, bias, dt)
        new[:n_out] += dt * beta * (y - nudged[:n_out])
        change = (np.outer(np.tanh(new), np.tanh(new)) - np.outer(np.tanh(nudged), np.tanh(nudged))) / beta
        np.fill_diagonal(change, 0)
        nudged = new
        down = -dt * gradient
        a, b = float(np.linalg.norm(change)), float(np.linalg.norm(down))
        cosine.append(float((change * down).sum()) / max(a * b, 1e-300))
        ratio.append(a / max(b, 1e-300))
    return Gdu(np.array(cosine), np.array(ratio))


def _energy_step(s: Floats, w: Floats, bias: Floats, dt: float) -> Floats:
    r = np.tanh(s)
    out: Floats = s + dt * (-s + (1 - r**2) * (w @ r + bias))
    return out


def _energy_adjoint(s: Floats, lam: Floats, w: Floats, bias: Floats, dt: float) -> tuple[Floats, Floats]:
    """Return dL/dW of the step from s (symmetrised, over dt) and dL/ds, given dL/ds of the state after it."""
    r = np.tanh(s)
    slope = 1 - r**2
    gradient = np.outer(lam * slope, r)
    gradient = gradient + gradient.T
    np.fill_diagonal(gradient, 0)
    curved = -2 * r * slope * (w @ r + bias)
    below: Floats = lam + dt * (-lam + curved * lam + slope * (w.T @ (slope * lam)))
    return gradient, below
