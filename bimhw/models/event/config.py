"""The shape and constants of a network learnt by spike times: one frozen value, saved beside the weights."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from bimhw.models.config_rules import check_rules, common_rules

FAMILY: Final = "event"


class EventConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A network learnt by spike times; the equations are in `bimhw.models.event.net` (times in steps).

    Attributes:
        family: tells model files of this family from those of others.
        n_in: input channels.
        hidden: neurons of each layer.
        n_out: classes.
        tau_m, tau_s: of the membrane and of the synaptic current; not equal.
        theta: threshold.
        input_scale: a task's integer payload times this is the network's input.
    """

    family: Literal["event"] = FAMILY
    n_in: int
    hidden: tuple[int, ...]
    n_out: int
    tau_m: float = 10.0
    tau_s: float = 5.0
    theta: float = 1.0
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        apart = abs(self.tau_m - self.tau_s) > 1e-6 * self.tau_m
        rules = (*common_rules(self, ("tau_m", "tau_s", "theta"), ()), ("tau_m", apart, "must differ from tau_s"))
        check_rules(self, rules)

    @property
    def n_layers(self) -> int:
        """Hidden layers."""
        return len(self.hidden)

    @property
    def keeps(self) -> tuple[float, float]:
        """Factor that membrane and current keep in a step, e^(-1 / tau)."""
        return math.exp(-1 / self.tau_m), math.exp(-1 / self.tau_s)

    @property
    def gain(self) -> float:
        """Membrane that a current of 1 adds in a step."""
        slow, fast = self.keeps
        return self.tau_s / (self.tau_m - self.tau_s) * (slow - fast)


def parameter_shapes(config: EventConfig) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of all parameters, as in the module's ``state_dict``."""
    out: dict[str, tuple[int, ...]] = {}
    for k, (m, h) in enumerate(zip((config.n_in, *config.hidden), config.hidden, strict=False)):
        out[f"layers.{k}.weight"] = (h, m)
    return out | {"readout.weight": (config.n_out, config.hidden[-1])}
