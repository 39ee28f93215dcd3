"""The neurons of NIR in discrete time, batched: one `Neuron` a node, stepped with the settings of its profile.

Letters: B samples, S the node's shape; x [B, S] input of the step, v membrane, i synaptic current, z [B, S] output.
All parameters are float64 [S].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bimhw.frontends.nir.graph import Node
from bimhw.frontends.nir.profile import Settings
from bimhw.frontends.nir.sources import ROUND_OFF
from simulator.base.arrays import Floats

MAX_CROSSINGS = 100  # of the threshold within one step, under the integrator `exact`


def spread(values: Any, shape: tuple[int, ...]) -> Floats:
    """Return a parameter as an array of the node's shape (one element, or sizes of 1, are repeated)."""
    array = np.asarray(values, np.float64)
    if array.size == 1:
        return np.full(shape, float(array.reshape(-1)[0]))
    if array.ndim == len(shape):
        return np.broadcast_to(array, shape).copy()
    return array.reshape(shape)


@dataclass
class Neuron:
    """State and constants of one node.

    Attributes:
        node, settings: what it is and how it is stepped.
        p: parameters by NIR's names, each of the node's shape.
        ratio_m, ratio_s: dt / tau of membrane and synapse (0 where there is none).
        v, i: state; z: output of the last step.
    """

    node: Node
    settings: Settings
    p: dict[str, Floats]
    ratio_m: Floats
    ratio_s: Floats
    v: Floats
    i: Floats
    z: Floats

    @property
    def fires(self) -> bool:
        """True if the node emits spikes (else its membrane)."""
        return "v_threshold" in self.p

    def step(self, x: Floats) -> Floats:
        """Take one time step; return spikes (or spike counts), or the membrane of a node that does not fire."""
        before = self.v
        self._integrate(x)
        if not self.fires:
            self._clip()
            return self.v.copy()
        reset, last = self.settings.reset, self.z
        if reset == "subtract_now_lowered":
            self._fire_lowered(before)
            return self.z
        if reset == "zero_next_step_input_lost":
            self.v = np.where(last > 0, self.p["v_reset"], self.v)
        elif reset == "subtract_next_step":
            self.v = self.v - self.p["v_threshold"] * last
        self.z = self._fire()
        if reset == "to_v_reset_now" and self.settings.integrator == "exact" and self.node.kind in ("IF", "LIF"):
            self._reset_within_step(x)
        elif reset == "to_v_reset_now":
            self.v = np.where(self.z > 0, self.p["v_reset"], self.v)
        elif reset == "subtract_now":
            self.v = self.v - self.p["v_threshold"] * self.z
        self._clip()
        return self.z

    def _fire_lowered(self, before: Floats) -> None:
        """Fire by snnTorch's reset by subtraction without delay: what is still above the threshold is compared lowered by it."""
        theta, reached = self.p["v_threshold"], self.v
        self.v = reached - theta * (before > theta)
        self.z = self._fire()
        self.v = reached - theta * self.z
        self._clip()

    def _reset_within_step(self, x: Floats) -> None:
        """Cross the threshold when the equation does, not at the step's end: v goes on from v_reset for what is left.

        `v` holds the value at the step's end without a reset; the time left after the crossing follows from it, since
        the input is held. A neuron that crosses more than once in a step is taken back until it stays below.
        """
        theta, start, leaky = self.p["v_threshold"], self.p["v_reset"], self.node.kind == "LIF"
        rest = self.p["v_leak"] + self.p["r"] * x if leaky else self.p["r"] * x  # what v moves to (IF: its slope)
        for _ in range(MAX_CROSSINGS):
            over = self.v > theta
            if not over.any():
                return
            with np.errstate(divide="ignore", invalid="ignore"):
                if leaky:  # e^(-left/tau) from v = rest + (theta - rest) e^(-left/tau)
                    after = rest + (start - rest) * np.clip((self.v - rest) / (theta - rest), 0, 1)
                else:
                    after = start + (self.v - theta)
            self.v = np.where(over, after, self.v)
        self.v = np.where(self.v > theta, start, self.v)

    def _fire(self) -> Floats:
        theta, cmp = self.p["v_threshold"], self.settings.cmp
        if cmp == "multi":
            return np.where(self.v > 0, np.floor(self.v / theta), 0.0)
        return (self.v > theta if cmp == ">" else self.v >= theta).astype(np.float64)

    def _clip(self) -> None:
        if self.settings.v_min is not None:
            self.v = np.maximum(self.v, self.settings.v_min)

    def _integrate(self, x: Floats) -> None:
        if self.fires and self.settings.reset == "to_v_reset_next_step":
            self.v = np.where(self.z > 0, self.p["v_reset"], self.v)
        kind, how = self.node.kind, self.settings.integrator
        if kind in ("I", "IF"):
            self.v = self.v + (self.settings.dt or 1.0) * self.p["r"] * x
        elif how == "norse_jump" and kind in ("CubaLI", "CubaLIF"):
            self.i = self.i + x
            self.v = self.v + self.ratio_m * (self.p["v_leak"] - self.v + self.i)
            self.i = self.i - self.ratio_s * self.i
        elif how == "exact":
            self._exact(x)
        else:
            self._membrane(self._current(x) if kind in ("CubaLI", "CubaLIF") else x)

    def _current(self, x: Floats) -> Floats:
        """Return the synaptic current, updated before the membrane of the same step."""
        how = self.settings.integrator
        keep = np.exp(-self.ratio_s)
        if how == "exp":
            self.i = keep * self.i + x
        elif how == "exp_in":
            self.i = keep * (self.i + x)
        elif how == "unit":
            self.i = (1 - self.ratio_s) * self.i + x
        elif how == "exp_norm":
            self.i = keep * self.i + (1 - keep) * x
        else:
            w_in, added = _finite(self.p["w_in"], x)
            self.i = self.i + self.ratio_s * (w_in * x - self.i) + added
        return self.i

    def _membrane(self, x: Floats) -> None:
        how, leak = self.settings.integrator, self.p["v_leak"]
        keep = np.exp(-self.ratio_m)
        if how == "exp_in" and self.node.kind == "LI":
            self.v = leak + keep * (self.v - leak + x)
        elif how in ("exp", "exp_in"):
            self.v = leak + keep * (self.v - leak) + x
        elif how == "unit":
            self.v = leak + (1 - self.ratio_m) * (self.v - leak) + x
        elif how == "exp_norm":
            self.v = leak + keep * (self.v - leak) + (1 - keep) * x
        else:
            r, added = _finite(self.p["r"], x)
            self.v = self.v + self.ratio_m * (leak - self.v + r * x) + added

    def _exact(self, x: Floats) -> None:
        """Hold x over the step in closed form: tau_m v' = v_leak - v + r i(t), i(t) = w x + (i0 - w x) e^(-t/tau_s)."""
        keep, leak, r = np.exp(-self.ratio_m), self.p["v_leak"], self.p["r"]
        if self.node.kind in ("LI", "LIF"):
            r, added = _finite(r, x)
            self.v = leak + r * x + keep * (self.v - leak - r * x) + added
            return
        rest = self.p["w_in"] * x
        gap = self.ratio_m - self.ratio_s
        # e^(-dt/tau_s) through a membrane: ratio_m (e^(-dt/tau_s) - e^(-dt/tau_m)) / gap, which is 0/0 at equal taus
        bump = self.ratio_m * keep * np.where(np.abs(gap) < 1e-12, 1.0, np.expm1(gap) / np.where(gap == 0, 1.0, gap))
        self.v = leak + r * rest + keep * (self.v - leak - r * rest) + r * (self.i - rest) * bump
        self.i = rest + np.exp(-self.ratio_s) * (self.i - rest)


def _finite(gain: Floats, x: Floats) -> tuple[Floats, Floats | float]:
    """Split an infinite gain, that of an infinite time constant tau with gain tau / dt, off: dt / tau gain x -> x."""
    unbounded = np.isinf(gain)
    return (np.where(unbounded, 0.0, gain), np.where(unbounded, x, 0.0)) if unbounded.any() else (gain, 0.0)


def make_neuron(node: Node, settings: Settings, batch: int) -> Neuron:
    """Make a neuron at rest, `batch` copies side by side."""
    shape = node.in_shape
    p = {name: spread(value, shape) for name, value in node.fields.items()}
    ratio = {k: _ratio(settings.dt or 1.0, p[k]) for k in ("tau", "tau_mem", "tau_syn") if k in p}
    zero = np.zeros((batch, *shape))
    start = zero if settings.v_init == "zero" else zero + p.get(settings.v_init, 0.0)
    none = np.zeros(shape)
    return Neuron(
        node=node,
        settings=settings,
        p=p,
        ratio_m=ratio.get("tau", ratio.get("tau_mem", none)),
        ratio_s=ratio.get("tau_syn", none),
        v=start.copy(),
        i=zero.copy(),
        z=zero.copy(),
    )


def _ratio(dt: float, tau: Floats) -> Floats:
    ratio = dt / tau
    return np.where(np.abs(ratio - 1) < ROUND_OFF, 1.0, ratio)
