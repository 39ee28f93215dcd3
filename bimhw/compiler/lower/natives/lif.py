"""``leaky`` in the plain integrators ``lif``, ``if`` and ``li``.

``lif`` and ``if`` say what a leaky neuron without synaptic current says that fires at most once a step and resets to a value
or by subtraction. ``li`` says a membrane that nobody but a probe reads. Equal in the float engine, for ``if`` with
[v > theta] as [v >= the next number above theta]; keep is then stored in 1/4096.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bimhw.compiler.lower.natives.base import Native, register
from simulator.base.arrays import Floats
from simulator.neurons import leaky
from simulator.program.graph import Population

_AT_ONCE = (leaky.HARD, leaky.HARD_NEXT)  # both leave v_reset to the next step


def _common(p: Population) -> dict[str, Floats]:
    """Return the parameters that all three share; u of a current that keeps nothing is its input."""
    f: Mapping[str, Any] = p.params
    bias = np.asarray(f["bias"], np.float64) + np.asarray(f.get("bias_u", 0.0), np.float64)
    return {"bias": bias, "v_init": np.asarray(f["v_init"], np.float64)}


def _to_lif(p: Population) -> Population:
    f = {k: np.asarray(v, np.float64) for k, v in p.params.items()}
    own = {"dv": 4096 * (1 - f["keep"]), "vth": f["theta"], "v_reset": f["v_reset"], "refractory": np.zeros(())}
    own |= {"soft": (f["reset"] == leaky.SOFT).astype(np.float64)}
    own |= {"strict": (f["cmp"] == leaky.ABOVE).astype(np.float64)}
    return replace(p, model="lif", params=_common(p) | own)


def _to_if(p: Population) -> Population:
    f = {k: np.asarray(v, np.float64) for k, v in p.params.items()}
    reached = np.where(f["cmp"] == leaky.ABOVE, np.nextafter(f["theta"], np.inf), f["theta"])
    own = {"vth": reached, "v_reset": f["v_reset"], "soft": (f["reset"] == leaky.SOFT).astype(np.float64)}
    return replace(p, model="if", params=_common(p) | own)


def _to_li(p: Population) -> Population:
    return replace(p, model="li", params=_common(p) | {"dv": 4096 * (1 - np.asarray(p.params["keep"], np.float64))})


def _integrates(p: Population) -> str:
    """Return what keeps a leaky population from being a plain integrator."""
    if np.any(np.asarray(p.params.get("keep_u", 0)) != 0):
        return "has a synaptic current that decays"
    if np.any(np.isfinite(p.params["v_min"])):
        return "bounds its membrane from below"
    return ""


def _fires(p: Population, heard: bool) -> str:
    f: Mapping[str, Any] = p.params
    if np.any(f["fires"] == 0):
        return "emits its membrane"
    if np.any(f["cmp"] == leaky.MULTI):
        return "fires several times a step"
    if not np.isin(f["reset"], (*_AT_ONCE, leaky.SOFT)).all():
        return "resets a step late or not at all"
    return _integrates(p)


def _fires_without_leak(p: Population, heard: bool) -> str:
    return _fires(p, heard) or ("leaks" if np.any(p.params["keep"] != 1) else "")


def _shows(p: Population, heard: bool) -> str:
    if np.any(p.params["fires"] != 0):
        return "fires"
    return "sends its membrane to other neurons" if heard else _integrates(p)


LIF = register(Native("lif", ("leaky",), _fires, _to_lif))
IF = register(Native("if", ("leaky",), _fires_without_leak, _to_if))
LI = register(Native("li", ("leaky",), _shows, _to_li))
