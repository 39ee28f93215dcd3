"""BIM models (`.pt`, `.safetensors`) -> float network.

Layer l (counted from 1) becomes the population ``layer<l>``, the readout the population ``readout`` of layer L + 1; the
projections of lower layers to the readout are delayed so that all paths of a step meet (the float model and the chip
are equal under the shift of l steps).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mapping.network import Network
from simulator.errors import FitError
from simulator.graph import INPUT_MODEL, Population, Projection, dense_to_csr
from simulator.neurons.bim_d import model_name

if TYPE_CHECKING:
    from bimhw.models.config import BimConfig
    from bimhw.models.net import BimNet

Arrays = Mapping[str, npt.NDArray[Any]]
_PORTS = (("z", "w_in"), ("d", "w_delta"), ("c", "w_c"))
INPUT, READOUT = "input", "readout"


def layer_name(layer: int) -> str:
    """Population of the layer with this 0-based index."""
    return f"layer{layer + 1}"


def load_bim(path: Path) -> Network:
    """The float network of a model file; errors as in `bimhw.models.io.load_arrays`."""
    from bimhw.models.io import load_arrays

    return bim_network(*load_arrays(path))


def module_network(model: BimNet) -> Network:
    """The float network of a BIM model in memory."""
    from bimhw.models.io import check_arrays

    arrays = {k: v.detach().cpu().numpy() for k, v in model.state_dict().items()}
    check_arrays(model.config, arrays, "model")
    return bim_network(model.config, arrays)


def bim_network(config: BimConfig, arrays: Arrays) -> Network:
    """The float network of a BIM model.

    Raises:
        FitError: a part of the model that has no lowering.
    """
    _check_supported(config)
    arrays = {k: v if v.dtype == np.bool_ else v.astype(np.float64) for k, v in arrays.items()}
    populations = [Population(INPUT, INPUT_MODEL, config.n_in, role="input", shape=(config.n_in,))]
    projections: list[Projection] = []
    for layer in range(config.n_layers):
        populations.append(_layer(config, arrays, layer))
        projections += _into_layer(config, arrays, layer)
    populations.append(_readout(config, arrays))
    projections += _into_readout(config, arrays)
    return Network("float", tuple(populations), tuple(projections), _meta(config))


def _check_supported(config: BimConfig) -> None:
    if config.kind != "diag":
        raise FitError(f"model kind {config.kind!r}", "has no lowering yet", "Use kind 'diag' (BIM-D)")
    if config.readout == "membrane" and config.dense_readout and config.k_membrane != config.k_o:
        raise FitError(
            "model readout",
            f"filters the membrane with k_membrane = {config.k_membrane} and lower layers with k_o = {config.k_o}, "
            "but a readout neuron has one filter",
            "Train with k_membrane = k_o, or without dense_readout",
        )


def _layer(config: BimConfig, arrays: Arrays, layer: int) -> Population:
    k, size = config.constants(), config.hidden[layer]
    own = {name: arrays[f"layers.{layer}.{name}"] for name in ("b_in", "b_delta", "b_c", "a_log", "d")}
    graded = config.reads_membrane(layer)
    scalars = {
        "theta": config.theta,
        "n_ref": config.refractory,
        "hard": config.reset == "hard",
        "kap": k.kap,
        "rho": k.rho,
        "b": k.b,
        "p_vi": k.p_vi,
        "p_vr": k.p_vr,
        "gain": k.p_vi * k.c if config.psp == "delta" else k.c,
        "beta": config.adapt_beta,
        "rho_a": config.adapt_rho,
        "graded": graded,
    }
    params = {name: np.asarray(value, np.float64) for name, value in scalars.items()}
    params |= {"b_z": own["b_in"], "b_d": own["b_delta"], "b_c": own["b_c"], "D": own["d"], "a": np.exp(own["a_log"])}
    model = model_name(config.psp, config.adapt_beta > 0, graded)
    return Population(layer_name(layer), model, size, params, layer=layer + 1, shape=(size,))


def _into_layer(config: BimConfig, arrays: Arrays, layer: int) -> list[Projection]:
    out = []
    taps = config.input_delays if layer == 0 else (0,)
    source = INPUT if layer == 0 else layer_name(layer - 1)
    for port, weight in _PORTS:
        matrix = _masked(arrays, f"layers.{layer}.{weight}")
        for tap, block in zip(taps, np.split(matrix, len(taps), axis=1), strict=True):
            name = f"{layer_name(layer)}.{port}" + (f".t{tap}" if len(taps) > 1 else "")
            out.append(_dense(name, source, layer_name(layer), port, block, tap))
    return out


def _masked(arrays: Arrays, name: str) -> npt.NDArray[Any]:
    mask = arrays.get(name.replace(".w_", ".mask_"))
    return arrays[name] if mask is None else np.where(mask, arrays[name], 0.0)


def _dense(name: str, source: str, target: str, port: str, matrix: npt.NDArray[Any], delay: int) -> Projection:
    indptr, indices, weights = dense_to_csr(matrix)
    return Projection(name, source, target, port, indptr, indices, weights, delay)


def _readout(config: BimConfig, arrays: Arrays) -> Population:
    k = config.k_membrane if config.readout == "membrane" else config.k_o
    params = {"b": arrays["readout.bias"], "k": np.asarray(k, np.float64)}
    return Population(
        READOUT, "readout_li", config.n_out, params, layer=config.n_layers + 1, role="output", shape=(config.n_out,)
    )


def _into_readout(config: BimConfig, arrays: Arrays) -> list[Projection]:
    layers = [layer for layer in range(config.n_layers) if config.feeds_readout(layer)]
    widths = [config.hidden[layer] for layer in layers]
    blocks = np.split(arrays["readout.weight"], np.cumsum(widths)[:-1], axis=1)
    return [
        _dense(f"{READOUT}.{layer_name(layer)}", layer_name(layer), READOUT, "in", block, config.n_layers - 1 - layer)
        for layer, block in zip(layers, blocks, strict=True)
    ]


def _meta(config: BimConfig) -> dict[str, Any]:
    from bimhw.models.config import config_to_json

    return {
        "kind": "bim",
        "config": config_to_json(config),
        "input": {"population": INPUT, "scale": config.input_scale},
        "output": {"population": READOUT, "state": "y"},
    }
