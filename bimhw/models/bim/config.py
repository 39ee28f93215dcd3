"""The shape and constants of a BIM network: one frozen value, saved beside the weights.

Letters: M inputs of a layer, H neurons, N states per neuron (s6), C classes, F readout features.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from bimhw.models.config_rules import Rule, check_rules, common_rules
from simulator.base.errors import InputError
from simulator.base.reading import boundary, parse_json
from simulator.neurons.psp import PspConstants, psp_constants

Kind = Literal["diag", "s6", "complex"]


class BimConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A BIM network (times in steps, potentials in units of the model).

    Attributes:
        kind: ``diag`` (BIM-D: one selective state per neuron, all parameters owned by the neuron), ``s6`` (Mamba's) or
            ``complex`` (BIM-D with a complex state that turns by a learned angle, `bimhw.models.bim.complex_state`).
        n_in: input channels, before the delay taps.
        hidden: neurons of each layer.
        n_out: classes.
        psp: kernel between the selective state's output and the membrane.
        tau_m: membrane time constant.
        tau_s: synaptic time constant (exp, alpha).
        psp_norm: ``dc`` or ``peak``, see `simulator.neurons.psp`.
        theta: threshold; a neuron fires when V >= theta.
        reset: ``soft`` (V - theta s) or ``hard`` (to 0).
        detach_reset: the gradient does not pass through the reset's spike.
        refractory: steps without spikes after one.
        surrogate: derivative of the spike, ``fast_sigmoid`` 1/(1+|v|/w)^2 or ``triangle`` max(0, 1-|v|/w).
        surrogate_width: w.
        k_o: decay of the filter on spikes that the readout reads.
        readout: what the readout reads of the top layer: filtered spikes, or the membrane V (graded values!).
        k_membrane: decay of the filter on the membrane (0: V itself).
        dense_readout: the readout reads the filtered spikes of the lower layers too.
        n_states: N, for ``s6``.
        discretisation: ``euler`` (as Mamba's code) or ``zoh``, for ``s6``.
        input_delays: axonal delays of the input taps in steps; layer 1 sees n_in x len(input_delays) channels, blockwise.
        learn_a_log: A_log is trained; otherwise it stays as it was initialised (0: one look-up table suffices on a chip).
        adapt_beta: strength of the adaptive threshold theta + beta a; 0: none.
        adapt_rho: decay of a (a <- rho a + s).
        input_scale: a task's integer payload times this is the network's input.
        rotate: the state turns, for ``complex``; without it the state stays real.
        state_gain: factor g of the input to the state, for ``complex``: ``dc`` 1 - Abar (a constant input reaches the state
            unchanged) or ``variance`` sqrt(1 - Abar^2) (white input keeps its variance).
        norm: ``batch`` standardises the state's output q per neuron over steps and batch while training, with running
            statistics otherwise; the compiler folds it into the neuron's constants. For ``complex``.
        hidden_delays: longest learnable delay of the inputs of each layer above the first, in steps; 0: none
            (`bimhw.models.bim.delays`).
        channel_delays: the same for the inputs of layer 1, behind the taps.
        delay_width: lags on each side of a delay whose differences make the slope that it is learnt by.
        learn_delays: delays are trained; otherwise they stay as they were drawn.
        residual: each layer above the second reads the sum of the spikes of all layers below it, u^(l+1) = u^(l) + s^(l) with
            u^(2) = s^(1) (element-wise ADD of Fang et al. 2021); the layers below the top are of one width then.
    """

    kind: Kind = "diag"
    n_in: int
    hidden: tuple[int, ...]
    n_out: int
    psp: Literal["delta", "exp", "alpha"] = "alpha"
    tau_m: float = 3.0
    tau_s: float = 1.0
    psp_norm: Literal["dc", "peak"] = "dc"
    theta: float = 0.5
    reset: Literal["soft", "hard"] = "soft"
    detach_reset: bool = True
    refractory: int = 0
    surrogate: Literal["fast_sigmoid", "triangle"] = "fast_sigmoid"
    surrogate_width: float = 0.5
    k_o: float = 0.8
    readout: Literal["spike", "membrane"] = "spike"
    k_membrane: float = 0.0
    dense_readout: bool = False
    n_states: int = 1
    discretisation: Literal["euler", "zoh"] = "zoh"
    input_delays: tuple[int, ...] = (0,)
    learn_a_log: bool = False
    adapt_beta: float = 0.0
    adapt_rho: float = 0.9
    input_scale: float = 1.0
    rotate: bool = True
    state_gain: Literal["dc", "variance"] = "dc"
    norm: Literal["none", "batch"] = "none"
    hidden_delays: int = 0
    channel_delays: int = 0
    delay_width: int = 1
    learn_delays: bool = True
    residual: bool = False

    def __post_init__(self) -> None:
        check_rules(self, _rules(self))

    @property
    def n_layers(self) -> int:
        """Number of layers L."""
        return len(self.hidden)

    @property
    def n_features(self) -> int:
        """F, the readout's inputs."""
        return sum(self.hidden) if self.dense_readout else self.hidden[-1]

    def fan_in(self, layer: int) -> int:
        """Return M of a layer (0-based)."""
        return self.n_in * len(self.input_delays) if layer == 0 else self.hidden[layer - 1]

    def longest_delay(self, layer: int) -> int:
        """Return the longest learnable delay of the inputs of a layer (0-based), 0 for none."""
        return self.hidden_delays if layer else self.channel_delays

    def reads_membrane(self, layer: int) -> bool:
        """Return whether the readout reads the membrane of this layer (only ever the top one)."""
        return self.readout == "membrane" and layer == self.n_layers - 1

    def feeds_readout(self, layer: int) -> bool:
        """Return whether the readout reads this layer at all."""
        return self.dense_readout or layer == self.n_layers - 1

    def sources(self, layer: int) -> tuple[int, ...]:
        """Return the layers (0-based) whose spikes a layer reads, the nearest first; () of the lowest, which reads the input."""
        return tuple(range(layer - 1, -1, -1) if self.residual else range(layer - 1, max(layer - 2, -1), -1))

    def constants(self) -> PspConstants:
        """Return the kernel's constants for a step of 1."""
        return psp_constants(self.psp, self.tau_m, self.tau_s, self.psp_norm)


def _rules(c: BimConfig) -> list[Rule]:
    late = c.hidden_delays > 0 or c.channel_delays > 0
    return [
        *common_rules(c, ("tau_m", "tau_s", "theta", "surrogate_width"), ("k_o", "k_membrane", "adapt_rho")),
        ("refractory", c.refractory >= 0, "must not be negative"),
        ("n_states", c.n_states >= 1, "must be at least 1"),
        ("n_states", c.kind == "s6" or c.n_states == 1, f"but kind {c.kind!r} has one state per neuron"),
        *[(n, c.kind == "complex" or getattr(c, n) == v, "belongs to kind 'complex'") for n, v in _OF_COMPLEX.items()],
        *[(n, 0 <= getattr(c, n) <= LONGEST_DELAY, _DELAYS) for n in ("hidden_delays", "channel_delays")],
        ("hidden_delays", c.n_layers > 1 or not c.hidden_delays, "needs a second layer"),
        ("delay_width", c.delay_width >= 1, "must be at least 1"),
        *[(n, late or getattr(c, n) == v, f"belongs to {_WITH_DELAYS}") for n, v in _OF_DELAYS.items()],
        (
            "residual",
            not c.residual or c.n_layers > 2,
            "needs a third layer: what the second reads has nothing to skip",
        ),
        (
            "residual",
            not c.residual or len(set(c.hidden[:-1])) == 1,
            f"adds spikes neuron by neuron, and the layers below the top have {c.hidden[:-1]} neurons, not one width",
        ),
        ("adapt_beta", 0 <= c.adapt_beta < math.inf, "must not be negative"),
        (
            "input_delays",
            bool(c.input_delays) and min(c.input_delays) >= 0 and len(set(c.input_delays)) == len(c.input_delays),
            "must be different delays of at least 0 steps",
        ),
    ]


# what belongs to a whole network, not to one layer
NETWORK_FIELDS = frozenset(
    "n_in hidden n_out readout dense_readout input_delays hidden_delays residual input_scale".split()  # noqa: SIM905
)
LONGEST_DELAY = 1023  # of what learns; a chip's own limit is the compiler's to check
_DELAYS = f"must be in 0..{LONGEST_DELAY} steps"
_OF_DELAYS = {"delay_width": 1, "learn_delays": True}
_WITH_DELAYS = "hidden_delays or channel_delays above 0"
_OF_COMPLEX = {"rotate": True, "state_gain": "dc", "norm": "none"}


def layer_shapes(config: BimConfig, layer: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of one layer's parameters."""
    delay = {"delay": (config.fan_in(layer),)} if config.longest_delay(layer) else {}
    return _neuron_shapes(config, layer) | delay


def _neuron_shapes(config: BimConfig, layer: int) -> dict[str, tuple[int, ...]]:
    h, m, n = config.hidden[layer], config.fan_in(layer), config.n_states
    shapes: dict[str, tuple[int, ...]] = {"w_in": (h, m), "w_delta": (h, m)}
    if config.kind != "s6":
        shapes |= {"w_c": (h, m), "b_in": (h,), "b_delta": (h,), "b_c": (h,), "a_log": (h,), "d": (h,)}
        return shapes if config.kind == "diag" else shapes | dict.fromkeys(complex_words(config), (h,))
    shared = {"w_b": (n, m), "w_c": (n, m), "b_in": (h,), "b_delta": (h,), "b_b": (n,), "b_c": (n,)}
    return shapes | shared | {"a_log": (h, n), "d": (h,)}


def complex_words(config: BimConfig) -> tuple[str, ...]:
    """Return the names of what a ``complex`` neuron has beyond a ``diag`` one: the norm's four where there is one."""
    turn = ("omega", "c_re", "c_im")
    return (*turn, "norm_gain", "norm_bias", *RUNNING) if config.norm == "batch" else turn


RUNNING = ("norm_mean", "norm_var")  # statistics, not trained


def parameter_shapes(config: BimConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all parameters, as in a checkpoint's ``state_dict``."""
    shapes = {
        f"layers.{i}.{name}": shape for i in range(config.n_layers) for name, shape in layer_shapes(config, i).items()
    }
    return shapes | {"readout.weight": (config.n_out, config.n_features), "readout.bias": (config.n_out,)}


def mask_shapes(config: BimConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the optional synapse masks (bool; False: the synapse does not exist)."""
    return {name.replace(".w_", ".mask_"): shape for name, shape in parameter_shapes(config).items() if ".w_" in name}


def config_from(value: Any, where: str) -> BimConfig:
    """Return a config from JSON text or from a plain dict.

    Raises:
        InputError: unknown or missing fields, wrong types or values; the message holds the path.
    """
    with boundary(f"{where}: config", "a BIM config", "Was it written by another version?"):
        content = parse_json(value, f"{where}: config") if isinstance(value, str | bytes) else value
        if isinstance(content, dict) and content.get("family", "bim") != "bim":
            raise InputError(f"{where}: config", f"is of the family {content['family']!r}, and this is for BIM alone")
        return msgspec.convert(content, BimConfig)
