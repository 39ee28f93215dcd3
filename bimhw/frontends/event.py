"""Models learnt by spike times (`.pt`, `.safetensors`) -> float network: ``layer<l>`` and ``readout``, all ``leaky_cuba``.

Layer l (from 1) is l steps late. Weights are scaled by gamma, so that the current is what it adds to the membrane in a step.
"""

from __future__ import annotations

import numpy as np

from bimhw.frontends.model_meta import INPUT, READOUT, model_meta
from bimhw.models.event.config import EventConfig
from bimhw.models.registry import Arrays
from mapping.network import Network
from simulator.base.names import INPUT_MODEL
from simulator.neurons import leaky
from simulator.program.graph import Population, Projection, dense_to_csr


def event_network(config: EventConfig, arrays: Arrays) -> Network:
    """Return the float network of a model learnt by spike times."""
    populations = [Population(INPUT, INPUT_MODEL, config.n_in, role="input", shape=(config.n_in,))]
    projections, below = [], INPUT
    layers = [(f"layer{k + 1}", f"layers.{k}.weight", size) for k, size in enumerate(config.hidden)]
    for number, (name, weight, size) in enumerate([*layers, (READOUT, "readout.weight", config.n_out)], 1):
        populations.append(_layer(config, name, size, number))
        matrix = config.gain * np.asarray(arrays[weight], np.float64)
        projections.append(Projection(f"{name}.in", below, name, "in", *dense_to_csr(matrix)))
        below = name
    meta = model_meta(config.family, config) | {"output": {"population": READOUT, "state": "v"}}
    return Network("float", tuple(populations), tuple(projections), meta)


def _layer(config: EventConfig, name: str, size: int, number: int) -> Population:
    keep, keep_u = config.keeps
    reads = name == READOUT
    params = {
        "keep": keep, "keep_u": keep_u, "bias": 0.0, "bias_u": 0.0, "theta": config.theta, "v_reset": 0.0, "v_init": 0.0,
        "v_min": -np.inf, "cmp": float(leaky.REACHED), "reset": float(leaky.NONE if reads else leaky.HARD),
        "fires": float(not reads), "sh_out": 0.0, "wait": float(number),
    }  # fmt: skip
    filled = {key: np.full(size, value) for key, value in params.items()}
    if reads:
        return Population(name, "leaky_cuba_graded", size, filled, layer=number, role="output", shape=(size,))
    return Population(name, "leaky_cuba", size, filled, layer=number, shape=(size,))
