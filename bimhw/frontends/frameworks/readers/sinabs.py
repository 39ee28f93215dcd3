"""sinabs: LIF, IAF, ExpLeak, their recurrent and Squeeze forms, with every spike and reset function.

Inputs are [B, T, ...] (Squeeze forms: [B * T, ...]). alpha = e^(-1/tau), tau in steps::

    i = alpha_syn (i + x);   v = alpha_mem v + (1 - alpha_mem) i    (without norm_input: + i)

ALIF and ALIFRecurrent raise their threshold by their spikes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from bimhw.frontends.frameworks.cell import Adaptation, Cell, Layer, NodeSpec, array
from bimhw.frontends.frameworks.layers import plain_layer
from bimhw.frontends.frameworks.readers import Unreadable
from simulator.neurons import leaky


def reset(module: Layer) -> None:
    """Zero the states."""
    module.reset_states()


def _fire(m: Layer) -> dict[str, Any]:
    name = getattr(m.spike_fn, "__name__", type(m.spike_fn).__name__)
    several = name == "MultiSpike" or (name == "MaxSpike" and m.spike_fn.max_num_spikes_per_bin is None)
    if not several and name != "SingleSpike" and not (name == "MaxSpike" and m.spike_fn.max_num_spikes_per_bin == 1):
        raise Unreadable(f"fires by {name}", "Use SingleSpike, MultiSpike or MaxSpike(1)")
    theta = array(m.spike_threshold)
    if several and np.any(theta <= 0):
        raise Unreadable("fires several spikes a step at a threshold <= 0", "Use a positive threshold")
    how = type(m.reset_fn).__name__
    if how == "MembraneSubtract" and m.reset_fn.subtract_value in (None, float(theta.reshape(-1)[0])):
        number = leaky.SOFT
    elif how == "MembraneReset" and m.reset_fn.reset_value == 0:
        number = leaky.HARD
    else:
        raise Unreadable(f"resets by {m.reset_fn}", "Use MembraneSubtract() or MembraneReset(0)")
    return {"theta": theta, "cmp": leaky.MULTI if several else leaky.REACHED, "reset": number}


def _recurrent(connect: Layer) -> NodeSpec:
    """Read the recurrent weights: a layer, or one among reshapes of a Sequential."""
    if isinstance(connect, nn.Sequential):
        inner = [m for m in connect if type(m).__name__ not in ("Flatten", "Unflatten", "Identity")]
        if len(inner) == 1 and isinstance(inner[0], nn.Linear):
            connect = inner[0]
    return plain_layer("rec_connect", connect)


def _cell(m: Layer) -> Cell:
    alpha = array(m.alpha_mem_calculated)
    alpha_syn = m.alpha_syn_calculated
    more: dict[str, Any] = _fire(m) if m.spike_fn is not None else {}
    if alpha_syn is not None:
        more |= {"keep_u": array(alpha_syn), "gain_u": array(alpha_syn)}
    if m.min_v_mem is not None:
        more["v_min"] = float(m.min_v_mem.detach())
    gain = 1 - alpha if m.norm_input else np.ones(())
    if hasattr(m, "rec_connect"):
        more["recurrent"] = _recurrent(m.rec_connect)
        more["late_bias"] = True
    squeezed = any(c.__name__ == "SqueezeMixin" for c in type(m).__mro__)
    return Cell(keep=alpha, gain=gain, rest=np.zeros(()), time="merged" if squeezed else "BT", **more)


def _adaptive(m: Layer) -> Cell:
    """Read an ALIF: v = alpha v + x, threshold b0 + scale b; b = rho b + (1 - rho) z after each step."""
    alpha, rho, scale = array(m.alpha_mem_calculated), array(m.alpha_adapt_calculated), array(m.adapt_scale)
    name, how = getattr(m.spike_fn, "__name__", type(m.spike_fn).__name__), type(m.reset_fn).__name__
    if name != "SingleSpike":
        raise Unreadable(f"fires by {name} with an adaptive threshold", "Use SingleSpike")
    if not (how == "MembraneSubtract" and m.reset_fn.subtract_value is None) and not (
        how == "MembraneReset" and m.reset_fn.reset_value == 0
    ):
        raise Unreadable(f"resets by {m.reset_fn}", "Use MembraneSubtract() or MembraneReset(0)")
    if m.min_v_mem is not None:
        raise Unreadable("holds its membrane above min_v_mem", "Use min_v_mem=None")
    if np.any(rho <= 0):
        raise Unreadable("forgets its adaptation at once", "Use a tau_adapt that is not 0")
    norm, more = 1 - alpha if m.norm_input else np.ones(()), dict[str, Any]()
    if m.alpha_syn_calculated is not None:
        into = norm * array(m.alpha_syn_calculated)  # sinabs keeps the normalised current
        more |= {"keep_u": into, "gain_u": into}
        norm = np.ones(())
    if hasattr(m, "rec_connect"):
        more["recurrent"] = _recurrent(m.rec_connect)
        more["late_bias"] = True
    return Cell(
        keep=alpha, gain=norm, rest=np.zeros(()), theta=array(m.b0), cmp=leaky.REACHED, time="BT",
        reset=leaky.SOFT if how == "MembraneSubtract" else leaky.HARD,
        adaptation=Adaptation(rho, scale * (1 - rho) / rho), **more,
    )  # fmt: skip


BASES = ("StatefulLayer",)
CELLS = {
    "LIF": _cell,
    "LIFRecurrent": _cell,
    "LIFSqueeze": _cell,
    "IAF": _cell,
    "IAFRecurrent": _cell,
    "IAFSqueeze": _cell,
    "ALIF": _adaptive,
    "ALIFRecurrent": _adaptive,
    "ExpLeak": _cell,
    "ExpLeakSqueeze": _cell,
}
