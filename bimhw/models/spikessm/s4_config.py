"""The shape and constants of a P-SpikeSSM network as its authors define it: one frozen value, saved beside the weights."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from bimhw.models.config_rules import check_rules, common_rules
from bimhw.models.spikessm.config import network_shapes
from simulator.neurons.p_spike_s4 import MOST_MODES

FAMILY: Final = "p-spikessm-s4"
STATISTICS = ("norm_mean", "norm_var")  # running averages, not trained


class S4SpikeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A P-SpikeSSM network; the equations are in `bimhw.models.spikessm.s4_net` (times in steps).

    Attributes:
        family: tells model files of this family from those of others.
        n_in: input channels.
        hidden: neurons of each layer; all the same.
        n_out: classes.
        n_states: N, states of each channel: N/2 complex modes and their conjugates.
        fuse: ClampFuse, the residual stream around each layer; without it a layer sends spikes alone.
        dropout: share of the mixer's values that training leaves out.
        steps: of a sequence: the readout is the sum over the steps, over this number. Training takes the task's.
        input_scale: a task's integer payload times this is the network's input.
    """

    family: Literal["p-spikessm-s4"] = FAMILY
    n_in: int
    hidden: tuple[int, ...]
    n_out: int
    n_states: int = 16
    fuse: bool = True
    dropout: float = 0.0
    steps: int = 1
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        even = 2 <= self.n_states <= 2 * MOST_MODES and self.n_states % 2 == 0
        rules = (
            *common_rules(self, decays=("dropout",)),
            ("hidden", len(set(self.hidden)) == 1, "must have the same width in every layer: they share one stream"),
            ("n_states", even, f"must be even and in 2..{2 * MOST_MODES}"),
            ("steps", self.steps >= 1, "must be at least 1"),
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

    # Where the network's neurons stand on a chip: the keys of their random numbers. A layer is a sampler, a state space and,
    # with the residual stream, a mixer behind it; without, the mixer's GELU is in the next sampler.

    @property
    def _parts(self) -> int:
        return 3 if self.fuse else 2

    def latency(self, layer: int) -> int:
        """Return the chip steps after which the sampler of this 0-based layer does its first step; L: what follows the last."""
        return self._parts * layer + (2 if self.fuse else 1)

    def first_id(self, layer: int) -> int:
        """Return the logical id of the first neuron of the sampler of this 0-based layer; the state space follows it."""
        return self.n_in + self.width * (self.latency(layer) - 1)

    @property
    def readout_latency(self) -> int:
        """Chip steps after which the readout does the model's first step."""
        return self.latency(self.n_layers) + (0 if self.fuse else 1)

    def chip_steps(self, steps: int) -> int:
        """Return the chip's steps for a sample of `steps` steps."""
        return steps + self.readout_latency


def layer_shapes(config: S4SpikeConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of one layer's arrays."""
    h, m = config.width, config.n_states // 2
    channel = ("a_in", "b_in", "norm_gain", "norm_bias", *STATISTICS, "log_step", "d", "a_out", "b_out", "b_mix")
    shapes: dict[str, tuple[int, ...]] = {"w_mix": (h, h), "c_re": (h, m), "c_im": (h, m)}
    shapes |= dict.fromkeys(("log_decay", "frequency", "p_re", "p_im", "in_re", "in_im"), (m,))
    return shapes | dict.fromkeys(channel, (h,))


def parameter_shapes(config: S4SpikeConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all arrays, as in a checkpoint's ``state_dict``."""
    return network_shapes(config.n_in, config.width, config.n_layers, config.n_out, layer_shapes(config))
