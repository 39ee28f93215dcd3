"""snnTorch: Leaky, RLeaky, Synaptic, RSynaptic, Lapicque, Alpha, with every reset_mechanism, reset_delay and spike factor.

Equations as in snnTorch 1.0.0, where a reset with ``reset_delay`` acts in the step after the spike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bimhw.frontends.frameworks.cell import Cell, NodeSpec, array, linear
from bimhw.frontends.frameworks.layers import conv
from bimhw.frontends.frameworks.readers import Unreadable
from simulator.base.arrays import Floats
from simulator.neurons import double_exponential, leaky


def reset(module: Any) -> None:
    """Zero the hidden states."""
    if hasattr(module, "reset_mem"):
        module.reset_mem()


def _clamped(value: Any) -> Floats:
    return np.clip(array(value), 0.0, 1.0)


def _base(m: Any, reset_number: int) -> dict[str, Any]:
    if m.state_quant:
        raise Unreadable("quantises its state by state_quant", "Leave state_quant out: the chip's words quantise it")
    if m.inhibition:
        raise Unreadable("lets only its strongest neuron fire (inhibition)", "Use recurrent inhibitory weights")
    theta, factor = array(m.threshold), array(m.graded_spikes_factor)
    return {
        "gain": np.ones(()),
        "rest": np.zeros(()),
        "theta": theta,
        "reset": reset_number,
        "scale": None if np.all(factor == 1) else factor,
    }


def _resets(m: Any, late_zero: int, heeds_delay: bool = True) -> int:
    """Return the reset's number; `late_zero` is what reset_mechanism 'zero' does with reset_delay."""
    mechanism = int(m.reset_mechanism_val)
    if mechanism == 2:
        return leaky.NONE
    late = getattr(m, "reset_delay", True) or not heeds_delay
    if not late and np.any(array(m.threshold) < 0):
        raise Unreadable("resets at once at a negative threshold", "Use reset_delay=True")
    if mechanism == 1:
        return late_zero if late else leaky.HARD
    return leaky.SOFT_NEXT if late else leaky.SOFT_LOWERED


def _recurrent(m: Any) -> NodeSpec:
    inner = m.recurrent
    if hasattr(inner, "V"):
        return "Scale", {"scale": array(inner.V)}
    if hasattr(inner, "kernel_size"):
        return conv("recurrent", inner)
    return linear(inner.weight, inner.bias)


def _leaky(m: Any) -> Cell:
    return Cell(keep=_clamped(m.beta), membrane=0, **_base(m, _resets(m, leaky.HARD_NEXT)))


def _rleaky(m: Any) -> Cell:
    return Cell(keep=_clamped(m.beta), recurrent=_recurrent(m), membrane=0, **_base(m, _resets(m, leaky.LOST)))


def _synaptic(m: Any) -> Cell:
    keep_u = _clamped(m.alpha)
    return Cell(keep=_clamped(m.beta), keep_u=keep_u, membrane=1, **_base(m, _resets(m, leaky.LOST)))


def _rsynaptic(m: Any) -> Cell:
    number = _resets(m, leaky.LOST, heeds_delay=False)
    notes = () if m.reset_delay else ("snnTorch's RSynaptic does not heed reset_delay=False: it resets a step late",)
    keep_u = _clamped(m.alpha)
    return Cell(
        keep=_clamped(m.beta), keep_u=keep_u, recurrent=_recurrent(m), membrane=1, notes=notes, **_base(m, number)
    )


def _lapicque(m: Any) -> Cell:
    base = _base(m, _resets(m, leaky.LOST))
    rc = m.R * m.C
    base["gain"] = array(m.R * (1 / rc) * m.time_step)
    return Cell(keep=array(1 - m.time_step / rc), membrane=0, **base)


def _alpha(m: Any) -> Cell:
    """Read an Alpha: mem = gain (i - j), i and j currents of the same input that keep alpha and beta of themselves."""
    slow, fast = _clamped(m.alpha), _clamped(m.beta)
    with np.errstate(divide="ignore"):  # log 0 of a beta of 0: a gain of 1
        gain = np.log(slow) / (np.log(fast) - np.log(slow)) + 1
    number = _ALPHA_RESETS[int(m.reset_mechanism_val)]
    return Cell(keep=slow, opposite=fast, membrane=2, **_base(m, number) | {"gain": gain})


_ALPHA_RESETS = (
    double_exponential.SUBTRACT,
    double_exponential.CLEAR,
    double_exponential.NONE,
)  # by reset_mechanism_val
BASES = ("SpikingNeuron", "LeakyParallel", "StateLeaky", "AssociativeLeaky", "LinearLeaky")
CELLS = {
    "Leaky": _leaky,
    "RLeaky": _rleaky,
    "Synaptic": _synaptic,
    "RSynaptic": _rsynaptic,
    "Lapicque": _lapicque,
    "Alpha": _alpha,
}
REFUSED = {
    **dict.fromkeys(("SLSTM", "SConv2dLSTM"), ("multiplies its states by gates (an LSTM)", "Use RSynaptic, or RLeaky")),
    "LeakyParallel": ("is torch's RNN over the whole sequence", "Use Leaky with the same weights"),
    "StateLeaky": ("computes the whole sequence at once, without a reset", "Use Leaky with reset_mechanism='none'"),
}
