"""Norse: LIF, LIFBox, IAF, LI and LIBox as cells of one step and as layers over [T, B, ...], with their recurrent forms.

An input jumps the current, the membrane follows it in the same step, and then the current decays. All fire at v > v_th.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bimhw.frontends.frameworks.cell import Cell, Floats, array, linear
from bimhw.frontends.frameworks.readers import Unreadable
from simulator.neurons import leaky


def reset(module: Any) -> None:
    """Do nothing: Norse's layers hold no state."""


def _ratio(m: Any, inverse: Any) -> Floats:
    """Return dt / tau as the layer computes it, in the precision of its parameters."""
    return array(m.dt * inverse)


def _fire(m: Any) -> dict[str, Any]:
    method = getattr(m.p, "reset_method", None)
    name = getattr(method, "__name__", "reset_value")
    if name not in ("reset_value", "reset_subtract"):
        raise Unreadable(f"resets by its own function {name!r}", "Use reset_value or reset_subtract")
    return {
        "theta": array(m.p.v_th),
        "v_reset": array(m.p.v_reset),
        "reset": leaky.SOFT if name == "reset_subtract" else leaky.HARD,
    }


def _leak(m: Any) -> dict[str, Any]:
    ratio = _ratio(m, m.p.tau_mem_inv)
    leak = array(m.p.v_leak)
    return {"keep": 1 - ratio, "gain": ratio, "rest": ratio * leak, "v_init": leak}


def _lif(m: Any) -> Cell:
    if getattr(m.p, "method", "super") == "adjoint":
        raise Unreadable("uses the adjoint method", "Use another method; it changes gradients only")
    return Cell(keep_u=1 - _ratio(m, m.p.tau_syn_inv), **_leak(m), **_fire(m))


def _box(m: Any) -> Cell:
    return Cell(**_leak(m), **_fire(m))


def _iaf(m: Any) -> Cell:
    return Cell(keep=np.ones(()), gain=np.ones(()), rest=np.zeros(()), **_fire(m))


def _li(m: Any) -> Cell:
    return Cell(keep_u=1 - _ratio(m, m.p.tau_syn_inv), membrane=0, **_leak(m))


def _li_box(m: Any) -> Cell:
    return Cell(membrane=0, **_leak(m))


def _over_time(cell: Cell) -> Cell:
    return _with(cell, time="TB")


def _with(cell: Cell, **more: Any) -> Cell:
    return Cell(**{**{k: getattr(cell, k) for k in cell.__dataclass_fields__}, **more})


def _recurrent(m: Any) -> Cell:
    return _with(_lif(m), before=linear(m.input_weights), recurrent=linear(m.recurrent_weights))


BASES = ("SNNCell", "SNNRecurrentCell", "SNN", "SNNRecurrent")
CELLS = {
    "LIFCell": _lif,
    "LIFBoxCell": _box,
    "IAFCell": _iaf,
    "LICell": _li,
    "LIBoxCell": _li_box,
    "LILinearCell": lambda m: _with(_li(m), before=linear(m.input_weights)),
    "LIFRecurrentCell": _recurrent,
    "LIF": lambda m: _over_time(_lif(m)),
    "LI": lambda m: _over_time(_li(m)),
    "IAF": lambda m: _over_time(_iaf(m)),
    "LIFRecurrent": lambda m: _over_time(_recurrent(m)),
}
