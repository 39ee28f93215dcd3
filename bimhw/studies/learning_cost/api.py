"""`bimhw.learning_cost` and `bimhw.stdp_window`: the measurements of learning's cost and of its timing window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bimhw.learning.api import train
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.net import as_bim
from bimhw.studies.learning_cost import cost
from bimhw.studies.learning_cost.window import (
    Curve,
    bernoulli_digits,
    pairing_config,
    trained_verdict,
    trained_window,
    verdict,
    window,
)
from simulator.base.needs import refuses_ignored
from simulator.base.shown import Shown


@refuses_ignored("learning-cost")
def learning_cost(
    inputs: int = 64,
    hidden: int = 64,
    kind: str = "diag",
    states: int = 1,
    psp: str = "alpha",
    steps: Sequence[int] = (16, 64, 256, 1024),
    rate: float = 0.1,
    seed: int = 0,
) -> cost.LearningCost:
    """Measure memory and operations of BPTT, RTRL and SEQ on one random sequence of each length.

    Args:
        inputs: M.
        hidden: neurons H.
        kind: layer kind, ``diag`` or ``s6``.
        states: states per neuron (s6).
        psp: kernel, ``delta``, ``exp`` or ``alpha``.
        steps: lengths T.
        rate: share of inputs that spike.
        seed: of weights and inputs.

    Raises:
        InputError: an option out of its range.
    """
    config = BimConfig(**_layer(kind, psp), n_in=inputs, hidden=(hidden,), n_out=10, n_states=states)
    return cost.learning_cost(config, tuple(steps), rate, seed)


def _layer(kind: str, psp: str) -> dict[str, Any]:
    return {"kind": kind, "psp": psp}  # texts from outside: `BimConfig` refuses what it does not know


@dataclass(frozen=True, eq=False, repr=False)
class StdpWindow(Shown):
    """Update of a synapse against t_post - t_pre.

    Attributes:
        pairing: one curve for each weight lambda of the gradient.
        trained: the same in a trained network; empty where none was asked for.
    """

    pairing: tuple[Curve, ...]
    trained: tuple[Curve, ...] = ()

    @property
    def verdict(self) -> str:
        """The answer in words."""
        return "\n".join(
            [verdict(list(self.pairing)), *([trained_verdict(list(self.trained))] if self.trained else [])]
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        curves = {"pairing": [c.facts() for c in self.pairing], "trained": [c.facts() for c in self.trained]}
        return curves | {"verdict": self.verdict}


@refuses_ignored("stdp-window")
def stdp_window(
    psp: str = "alpha",
    tau_m: float = 5.0,
    tau_s: float = 2.0,
    delta: float = 0.1,
    direct: float = 1.0,
    lambdas: Sequence[float] = (1.0, 0.9, 0.5, 0.1),
    trained: bool = False,
    epochs: int = 4,
    seed: int = 0,
) -> StdpWindow:
    """Measure the update of a synapse against the time between its spikes (section 4.6 of the BIM paper).

    Args:
        psp: kernel, ``delta``, ``exp`` or ``alpha``.
        tau_m: membrane time constant in steps.
        tau_s: synaptic time constant in steps.
        delta: Delta of the state (1/Delta is its time constant).
        direct: D, the direct path.
        lambdas: weights of the gradient against STDP.
        trained: also train a network on digits and measure there.
        epochs: of that training.
        seed: of that training.
    """
    curves = window(pairing_config(psp, tau_m, tau_s), tuple(lambdas), delta, direct)
    if not trained:
        return StdpWindow(tuple(curves))
    task = bernoulli_digits(seed=seed)
    model = train(task, psp=psp, epochs=epochs, seed=seed).model
    return StdpWindow(tuple(curves), tuple(trained_window(as_bim(model, "the window"), task, lambdas=tuple(lambdas))))
