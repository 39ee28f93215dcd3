"""Leaky models (`.pt`, `.safetensors`) -> float network: ``layer<l>`` of LIF or ALIF neurons, ``readout``.

Layer l (from 1) is l steps late. LIF becomes the model ``leaky``, ALIF ``adaptive_lif``, whose decays are in 1/4096.
"""

from __future__ import annotations

import numpy as np

from bimhw.frontends.model_meta import INPUT, READOUT, model_meta
from bimhw.models.leaky.config import LeakyConfig
from bimhw.models.registry import Arrays
from mapping.network import Network
from simulator.base.arrays import AnyFloats, Floats
from simulator.base.names import INPUT_MODEL
from simulator.neurons import leaky
from simulator.program.graph import Population, Projection, dense_to_csr


def leaky_network(config: LeakyConfig, arrays: Arrays) -> Network:
    """Return the float network of a leaky model."""
    populations = [Population(INPUT, INPUT_MODEL, config.n_in, role="input", shape=(config.n_in,))]
    projections = []
    below = INPUT
    for k, size in enumerate(config.hidden):
        name = f"layer{k + 1}"
        populations.append(_layer(config, name, size, k + 1))
        projections.append(_dense(f"{name}.in", below, name, arrays[f"layers.{k}.weight"]))
        if config.recurrent:
            projections.append(_dense(f"{name}.rec", name, name, arrays[f"layers.{k}.recurrent"]))
        below = name
    params = {"b": np.zeros(config.n_out), "k": np.asarray(config.k_o, np.float64)}
    populations.append(
        Population(
            READOUT, "readout_li", config.n_out, params, layer=config.n_layers + 1, role="output", shape=(config.n_out,)
        )
    )
    projections.append(_dense(f"{READOUT}.{below}", below, READOUT, arrays["readout.weight"]))
    return Network("float", tuple(populations), tuple(projections), model_meta(config.family, config))


def _layer(config: LeakyConfig, name: str, size: int, number: int) -> Population:
    if config.adaptive:
        params = {
            "dv": 4096 * (1 - config.keep), "da": 4096 * (1 - config.adapt_keep), "vth": config.theta,
            "jump": config.adapt_jump, "soft": 1.0, "wait": float(number),
        }  # fmt: skip
        return Population(name, "adaptive_lif", size, _filled(params, size), layer=number, shape=(size,))
    params = {
        "keep": config.keep, "bias": 0.0, "theta": config.theta, "v_reset": 0.0, "v_init": 0.0, "v_min": -np.inf,
        "cmp": float(leaky.ABOVE), "reset": float(leaky.SOFT), "fires": 1.0, "sh_out": 0.0, "wait": float(number),
    }  # fmt: skip
    return Population(name, "leaky", size, _filled(params, size), layer=number, shape=(size,))


def _filled(params: dict[str, float], size: int) -> dict[str, Floats]:
    return {name: np.full(size, value) for name, value in params.items()}


def _dense(name: str, source: str, target: str, matrix: AnyFloats) -> Projection:
    return Projection(name, source, target, "in", *dense_to_csr(np.asarray(matrix, np.float64)))
