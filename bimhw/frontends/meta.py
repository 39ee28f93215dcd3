"""Models of meta-neurons (`.pt`, `.safetensors`) -> float network: ``layer<l>``, ``complexity`` for ``lz76``, ``readout``.

Layer l (from 1) is l steps late. With the readout ``lz76`` each neuron of the top layer has a neuron that counts the phrases of
its train, and sends the count to the readout in every step.
"""

from __future__ import annotations

import numpy as np

from bimhw.frontends.model_meta import INPUT, READOUT, model_meta
from bimhw.models.meta.config import MetaConfig
from bimhw.models.registry import Arrays
from mapping.network import Network
from simulator.base.arrays import AnyFloats
from simulator.base.names import INPUT_MODEL
from simulator.neurons.lz76 import model_name
from simulator.neurons.meta_neuron import LEARNT, META
from simulator.program.graph import Population, Projection, dense_to_csr

COMPLEXITY = "complexity"


def meta_network(config: MetaConfig, arrays: Arrays) -> Network:
    """Return the float network of a model of meta-neurons."""
    populations = [Population(INPUT, INPUT_MODEL, config.n_in, role="input", shape=(config.n_in,))]
    projections, below = [], INPUT
    for k, size in enumerate(config.hidden):
        name = f"layer{k + 1}"
        params = {key: np.asarray(arrays[f"layers.{k}.{key}"], np.float64) for key in ("bias", *LEARNT)}
        params |= {"chance": np.asarray(config.transmit), "sh_h": np.asarray(float(config.sh_h))}
        populations.append(Population(name, META, size, params, layer=config.latency(k), shape=(size,)))
        projections.append(_dense(below, name, arrays[f"layers.{k}.weight"]))
        below = name
    k_o, size = config.k_o, config.hidden[-1]
    if config.readout == "lz76":
        model = model_name(config.longest + 2)  # the program runs on until the readout has seen the last step
        populations.append(Population(COMPLEXITY, model, size, layer=config.n_layers + 1, shape=(size,)))
        projections.append(_dense(below, COMPLEXITY, np.eye(size)))
        below, k_o = COMPLEXITY, 0.0
    params = {"b": np.asarray(arrays["readout.bias"], np.float64), "k": np.asarray(k_o)}
    number = config.readout_latency
    populations.append(
        Population(READOUT, "readout_li", config.n_out, params, layer=number, role="output", shape=(config.n_out,))
    )
    projections.append(_dense(below, READOUT, arrays["readout.weight"]))
    return Network("float", tuple(populations), tuple(projections), model_meta(config.family, config))


def _dense(source: str, target: str, matrix: AnyFloats) -> Projection:
    return Projection(f"{target}.in", source, target, "in", *dense_to_csr(np.asarray(matrix, np.float64)))
