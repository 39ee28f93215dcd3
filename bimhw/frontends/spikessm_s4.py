"""P-SpikeSSM models by their authors' definition (`.pt`, `.safetensors`) -> float network.

Layer l (from 1) becomes ``layer<l>.sampler`` (norm, affine and SpikeSampler) and ``layer<l>`` (state space, GELU, affine and
SpikeSampler). With ``fuse`` the stream is in ``encoder`` and ``layer<l>.mixer`` and travels as graded spikes, one to one.
Without, encoder and mixer are the projections onto the next sampler: all spikes are binary but those of the last ``mixer``.
Batch norm and affine become gain and shift of the sampler.
"""

from __future__ import annotations

import numpy as np

from bimhw.frontends.model_meta import INPUT, READOUT, model_meta
from bimhw.frontends.spikessm import _dense, _one_to_one, layer_name
from bimhw.models.registry import Arrays
from bimhw.models.spikessm.legs import discretise
from bimhw.models.spikessm.s4_config import S4SpikeConfig
from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.neurons.p_spike_s4 import FUSE, MEAN, MODE_PARAMS, SAMPLER, model_name
from simulator.program.graph import Population, Projection

_LONGEST_WAIT = 63  # a word of 6 bits
_EPSILON = 1e-5  # below the root of the norm


def s4_spike_network(config: S4SpikeConfig, arrays: Arrays) -> Network:
    """Return the float network of a model.

    Raises:
        FitError: more layers than a neuron's waiting word can count.
    """
    if config.readout_latency > _LONGEST_WAIT:
        rule = f"are {config.n_layers}, and a neuron waits for at most {_LONGEST_WAIT} steps for its first input"
        raise FitError("model layers", rule, "Train fewer layers")
    arrays = {k: v.astype(np.float64) for k, v in arrays.items()}
    populations = [Population(INPUT, INPUT_MODEL, config.n_in, role="input", shape=(config.n_in,))]
    projections: list[Projection] = []
    below = _Below(INPUT, arrays["encoder.weight"], arrays["encoder.bias"], False)
    if config.fuse:
        below = below.stream(config, "encoder", 1, populations, projections)
    for i in range(config.n_layers):
        own = {name.split(".")[2]: v for name, v in arrays.items() if name.startswith(f"layers.{i}.")}
        name, late = layer_name(i), config.latency(i)
        sampler = f"{name}.sampler"
        populations.append(_sampler(config, sampler, late, own, below))
        projections.append(below.into(sampler))
        populations.append(_state_space(config, name, late + 1, own))
        projections.append(_one_to_one(f"{name}.in", sampler, name, "in", config.width, 0))
        mixer = _Below(name, own["w_mix"], own["b_mix"], True)
        if config.fuse or i == config.n_layers - 1:
            residual = below.source if config.fuse else ""
            below = mixer.stream(config, f"{name}.mixer", late + 2, populations, projections, residual)
        else:
            below = mixer
    bias, matrix = arrays["readout.bias"] / config.steps, arrays["readout.weight"] / config.steps
    late = config.readout_latency
    populations.append(
        Population(READOUT, MEAN, config.n_out, {"b": bias}, layer=late, role="output", shape=(config.n_out,))
    )
    projections.append(_dense(f"{READOUT}.in", below.source, READOUT, "in", matrix))
    return Network("float", tuple(populations), tuple(projections), model_meta(config.family, config))


class _Below:
    """Input of a layer: a linear map of a population's spikes, GELU of it or not; one to one where it has no matrix."""

    def __init__(self, source: str, matrix: Floats | None, bias: Floats, gelu: bool) -> None:
        self.source, self.matrix, self.bias, self.gelu = source, matrix, bias, gelu

    def into(self, target: str) -> Projection:
        """Return the projection onto a population."""
        if self.matrix is None:
            return _one_to_one(f"{target}.in", self.source, target, "in", self.bias.size, 0)
        return _dense(f"{target}.in", self.source, target, "in", self.matrix)

    def stream(
        self,
        config: S4SpikeConfig,
        name: str,
        layer: int,
        populations: list[Population],
        projections: list[Projection],
        residual: str = "",
    ) -> _Below:
        """Add the population that holds the stream behind this map; return what reads it."""
        params = {"b": self.bias, "gelu": np.asarray(float(self.gelu))}
        populations.append(Population(name, FUSE, config.width, params, layer=layer, shape=(config.width,)))
        projections.append(self.into(name))
        if residual:  # it skips a sampler and a state space
            projections.append(_one_to_one(f"{name}.residual", residual, name, "res", config.width, 2))
        return _Below(name, None, np.zeros(config.width), False)


def _sampler(config: S4SpikeConfig, name: str, layer: int, own: Arrays, below: _Below) -> Population:
    scale = own["norm_gain"] / np.sqrt(own["norm_var"] + _EPSILON)
    params = {
        "b": below.bias,
        "gelu": np.asarray(float(below.gelu)),
        "gain": scale * own["a_in"],
        "shift": own["norm_bias"] + scale * (own["b_in"] - own["norm_mean"]),
    }
    return Population(name, SAMPLER, config.width, params, layer=layer, shape=(config.width,))


def _state_space(config: S4SpikeConfig, name: str, layer: int, own: Arrays) -> Population:
    poles = -np.exp(own["log_decay"]) + 1j * own["frequency"]
    p, b, c = (own[f"{n}_re"] + 1j * own[f"{n}_im"] for n in ("p", "in", "c"))
    step = discretise(poles, p, b, np.exp(own["log_step"]))
    params = {"D": own["d"], "gain": own["a_out"], "shift": own["b_out"]}
    values = (step.e, step.q, step.p, step.b, 2 * c)
    for m in range(config.n_states // 2):
        parts = [part for value in values for part in (value[:, m].real, value[:, m].imag)]
        params |= {f"{word}{m}": part for word, part in zip(MODE_PARAMS, parts, strict=True)}
    size = config.width
    return Population(name, model_name(config.n_states // 2), size, params, layer=layer, shape=(size,))
