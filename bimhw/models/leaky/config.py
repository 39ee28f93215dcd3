"""The shape and constants of a leaky network: one frozen value, saved beside the weights."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from bimhw.models.config_rules import check_rules, common_rules

FAMILY: Final = "leaky"


class LeakyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A leaky network; the equations are in `bimhw.models.leaky.net` (times in steps).

    Attributes:
        family: tells model files of this family from those of others.
        n_in: input channels.
        hidden: neurons of each layer.
        n_out: classes.
        keep: alpha, what a membrane keeps of itself in a step.
        theta: threshold.
        adapt_jump: beta, rise of the threshold at a spike; 0: LIF neurons, above 0: ALIF neurons.
        adapt_keep: rho, what the rise keeps of itself in a step.
        recurrent: every layer also reads its own spikes of the last step.
        k_o: kappa, decay of the readout's filter.
        surrogate_width: w of the surrogate derivative 1 / (1 + abs(v - threshold) / w)^2.
        input_scale: a task's integer payload times this is the network's input.
    """

    family: Literal["leaky"] = FAMILY
    n_in: int
    hidden: tuple[int, ...]
    n_out: int
    keep: float = 0.75
    theta: float = 1.0
    adapt_jump: float = 0.0
    adapt_keep: float = 0.9
    recurrent: bool = False
    k_o: float = 0.8
    surrogate_width: float = 0.5
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        rules = (
            *common_rules(self, ("theta", "surrogate_width")),
            ("keep", 0 <= self.keep <= 1, "must be in 0..1"),
            ("adapt_jump", 0 <= self.adapt_jump < math.inf, "must be 0 (LIF) or positive"),
            ("adapt_keep", 0 <= self.adapt_keep <= 1, "must be in 0..1"),
        )
        check_rules(self, rules)

    @property
    def n_layers(self) -> int:
        """Hidden layers."""
        return len(self.hidden)

    @property
    def adaptive(self) -> bool:
        """True if the neurons are ALIF."""
        return self.adapt_jump > 0


def parameter_shapes(config: LeakyConfig) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of all parameters, as in the module's ``state_dict``."""
    out: dict[str, tuple[int, ...]] = {}
    for k, (m, h) in enumerate(zip((config.n_in, *config.hidden), config.hidden, strict=False)):
        out[f"layers.{k}.weight"] = (h, m)
        if config.recurrent:
            out[f"layers.{k}.recurrent"] = (h, h)
    return out | {"readout.weight": (config.n_out, config.hidden[-1])}
