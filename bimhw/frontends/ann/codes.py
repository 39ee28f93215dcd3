"""Codes of a ReLU network's activations as spikes: a rate code, or changes sent as graded spikes.

===============  ==========================================================================================================
rate             integrate-and-fire neurons, threshold lam (the layer's largest activation), reset by subtraction, start at
                 lam / 2; the mean over T steps is the activation to within lam / T where it is below lam (Rueckauer et al.
                 2017, Front. Neurosci. 11:682); the input is the same at every step
sigma-delta      neurons that sum the changes that arrive and send the change of their own activation as a graded spike, where
                 it is at least vth = share x lam; a receiver's sum is the activation to within vth at each source; the
                 input comes once, as a change from 0, so that one step is enough
===============  ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bimhw.frontends.frameworks.cell import Cell
from bimhw.frontends.nir.dynamics import spread
from bimhw.frontends.nir.graph import Node
from bimhw.frontends.nir.lower import NeuronForm
from simulator.base.arrays import Floats
from simulator.base.errors import unknown_name
from simulator.neurons import leaky

SIGMA_DELTA = "sigma_delta"
SHARE = 1 / 128  # of the largest activation: the least change that is sent


@dataclass(frozen=True, eq=False)
class SigmaDeltaCell(Cell):
    """A sigma-delta layer.

    Attributes:
        vth: least change that is sent.
        relu: no activation below 0.
    """

    vth: float = 0.0
    relu: bool = True

    @property
    def binary(self) -> bool:
        """Return False: it sends changes."""
        return False

    def form(self) -> Callable[[Node, Floats], NeuronForm]:
        """Return the function from the layer's node and the constant that arrives to its chip neuron."""

        def make(node: Node, bias: Floats) -> NeuronForm:
            one = np.ones(int(np.prod(node.in_shape)))
            params: dict[str, Floats] = {
                "vth": spread(np.asarray(self.vth), node.in_shape).reshape(-1),
                "bias": bias,
                "relu": np.asarray(float(self.relu)),
            }
            return SIGMA_DELTA, params, one

        return make


def rate_cell(largest: float, share: float = 0.0) -> Cell:
    """Return the IF layer of a ReLU whose activations reach `largest`."""
    lam = np.asarray(largest)
    one = np.ones(())
    return Cell(
        keep=one, gain=one, rest=0 * one, theta=lam, v_init=lam / 2, cmp=leaky.REACHED, reset=leaky.SOFT, scale=lam
    )


def sigma_delta_cell(largest: float, share: float = SHARE) -> Cell:
    """Return the sigma-delta layer of a ReLU whose activations reach `largest`."""
    one = np.ones(())
    return SigmaDeltaCell(keep=one, gain=one, rest=0 * one, theta=np.asarray(largest), vth=share * largest)


def _sum_cell() -> Cell:
    one = np.ones(())
    return Cell(keep=one, gain=one, rest=0 * one)


def _activation_cell() -> Cell:
    one = np.ones(())
    return SigmaDeltaCell(keep=one, gain=one, rest=0 * one, relu=False)


@dataclass(frozen=True)
class Code:
    """A code.

    Attributes:
        name: of the command line.
        cell: (largest activation, share of it) -> neuron layer of a ReLU.
        answer: -> neuron layer of the outputs.
        state: of the outputs that is read.
        steps: of a sample, by default.
        once: the input comes at the first step only.
        clips: a neuron that is driven beyond its largest activation holds it (one spike a step).
    """

    name: str
    cell: Callable[[float, float], Cell]
    answer: Callable[[], Cell]
    state: str
    steps: int
    once: bool
    clips: bool

    def given(self, x: Floats, steps: int) -> Floats:
        """Return inputs [B, n] as [B, T, n]."""
        flat = x.reshape(len(x), 1, -1)
        if not self.once:
            return np.broadcast_to(flat, (len(x), steps, flat.shape[2]))
        return np.concatenate([flat, np.zeros((len(x), steps - 1, flat.shape[2]))], axis=1)


CODES: Mapping[str, Code] = {
    "rate": Code("rate", rate_cell, _sum_cell, "v", 64, False, True),
    "sigma-delta": Code("sigma-delta", sigma_delta_cell, _activation_cell, "sent", 1, True, False),
}


def code_of(name: str) -> Code:
    """Return a code by its name.

    Raises:
        InputError: an unknown name.
    """
    if name not in CODES:
        raise unknown_name("code", name, CODES)
    return CODES[name]
