"""``leaky`` and ``leaky_cuba`` in Loihi's CUBA-LIF.

Loihi 1 has one neuron: u = keep_u u + 64 acc, v = keep v + u + bias, a spike and v = 0 where v > 64 vth. It says what
the leaky models say when they fire above their threshold, reset to 0 at once and add no constant to the current.
Equal in the float engine; keep and keep_u are then stored in 1/4096.
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

ACC_UNIT = 64.0  # the current's unit is 1/64 of an arriving weight


def _convert(p: Population) -> Population:
    f: Mapping[str, Floats] = {k: np.asarray(v, np.float64) for k, v in p.params.items()}
    keep_u = f.get("keep_u", np.zeros(()))
    params = {
        "du": 4096 * (1 - keep_u) - 1,
        "dv": 4096 * (1 - f["keep"]),
        "vth": f["theta"],
        "bias_mant": ACC_UNIT * f["bias"],
    }
    rest = dict.fromkeys(("bias_exp", "refractory", "noise_target", "noise_exp", "noise_mant"), np.zeros(()))
    return replace(p, model="loihi_cuba", params={**params, **rest})


def _reason(p: Population, heard: bool) -> str:
    f: Mapping[str, Any] = p.params
    if np.any(f["fires"] == 0):
        return "emits its membrane"
    if np.any(f["cmp"] != leaky.ABOVE):
        return "fires at its threshold or several times a step"
    if not np.isin(f["reset"], (leaky.HARD, leaky.HARD_NEXT)).all() or np.any(f["v_reset"] != 0):
        return "resets otherwise than to 0 at the spike"
    if np.any(f["v_init"] != 0) or np.any(np.isfinite(f["v_min"])):
        return "starts at another membrane than 0 or bounds it"
    if np.any(f["theta"] <= 0):
        return "has a threshold that is not positive"
    if np.any(f.get("bias_u", 0) != 0):
        return "adds a constant to its synaptic current"
    if np.any(np.asarray(f.get("keep_u", 0)) > 4095 / 4096):
        return "keeps more than 4095/4096 of its current in a step"
    return ""


# On Loihi, lif and if are the CUBA-LIF with a current that decays at once: no soft reset, no reset to another value.
LOIHI = register(Native("loihi_cuba", ("leaky",), _reason, _convert, frozenset(("lif", "if"))))
