"""SpikingJelly: IFNode, LIFNode, ParametricLIFNode, CUBALIFNode and the Simple nodes, in step modes 's' and 'm'.

All fire at v >= v_threshold and reset at once; v starts at v_reset (0 for soft resets).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bimhw.frontends.frameworks.cell import Cell, Floats, array
from simulator.neurons import leaky


def reset(module: Any) -> None:
    """Zero the memories."""
    if hasattr(module, "reset"):
        module.reset()


def _base(m: Any) -> dict[str, Any]:
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


def _if(m: Any) -> Cell:
    return Cell(keep=np.ones(()), gain=np.ones(()), rest=np.zeros(()), **_base(m))


def _leak(m: Any, inverse: Floats) -> Cell:
    """Make the cell v += (x - (v - v_reset)) / tau, or v += x - (v - v_reset) / tau without decay_input."""
    rest = inverse * array(0.0 if m.v_reset is None else m.v_reset)
    return Cell(keep=1 - inverse, gain=inverse if m.decay_input else np.ones(()), rest=rest, **_base(m))


def _lif(m: Any) -> Cell:
    return _leak(m, array(1.0 / m.tau))


def _parametric(m: Any) -> Cell:
    return _leak(m, array(m.w.sigmoid()))


def _cuba(m: Any) -> Cell:
    base = _base(m)
    keep_u = array(m.c_decay)
    return Cell(keep=array(m.v_decay), gain=np.ones(()), rest=np.zeros(()), keep_u=keep_u, **base)


def _silent(m: Any) -> Cell:
    inverse = array(1.0 / getattr(m, "tau", 1.0))
    keep = 1 - inverse if hasattr(m, "tau") else np.ones(())
    return Cell(keep=keep, gain=inverse, rest=np.zeros(()), time="TB")


BASES = ("BaseNode", "SimpleBaseNode", "NonSpikingBaseNode")
CELLS = {
    "IFNode": _if,
    "SimpleIFNode": _if,
    "LIFNode": _lif,
    "SimpleLIFNode": _lif,
    "ParametricLIFNode": _parametric,
    "CUBALIFNode": _cuba,
    "NonSpikingIFNode": _silent,
    "NonSpikingLIFNode": _silent,
}
