"""SpikingJelly: IF, LIF, PLIF, KLIF, CUBA-LIF nodes and their kin, in step modes 's' and 'm'.

All fire at v >= v_threshold and reset at once; v starts at v_reset (0 for soft resets).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from bimhw.frontends.frameworks.cell import Cell, Layer, array
from bimhw.frontends.frameworks.readers import Unreadable
from simulator.base.arrays import Floats
from simulator.neurons import leaky


def reset(module: Layer) -> None:
    """Zero the memories."""
    if hasattr(module, "reset"):
        module.reset()


def _base(m: Layer) -> dict[str, Any]:
    hard = m.v_reset is not None
    start = array(m.v_reset if hard else 0.0)
    return {
        "theta": array(m.v_threshold),
        "v_reset": start,
        "v_init": start,
        "cmp": leaky.REACHED,
        "reset": leaky.HARD if hard else leaky.SOFT,
        "time": "TB" if m.step_mode == "m" else "step",
    }


def _if(m: Layer) -> Cell:
    return Cell(keep=np.ones(()), gain=np.ones(()), rest=np.zeros(()), **_base(m))


def _leak(m: Layer, inverse: Floats) -> Cell:
    """Make the cell v += (x - (v - v_reset)) / tau, or v += x - (v - v_reset) / tau without decay_input."""
    rest = inverse * array(0.0 if m.v_reset is None else m.v_reset)
    return Cell(keep=1 - inverse, gain=inverse if m.decay_input else np.ones(()), rest=rest, **_base(m))


def _lif(m: Layer) -> Cell:
    return _leak(m, array(1.0 / m.tau))


def _parametric(m: Layer) -> Cell:
    return _leak(m, array(m.w.sigmoid()))


def _half(m: Layer) -> Cell:
    """Read an IF that starts at half its threshold."""
    return replace(_if(m), v_init=array(m.v_threshold) / 2)


def _dsr(m: Layer) -> Cell:
    """Read a DSR neuron: v >= alpha theta sends theta / dt and subtracts theta; held here as v + (1 - alpha) theta."""
    theta = np.maximum(array(m.v_threshold), m.v_threshold_lower_bound)
    leaks = hasattr(m, "delta_t")
    keep = array(math.exp(-m.delta_t / m.tau) if leaks else 1.0)
    raised, gain = (1 - m.alpha) * theta, 1 - keep if leaks else keep
    sent = np.float32(theta) / np.float32(m.delta_t if leaks else 1.0)  # its spikes are float32 in any case
    return Cell(
        keep=keep, gain=gain, rest=(1 - keep) * raised, theta=theta, v_init=raised, cmp=leaky.REACHED, reset=leaky.SOFT,
        scale=array(sent), time="TB",
    )  # fmt: skip


def _klif(m: Layer) -> Cell:
    """Read a KLIF: v = relu(k h), h the LIF's; with scale_reset v / k is kept, else v."""
    k, cell = array(m.k), _leak(m, array(1.0 / m.tau))
    if np.any(k <= 0):
        raise Unreadable("has a k <= 0, which never fires", "Train it to a positive k")
    if np.any(cell.v_reset < 0):
        raise Unreadable("resets below 0, where its membrane is cut off", "Use a v_reset >= 0, or None")
    cell = replace(cell, v_min=0.0)
    if m.scale_reset:
        return replace(cell, theta=array(m.v_threshold) / k)
    if np.any(k * cell.keep > 1):
        raise Unreadable("grows by itself: k (1 - 1 / tau) > 1", "Use scale_reset=True, or a smaller k")
    return replace(cell, keep=k * cell.keep, gain=k * cell.gain, rest=k * cell.rest)


def _cuba(m: Layer) -> Cell:
    base = _base(m)
    keep_u = array(m.c_decay)
    return Cell(keep=array(m.v_decay), gain=np.ones(()), rest=np.zeros(()), keep_u=keep_u, **base)


def _silent(m: Layer) -> Cell:
    inverse = array(1.0 / getattr(m, "tau", 1.0))
    keep = 1 - inverse if hasattr(m, "tau") else np.ones(())
    return Cell(keep=keep, gain=inverse, rest=np.zeros(()), time="TB")


BASES = ("BaseNode", "SimpleBaseNode", "NonSpikingBaseNode")
HOME = "spikingjelly.activation_based.neuron."
CELLS = {
    "IFNode": _if,
    "SimpleIFNode": _if,
    "LIFNode": _lif,
    "SimpleLIFNode": _lif,
    "ParametricLIFNode": _parametric,
    "KLIFNode": _klif,
    "HalfThresholdIFNode": _half,
    "OTTTLIFNode": _lif,
    "SLTTLIFNode": _lif,
    "DSRIFNode": _dsr,
    "DSRLIFNode": _dsr,
    "CUBALIFNode": _cuba,
    "NonSpikingIFNode": _silent,
    "NonSpikingLIFNode": _silent,
}
_WHOLE = "weighs the steps of a whole sequence, those to come among them"
REFUSED = {
    **dict.fromkeys(("PSN", "MaskedPSN"), (_WHOLE, "Use LIFNode")),
    "SlidingPSN": ("weighs the inputs of several steps, without a state", "Use LIFNode"),
    "GatedLIFNode": ("has gates that change from step to step", "Use ParametricLIFNode"),
    "QIFNode": ("squares its membrane", "Use LIFNode"),
    "EIFNode": ("takes the exponential of its membrane", "Use LIFNode"),
    "IzhikevichNode": (
        "squares its membrane in a step of its own",
        "Use LIFNode, or a Network of the model 'izhikevich'",
    ),
    "LIAFNode": ("sends a function of its membrane", "Use LIFNode"),
    "ILIFNode": ("sends rounded membranes as several spikes", "Use LIFNode or CUBALIFNode"),
}
