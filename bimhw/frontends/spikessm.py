"""P-SpikeSSM models (`.pt`, `.safetensors`) -> float network.

The encoder becomes the population ``encoder``, layer l (counted from 1) ``layer<l>`` (state space and SpikeSampler) and
``layer<l>.fuse`` (ClampFuse). The SpikeMixer is the projection of a layer's binary spikes to its ``fuse`` neurons; the residual
stream goes from one ``fuse`` population to the next, neuron by neuron, as graded spikes, delayed by the step that the layer
between them takes. Shifts against the model's steps: 1 for the encoder, 2 l and 2 l + 1 for layer l, 2 L + 2 for the readout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bimhw.frontends.model_meta import INPUT, READOUT, model_meta
from bimhw.models.spikessm.config import PSpikeConfig
from mapping.network import Network
from simulator.base.arrays import Array, Floats
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.neurons.p_spike_ssm import CLAMP_FUSE, model_name
from simulator.program.graph import Population, Projection, dense_to_csr

if TYPE_CHECKING:
    pass

Arrays = Mapping[str, Array]
ENCODER = "encoder"
_LONGEST_WAIT = 63  # a word of 6 bits


def layer_name(layer: int) -> str:
    """Return the population of the stochastic neurons of the layer with this 0-based index."""
    return f"layer{layer + 1}"


def fuse_name(layer: int) -> str:
    """Return the population that holds the residual stream behind this 0-based layer; -1: the encoder."""
    return f"{layer_name(layer)}.fuse" if layer >= 0 else ENCODER


def p_spikessm_network(config: PSpikeConfig, arrays: Arrays) -> Network:
    """Return the float network of a P-SpikeSSM model.

    Raises:
        FitError: more layers than a neuron's waiting word can count.
    """
    if config.latency(config.n_layers) > _LONGEST_WAIT:
        raise FitError(
            "model layers",
            f"are {config.n_layers}, and a neuron waits for at most {_LONGEST_WAIT} steps for its first input",
            f"Train at most {(_LONGEST_WAIT - 2) // 2} layers",
        )
    arrays = {k: v.astype(np.float64) for k, v in arrays.items()}
    populations = [
        Population(INPUT, INPUT_MODEL, config.n_in, role="input", shape=(config.n_in,)),
        _fuse(config, -1, arrays["encoder.bias"]),
    ]
    projections = [_dense(f"{ENCODER}.in", INPUT, ENCODER, "in", arrays["encoder.weight"])]
    for layer in range(config.n_layers):
        own = {name.split(".")[2]: v for name, v in arrays.items() if name.startswith(f"layers.{layer}.")}
        populations += [_neurons(config, layer, own), _fuse(config, layer, own["b_mix"])]
        name, above, below = layer_name(layer), fuse_name(layer), fuse_name(layer - 1)
        projections += [
            _one_to_one(f"{name}.in", below, name, "in", config.width, 0),
            _dense(f"{name}.mixer", name, above, "in", own["w_mix"]),
            _one_to_one(f"{name}.residual", below, above, "res", config.width, 1),
        ]
    populations.append(_readout(config, arrays))
    top = fuse_name(config.n_layers - 1)
    projections.append(_dense(f"{READOUT}.in", top, READOUT, "in", arrays["readout.weight"]))
    return Network("float", tuple(populations), tuple(projections), model_meta(config.family, config))


def poles(own: Arrays) -> tuple[npt.NDArray[np.complex128], Floats]:
    """Return lambda and gamma [H, N] of a layer from its parameters; see `bimhw.models.spikessm.net`."""
    step = np.exp(own["log_step"])[:, None]
    log_size = -step * np.exp(own["log_decay"])
    return np.exp(log_size + 1j * step * own["frequency"]), np.sqrt(-np.expm1(2 * log_size))


def _neurons(config: PSpikeConfig, layer: int, own: Arrays) -> Population:
    lam, gamma = poles(own)
    params = {"b": own["b_spike"], "D": own["d"]}
    for n in range(config.n_states):
        params |= {f"lr{n}": lam.real[:, n], f"li{n}": lam.imag[:, n], f"g{n}": gamma[:, n]}
        params |= {f"cr{n}": own["c_re"][:, n], f"ci{n}": own["c_im"][:, n]}
    size, number = config.width, config.latency(layer)
    return Population(layer_name(layer), model_name(config.n_states), size, params, layer=number, shape=(size,))


def _fuse(config: PSpikeConfig, layer: int, bias: Array) -> Population:
    params = {"b": bias, "kappa": np.asarray(config.clamp, np.float64)}
    size, number = config.width, config.latency(layer) + 1
    return Population(fuse_name(layer), CLAMP_FUSE, size, params, layer=number, shape=(size,))


def _readout(config: PSpikeConfig, arrays: Arrays) -> Population:
    params = {"b": arrays["readout.bias"], "k": np.asarray(config.k_o, np.float64)}
    number, size = config.latency(config.n_layers), config.n_out
    return Population(READOUT, "readout_li", size, params, layer=number, role="output", shape=(size,))


def _dense(name: str, source: str, target: str, port: str, matrix: Array) -> Projection:
    return Projection(name, source, target, port, *dense_to_csr(matrix))


def _one_to_one(name: str, source: str, target: str, port: str, size: int, delay: int) -> Projection:
    ones = np.arange(size + 1, dtype=np.int64), np.arange(size, dtype=np.int32), np.ones(size)
    return Projection(name, source, target, port, *ones, delay)
