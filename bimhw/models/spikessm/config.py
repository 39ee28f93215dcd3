"""The shape and constants of a P-SpikeSSM network: one frozen value, saved beside the weights.

Letters: H channels (and neurons of a layer), N modes of a neuron, L layers, C classes.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bimhw.models.config_rules import check_rules, common_rules
from simulator.neurons.p_spike_ssm import MOST_STATES

FAMILY: Final = "p-spikessm"


class PSpikeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A P-SpikeSSM network; the equations are in `bimhw.models.spikessm.net` (times in steps).

    Attributes:
        family: tells model files of this family from those of BIM.
        n_in: input channels.
        hidden: neurons of each layer; all the same, as the residual stream has one channel a neuron.
        n_out: classes.
        n_states: N, complex modes of each neuron's state space.
        clamp: kappa; ClampFuse keeps the residual stream in [-kappa, kappa].
        k_o: decay of the readout's filter.
        input_scale: a task's integer payload times this is the network's input.
    """

    family: Literal["p-spikessm"] = FAMILY
    n_in: int
    hidden: tuple[int, ...]
    n_out: int
    n_states: int = 2
    clamp: float = 1.0
    k_o: float = 0.9
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        rules = (
            *common_rules(self, ("clamp",)),
            ("hidden", len(set(self.hidden)) == 1, "must have the same width in every layer: they share one stream"),
            ("n_states", 1 <= self.n_states <= MOST_STATES, f"must be in 1..{MOST_STATES}"),
        )
        check_rules(self, rules)

    @property
    def n_layers(self) -> int:
        """L."""
        return len(self.hidden)

    @property
    def width(self) -> int:
        """H."""
        return self.hidden[0]

    # Where the network's neurons stand on a chip: the keys of their random numbers.

    def first_id(self, layer: int) -> int:
        """Return the logical id of the first neuron of this 0-based layer: input, encoder, then layer and ClampFuse in turn."""
        return self.n_in + self.width * (1 + 2 * layer)

    def latency(self, layer: int) -> int:
        """Return the chip steps after which this 0-based layer does the model's first step; L: those of the readout."""
        return 2 * layer + 2

    def chip_steps(self, steps: int) -> int:
        """Return the chip's steps for a sample of `steps` steps."""
        return steps + self.latency(self.n_layers)


def layer_shapes(config: PSpikeConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of one layer's parameters."""
    h, n = config.width, config.n_states
    modes = dict.fromkeys(("log_decay", "frequency", "c_re", "c_im"), (h, n))
    return {"log_step": (h,), **modes, "d": (h,), "b_spike": (h,), "w_mix": (h, h), "b_mix": (h,)}


def parameter_shapes(config: PSpikeConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all parameters, as in a checkpoint's ``state_dict``."""
    return network_shapes(config.n_in, config.width, config.n_layers, config.n_out, layer_shapes(config))


def network_shapes(
    n_in: int, width: int, layers: int, n_out: int, layer: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all arrays of a network: encoder, so many equal layers, readout."""
    shapes: dict[str, tuple[int, ...]] = {"encoder.weight": (width, n_in), "encoder.bias": (width,)}
    for i in range(layers):
        shapes |= {f"layers.{i}.{name}": shape for name, shape in layer.items()}
    return shapes | {"readout.weight": (n_out, width), "readout.bias": (n_out,)}
