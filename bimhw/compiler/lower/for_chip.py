"""A float network in the neurons of its chip: `leaky` populations become Loihi's CUBA-LIF where that says the same.

Loihi 1 has one neuron: u = keep_u u + 64 acc, v = keep v + u + bias, a spike and v = 0 where v > 64 vth. It says what
`leaky` and `leaky_cuba` say when they fire above their threshold, reset to 0 at once and take no constant current.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mapping.network import Network
from simulator.base.errors import FitError
from simulator.chips.chip import Chip
from simulator.neurons import leaky
from simulator.program.graph import Population

Floats = npt.NDArray[np.float64]
TARGET = "loihi_cuba"
ACC_UNIT = 64.0  # the current's unit is 1/64 of an arriving weight


def for_chip(network: Network, chip: Chip) -> Network:
    """The network with every `leaky` population in the chip's own neuron, where the chip does not run `leaky`.

    Raises:
        FitError: a population that the chip's neuron cannot say, by name and reason.
    """
    runs = chip.capabilities.neuron_models
    if "*" in runs or TARGET not in runs:
        return network
    changed = [p.name for p in network.populations if p.model.startswith("leaky") and p.model not in runs]
    if not changed:
        return network
    populations = tuple(_converted(p, chip) if p.name in changed else p for p in network.populations)
    early = [p.name for p in populations if p.name in changed and p.layer > 1 and np.any(p.params["bias_mant"])]
    notes = [*network.meta.get("notes", [])]
    if early:
        text = "have a constant input and start at step 0, before their first input arrives: this chip's neuron cannot wait"
        notes.append(f"populations {', '.join(early)} {text}")
    return replace(network, populations=populations, meta={**network.meta, "notes": notes})


def _converted(p: Population, chip: Chip) -> Population:
    reason = _reason(p)
    if reason:
        raise FitError(
            f"population {p.name!r}",
            f"{reason}, which the neuron of chip {chip.name!r} ({TARGET}) cannot do",
            "Choose a chip with programmable neurons (loihi2, generic)",
        )
    f: Mapping[str, Floats] = {k: np.asarray(v, np.float64) for k, v in p.params.items()}
    keep_u = f.get("keep_u", np.zeros(()))
    params = {
        "du": 4096 * (1 - keep_u) - 1,
        "dv": 4096 * (1 - f["keep"]),
        "vth": f["theta"],
        "bias_mant": ACC_UNIT * f["bias"],
    }
    rest = dict.fromkeys(("bias_exp", "refractory", "noise_target", "noise_exp", "noise_mant"), np.zeros(()))
    return replace(p, model=TARGET, params={**params, **rest})


def _reason(p: Population) -> str:
    """What Loihi's neuron cannot say of a leaky population; empty where it can."""
    f: Mapping[str, Any] = p.params
    if np.any(f["fires"] == 0):
        return "emits its membrane"
    if np.any(f["cmp"] != leaky.ABOVE):
        return "fires at its threshold or several times a step"
    if np.any(f["reset"] != leaky.HARD) or np.any(f["v_reset"] != 0):
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
