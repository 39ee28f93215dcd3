"""Rockpool: LIFTorch and ExpSynTorch, inputs [B, T, n].

i = beta (i + x + w_rec z(t-1));   v = alpha v + i + bias;   z = floor(v / threshold) where v >= threshold;   v -= threshold z
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bimhw.frontends.frameworks.cell import Cell, array, linear
from bimhw.frontends.frameworks.readers import Unreadable
from simulator.neurons import leaky

_NO_CAP = 1000  # spikes a step beyond which a cap is never met here


def reset(module: Any) -> None:
    """Zero the states."""
    module.reset_state()


def _lif(m: Any) -> Cell:
    _check(m)
    cap = float(m.max_spikes_per_dt)
    recurrent = linear(m.w_rec.T) if m._has_rec else None
    if m.n_synapses != 1:
        if m._has_rec:
            raise Unreadable(f"feeds back onto {m.n_synapses} synapses a neuron", "Use one synapse a neuron")
        return replace(_without_synapse(m, m.alpha), current=_currents(m), synapses=int(m.n_synapses))
    beta = array(m.beta).reshape(-1)
    return Cell(
        keep=array(m.alpha),
        gain=np.ones(()),
        rest=array(m.bias),
        keep_u=beta,
        gain_u=beta,
        theta=array(m.threshold),
        cmp=leaky.REACHED if cap == 1 else leaky.MULTI,
        reset=leaky.SOFT,
        recurrent=recurrent,
        time="BT",
        notes=_cap_notes(cap),
    )


def _check(m: Any) -> None:
    """Refuse noise, a cap that is no whole number and thresholds that are not positive."""
    cap = float(m.max_spikes_per_dt)
    if float(m.noise_std) != 0:
        raise Unreadable("adds noise to its membrane", "Set noise_std to 0")
    if cap < 1 or cap != round(cap):
        raise Unreadable(f"fires at most {cap:g} spikes a step", "Set max_spikes_per_dt to 1, or leave it")
    if np.any(array(m.threshold) <= 0):
        raise Unreadable("has a threshold <= 0", "Use a positive threshold")


def _cap_notes(cap: float) -> tuple[str, ...]:
    return (f"more than {cap:g} spikes a step are not cut off",) if 1 < cap < _NO_CAP else ()


def _synapse(m: Any) -> Cell:
    if float(m.noise_std) != 0:
        raise Unreadable("adds noise to its current", "Set noise_std to 0")
    beta = array((-m.dt / m.tau).exp())
    return Cell(keep=beta, gain=beta, rest=np.zeros(()), time="BT")


def _currents(m: Any) -> Cell:
    """Return the currents of several synapses a neuron, side by side: i = beta (i + x + w_rec z)."""
    beta = np.broadcast_to(array(m.beta), (m.size_out, m.n_synapses)).reshape(-1)
    return Cell(keep=beta, gain=beta, rest=np.zeros(()), time="BT")


def _without_synapse(m: Any, keep: Any = None) -> Cell:
    """Read LIFNeuronTorch, which takes its input as the current."""
    _check(m)
    cap = float(m.max_spikes_per_dt)
    return Cell(
        keep=np.exp(-float(m.dt) / array(m.tau_mem)) if keep is None else array(keep),
        gain=np.ones(()),
        rest=array(m.bias),
        theta=array(m.threshold),
        cmp=leaky.REACHED if cap == 1 else leaky.MULTI,
        reset=leaky.SOFT,
        time="BT",
        notes=_cap_notes(cap),
    )


BASES = ("LIFBaseTorch", "LIFNeuronTorch", "RateTorch", "AHPLIFTorch")
CELLS = {
    "LIFTorch": _lif, "LIFBitshiftTorch": _lif, "LIFNeuronTorch": _without_synapse, "ExpSynTorch": _synapse,
}  # fmt: skip
REFUSED = {
    "aLIFTorch": ("draws itself down by a second current after each spike", "Use LIFTorch"),
    "RateTorch": ("sends rates, not spikes", "Use LIFTorch"),
}
