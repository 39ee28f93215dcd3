"""The shape and constants of a network of meta-neurons: one frozen value, saved beside the weights."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bimhw.models.config_rules import check_rules, common_rules
from simulator.neurons.lz76 import MOST_WORDS, WORD_BITS
from simulator.neurons.meta_neuron import LEARNT

FAMILY: Final = "meta"
_LONGEST = MOST_WORDS * WORD_BITS - 2


class MetaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A network of meta-neurons; the equations are in `bimhw.models.meta.net` (times in steps).

    Attributes:
        family: tells model files of this family from those of others.
        n_in: input channels.
        hidden: neurons of each layer.
        n_out: classes.
        learn_neuron: leak, threshold, recovery, reset and jump of every neuron learn; else they keep their initial values.
        transmit: probability that a spike is sent.
        sh_h: the Euler step is 2^-sh_h.
        readout: ``filter`` of the top layer's spikes, or ``lz76``, the nearest class mean of their complexities.
        longest: steps of a train that ``lz76`` can hold.
        k_o: decay of the readout's filter.
        surrogate_width: w of the surrogate derivative 1 / (1 + abs(v - theta) / w)^2.
        input_scale: a task's integer payload times this is the network's input.
    """

    family: Literal["meta"] = FAMILY
    n_in: int
    hidden: tuple[int, ...]
    n_out: int
    learn_neuron: bool = True
    transmit: float = 1.0
    sh_h: int = 2
    readout: Literal["filter", "lz76"] = "filter"
    longest: int = 128
    k_o: float = 0.95
    surrogate_width: float = 0.5
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        rules = (
            *common_rules(self, ("surrogate_width",)),
            ("transmit", 0 < self.transmit <= 1, "must be in (0, 1]"),
            ("sh_h", 0 <= self.sh_h <= 8, "must be in 0..8"),
            ("longest", 1 <= self.longest <= _LONGEST, f"must be in 1..{_LONGEST}"),
        )
        check_rules(self, rules)

    @property
    def n_layers(self) -> int:
        """Hidden layers."""
        return len(self.hidden)

    # Where the network's neurons stand on a chip: the keys of their random numbers.

    def first_id(self, layer: int) -> int:
        """Return the logical id of the first neuron of this 0-based layer."""
        return self.n_in + sum(self.hidden[:layer])

    def latency(self, layer: int) -> int:
        """Return the chip steps after which this 0-based layer does the model's first step."""
        return layer + 1

    @property
    def readout_latency(self) -> int:
        """Chip steps after which the readout does: the neurons of ``lz76`` stand before it."""
        return self.n_layers + (2 if self.readout == "lz76" else 1)


def parameter_shapes(config: MetaConfig) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of all parameters, as in the module's ``state_dict``."""
    out: dict[str, tuple[int, ...]] = {}
    for k, (m, h) in enumerate(zip((config.n_in, *config.hidden), config.hidden, strict=False)):
        out[f"layers.{k}.weight"] = (h, m)
        out |= {f"layers.{k}.{name}": (h,) for name in ("bias", *LEARNT)}
    return out | {"readout.weight": (config.n_out, config.hidden[-1]), "readout.bias": (config.n_out,)}
