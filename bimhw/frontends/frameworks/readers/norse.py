"""Norse: LIF, LIFBox, LSNN, IAF, LI and LIBox as cells of one step and as layers over [T, B, ...], with their recurrent forms.

An input jumps the current, the membrane follows it in the same step, and then the current decays. All fire at v > v_th.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bimhw.frontends.frameworks.cell import Adaptation, Cell, Layer, array, linear
from bimhw.frontends.frameworks.readers import Unreadable
from simulator.base.arrays import Floats
from simulator.neurons import leaky


def reset(module: Layer) -> None:
    """Do nothing: Norse's layers hold no state."""


def _ratio(m: Layer, inverse: Any) -> Floats:
    """Return dt / tau as the layer computes it, in the precision of its parameters."""
    return array(m.dt * inverse)


def _fire(m: Layer) -> dict[str, Any]:
    method = getattr(m.p, "reset_method", None)
    name = getattr(method, "__name__", "reset_value")
    if name not in ("reset_value", "reset_subtract"):
        raise Unreadable(f"resets by its own function {name!r}", "Use reset_value or reset_subtract")
    return {
        "theta": array(m.p.v_th),
        "v_reset": array(m.p.v_reset),
        "reset": leaky.SOFT if name == "reset_subtract" else leaky.HARD,
    }


def _leak(m: Layer) -> dict[str, Any]:
    ratio = _ratio(m, m.p.tau_mem_inv)
    leak = array(m.p.v_leak)
    return {"keep": 1 - ratio, "gain": ratio, "rest": ratio * leak, "v_init": leak}


def _lif(m: Layer) -> Cell:
    if getattr(m.p, "method", "super") == "adjoint":
        raise Unreadable("uses the adjoint method", "Use another method; it changes gradients only")
    return Cell(keep_u=1 - _ratio(m, m.p.tau_syn_inv), **_leak(m), **_fire(m))


def _box(m: Layer) -> Cell:
    return Cell(**_leak(m), **_fire(m))


def _iaf(m: Layer) -> Cell:
    return Cell(keep=np.ones(()), gain=np.ones(()), rest=np.zeros(()), **_fire(m))


def _li(m: Layer) -> Cell:
    return Cell(keep_u=1 - _ratio(m, m.p.tau_syn_inv), membrane=0, **_leak(m))


def _li_box(m: Layer) -> Cell:
    return Cell(membrane=0, **_leak(m))


def _over_time(cell: Cell) -> Cell:
    return _with(cell, time="TB")


def _with(cell: Cell, **more: Any) -> Cell:
    return Cell(**{**{k: getattr(cell, k) for k in cell.__dataclass_fields__}, **more})


def _recurrent(m: Layer) -> Cell:
    return _with(_lif(m), before=linear(m.input_weights), recurrent=linear(m.recurrent_weights))


def _adaptive(m: Layer) -> Cell:
    """Read an LSNN: the membrane follows the current of the step before; each spike raises the threshold by beta."""
    if "adjoint" in getattr(m.activation, "__name__", ""):
        raise Unreadable("uses the adjoint method", "Use adjoint=False; it changes gradients only")
    if np.any(array(m.p.v_leak) != 0):
        raise Unreadable("starts at a v_leak that is not 0 with an adaptive threshold", "Use v_leak=0")
    current = Cell(keep=1 - _ratio(m, m.p.tau_syn_inv), gain=np.ones(()), rest=np.zeros(()))
    ratio = _ratio(m, m.p.tau_mem_inv)
    return Cell(
        keep=1 - ratio, gain=ratio, rest=np.zeros(()), current=current, current_lag=1,
        theta=np.nextafter(array(m.p.v_th), np.inf), v_reset=array(m.p.v_reset),  # Norse fires above it
        adaptation=Adaptation(1 - _ratio(m, m.p.tau_adapt_inv), array(m.p.beta)),
    )  # fmt: skip


def _adaptive_recurrent(m: Layer) -> Cell:
    return _with(_adaptive(m), before=linear(m.input_weights), recurrent=linear(m.recurrent_weights))


BASES = ("SNNCell", "SNNRecurrentCell", "SNN", "SNNRecurrent")
CELLS = {
    "LIFCell": _lif,
    "LIFBoxCell": _box,
    "IAFCell": _iaf,
    "LICell": _li,
    "LIBoxCell": _li_box,
    "LILinearCell": lambda m: _with(_li(m), before=linear(m.input_weights)),
    "LIFRecurrentCell": _recurrent,
    "LSNNCell": _adaptive,
    "LSNNRecurrentCell": _adaptive_recurrent,
    "LSNN": lambda m: _over_time(_adaptive(m)),
    "LSNNRecurrent": lambda m: _over_time(_adaptive_recurrent(m)),
    "LIF": lambda m: _over_time(_lif(m)),
    "LI": lambda m: _over_time(_li(m)),
    "IAF": lambda m: _over_time(_iaf(m)),
    "LIFRecurrent": lambda m: _over_time(_recurrent(m)),
}
_REFRACTORY = "stands still for some steps after a spike, its current going on"
REFUSED = {
    **dict.fromkeys(
        ("LIFExCell", "LIFAdExCell", "LIFEx", "LIFAdEx"), ("takes the exponential of its membrane", "Use LIFCell")
    ),
    **dict.fromkeys(("LIFRefracCell", "LIFRefracRecurrentCell"), (_REFRACTORY, "Use LIFCell, or LSNNCell")),
    "IzhikevichCell": ("squares its membrane", "Use LIFCell, or a Network of the model 'izhikevich'"),
    "LIFMCRecurrentCell": ("has compartments that pull on each other", "Use LIFRecurrentCell"),
}
