"""`Cell`: one neuron layer of a framework in the equations of `simulator.neurons.leaky`.

Float form of a step, x what arrives::

    u = keep_u u + gain_u x;   v = keep v + gain (u or x) + rest;   z = [v > theta];   reset

Every parameter is float64 and broadcasts to the layer's shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bimhw.frontends.nir.dynamics import spread
from bimhw.frontends.nir.graph import Node
from bimhw.frontends.nir.lower import NeuronForm, leaky_form
from bimhw.models.tensors import as_array
from simulator.base.arrays import Floats
from simulator.neurons import double_exponential, leaky

Flat = Callable[[Floats], Floats]  # broadcasts a parameter to the layer's shape, flattened
NodeSpec = tuple[str, dict[str, Any]]  # a NIR primitive and its fields
Layer = Any  # a module of a framework
# what a layer takes in a call: one step [B, ...], or all steps as [T, B, ...], [B, T, ...], or both merged into one axis
Time = Literal["step", "TB", "BT", "merged"]


@dataclass(frozen=True, eq=False)
class Adaptation:
    """Adaptation of a threshold.

    Attributes:
        keep: what its raised part keeps in a step, before it is compared.
        jump: rise at a spike.
    """

    keep: Floats
    jump: Floats


@dataclass(frozen=True, eq=False)
class Cell:
    """A neuron layer.

    Attributes:
        keep, gain, rest: of the membrane.
        keep_u, gain_u: of the synaptic current; None where there is none.
        theta: threshold; None for a layer that emits its membrane.
        v_reset, v_init, v_min: membrane after a hard reset, at the start, and its lower bound.
        cmp, reset: numbers of `simulator.neurons.leaky`.
        scale: of the spikes that leave; None for 1.
        before: weights inside the layer on its input.
        recurrent: weights inside the layer from its own spikes of the step before.
        late_bias: the bias of `recurrent` is fed back as spikes are, so not in the first step.
        time: what it takes in a call.
        membrane: place of the membrane among the tensors that a call returns after the spikes; None where it is not there.
        notes: what was assumed.
        adaptation: of a threshold that each spike raises (`simulator.neurons.alif`, fires where it is reached).
        opposite: what a second current keeps in a step, whose difference from the first (`keep`) is the membrane
            (`simulator.neurons.double_exponential`, fires above the threshold).
        current: silent layer that takes what arrives and hands its value on, `current_lag` steps later.
        synapses: values of `current` that a neuron sums, side by side.
    """

    keep: Floats
    gain: Floats
    rest: Floats
    keep_u: Floats | None = None
    gain_u: Floats = field(default_factory=lambda: np.ones(()))
    theta: Floats | None = None
    v_reset: Floats = field(default_factory=lambda: np.zeros(()))
    v_init: Floats = field(default_factory=lambda: np.zeros(()))
    v_min: float = -np.inf
    cmp: int = leaky.ABOVE
    reset: int = leaky.HARD
    scale: Floats | None = None
    before: NodeSpec | None = None
    recurrent: NodeSpec | None = None
    late_bias: bool = False
    time: Time = "step"
    membrane: int | None = None
    notes: tuple[str, ...] = ()
    adaptation: Adaptation | None = None
    opposite: Floats | None = None
    current: Cell | None = None
    current_lag: int = 0
    synapses: int = 1

    @property
    def binary(self) -> bool:
        """True if it sends only 0 and 1."""
        return self.theta is not None and self.cmp != leaky.MULTI and self.scale is None

    def placeholder(self, shape: tuple[int, ...]) -> NodeSpec:
        """Return the NIR node that stands for the layer in a graph; its parameters are in `form`."""
        r = np.ones(shape)
        return ("I", {"r": r}) if self.theta is None else ("IF", {"r": r, "v_threshold": r})

    def form(self) -> Callable[[Node, Floats], NeuronForm]:
        """Return the function from the layer's node and the constant that arrives to its chip neuron."""

        def make(node: Node, bias: Floats) -> NeuronForm:
            def flat(values: Floats) -> Floats:
                return spread(values, node.in_shape).reshape(-1)

            keep, gain, rest = flat(self.keep), flat(self.gain), flat(self.rest)
            if self.theta is not None and self.adaptation is not None:
                return self._adaptive(flat, self.theta, self.adaptation, bias)
            if self.theta is not None and self.opposite is not None:
                return self._double_exponential(flat, self.theta, self.opposite, bias)
            fires = self.theta is not None
            more: dict[str, Any] = {
                "fires": float(fires),
                "v_init": flat(self.v_init),
                "v_min": self.v_min,
                "cmp": self.cmp if fires else leaky.ABOVE,
                "reset": self.reset if fires else leaky.HARD,
            }
            if self.theta is not None:
                more |= {"theta": flat(self.theta), "v_reset": flat(self.v_reset)}
            graded = "" if fires and self.cmp != leaky.MULTI else "_graded"
            if self.keep_u is None:
                return leaky_form(f"leaky{graded}", keep, gain, bias * gain + rest, **more)
            total = gain * flat(self.gain_u)
            more |= {"keep_u": flat(self.keep_u), "bias_u": bias * total}
            return leaky_form(f"leaky_cuba{graded}", keep, total, rest, **more)

        return make

    def _adaptive(self, flat: Flat, theta: Floats, adaptation: Adaptation, bias: Floats) -> NeuronForm:
        """Return the form of a cell whose threshold adapts, behind a current where it has one."""
        gain = flat(self.gain)
        params = {
            "dv": 4096 * (1 - flat(self.keep)),
            "da": 4096 * (1 - flat(adaptation.keep)),
            "vth": flat(theta),
            "jump": flat(adaptation.jump),
            "v_reset": flat(self.v_reset),
            "soft": np.array(float(self.reset == leaky.SOFT)),
        }
        if self.keep_u is None:
            return "adaptive_lif", params | {"bias": bias * gain + flat(self.rest)}, gain
        gain = gain * flat(self.gain_u)
        params |= {"du": 4096 * (1 - flat(self.keep_u)), "bias_u": bias * gain, "bias": flat(self.rest)}
        return "adaptive_cuba", params, gain

    def _double_exponential(self, flat: Flat, theta: Floats, opposite: Floats, bias: Floats) -> NeuronForm:
        """Return the form of a cell of two currents."""
        params = {
            "keep_slow": double_exponential.KEEP_ONE * flat(self.keep),
            "keep_fast": double_exponential.KEEP_ONE * flat(opposite),
            "gain": double_exponential.GAIN_ONE * flat(self.gain),
            "bias": bias,
            "vth": flat(theta),
            "reset": np.array(float(self.reset)),
        }
        return "double_exponential", params, np.ones(bias.shape)


def array(value: Any) -> Floats:
    """Return a tensor or number as float64."""
    if hasattr(value, "detach"):
        value = as_array(value)
    return np.asarray(value, np.float64)


def linear(weight: Any, bias: Any = None) -> NodeSpec:
    """Return the NIR node of weights [outputs, inputs] and perhaps a bias."""
    if bias is None:
        return "Linear", {"weight": array(weight)}
    return "Affine", {"weight": array(weight), "bias": array(bias)}
