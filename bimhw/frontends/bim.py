"""BIM models (`.pt`, `.safetensors`) -> float network.

Layer l (counted from 1) becomes the population ``layer<l>``, the readout the population ``readout``; projections that skip
steps are delayed so that all paths of a step meet (the float model and the chip are equal under a shift of steps: l for
layer l, L + 1 for the readout). Layer l of kind ``s6`` takes two steps: ``layer<l>.bc`` computes B and C of the whole layer
and sends them to ``layer<l>`` as graded spikes, whose other inputs wait for them (shifts 2 l, and 2 L + 1 for the readout).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bimhw.frontends.model_meta import INPUT, READOUT, model_meta
from mapping.network import Network
from simulator.base.arrays import I64, Array, Floats
from simulator.base.errors import FitError
from simulator.base.names import INPUT_MODEL
from simulator.neurons import bim_complex, bim_d, s6
from simulator.program.graph import Population, Projection, dense_to_csr

if TYPE_CHECKING:
    from bimhw.models.bim.config import BimConfig

Arrays = Mapping[str, Array]
_PORTS = {"s6": (("z", "w_in"), ("d", "w_delta"))}
_OWN_PORTS = (("z", "w_in"), ("d", "w_delta"), ("c", "w_c"))  # of the kinds whose neurons own all their parameters
_STEPS = {"diag": 1, "complex": 1, "s6": 2}  # chip steps of a layer
_LONGEST_WAIT = 63  # a word of 6 bits


def layer_name(layer: int) -> str:
    """Return the population of the layer with this 0-based index."""
    return f"layer{layer + 1}"


def shared_name(layer: int) -> str:
    """Return the population of the projections B and C of the ``s6`` layer with this 0-based index."""
    return f"{layer_name(layer)}.bc"


def bim_network(config: BimConfig, arrays: Arrays) -> Network:
    """Return the float network of a BIM model.

    Raises:
        FitError: a part of the model that has no lowering.
    """
    _check_supported(config)
    arrays = {k: v if v.dtype == np.bool_ else v.astype(np.float64) for k, v in arrays.items()}
    populations = [Population(INPUT, INPUT_MODEL, config.n_in, role="input", shape=(config.n_in,))]
    projections: list[Projection] = []
    for layer in range(config.n_layers):
        if config.kind == "s6":
            populations.append(_shared(config, arrays, layer))
            projections += _into_shared(config, arrays, layer)
        populations.append(_layer(config, arrays, layer))
        projections += _into_layer(config, arrays, layer)
    populations.append(_readout(config, arrays))
    projections += _into_readout(config, arrays)
    return Network("float", tuple(populations), tuple(projections), model_meta("bim", config))


def layer_network(config: BimConfig, arrays: Arrays) -> Network:
    """Return the float network of one layer without a readout: its spikes (or membranes) are the output.

    Args:
        config: of one layer.
        arrays: its parameters by their names in the layer (``w_in``, ``mask_in``, ...).
    """
    _check_supported(config)
    arrays = {f"layers.0.{name}": value for name, value in arrays.items()}
    populations = [Population(INPUT, INPUT_MODEL, config.n_in, role="input", shape=(config.n_in,))]
    projections: list[Projection] = []
    if config.kind == "s6":
        populations.append(_shared(config, arrays, 0))
        projections += _into_shared(config, arrays, 0)
    populations.append(replace(_layer(config, arrays, 0), role="output"))
    projections += _into_layer(config, arrays, 0)
    meta = {"kind": "bim", "input": {"population": INPUT, "scale": config.input_scale}}
    return Network("float", tuple(populations), tuple(projections), meta)


def readout_network(weight: Array, bias: Array, k: float) -> Network:
    """Return the float network of a readout alone: W of a leaky average (decay k) of its inputs, plus a bias."""
    n_out, n_in = weight.shape
    entry = Population(INPUT, INPUT_MODEL, n_in, role="input", shape=(n_in,))
    params = {"b": bias, "k": np.asarray(k, np.float64)}
    readout = Population(READOUT, "readout_li", n_out, params, layer=1, role="output", shape=(n_out,))
    into = _dense(f"{READOUT}.{INPUT}", INPUT, READOUT, "in", weight, 0)
    meta = {"input": {"population": INPUT, "scale": 1.0}, "output": {"population": READOUT, "state": "y"}}
    return Network("float", (entry, readout), (into,), meta)


def _check_supported(config: BimConfig) -> None:
    if config.n_states > s6.MOST_STATES:
        raise FitError("model n_states", f"is {config.n_states}, a neuron has at most {s6.MOST_STATES}", "Train fewer")
    if _number(config, config.n_layers - 1) > _LONGEST_WAIT:
        most = _LONGEST_WAIT // _STEPS[config.kind]
        raise FitError(
            "model layers",
            f"are {config.n_layers}, and a neuron waits for at most {_LONGEST_WAIT} steps for its first input",
            f"Train at most {most} layers",
        )


def _layer(config: BimConfig, arrays: Arrays, layer: int) -> Population:
    k, size = config.constants(), config.hidden[layer]
    own = {name: arrays[f"layers.{layer}.{name}"] for name in ("b_in", "b_delta", "b_c", "a_log", "d")}
    graded, adaptive = config.reads_membrane(layer), config.adapt_beta > 0
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
    params |= {"b_z": own["b_in"], "b_d": own["b_delta"], "D": own["d"]}
    if config.kind == "diag":
        params |= {"b_c": own["b_c"], "a": np.exp(own["a_log"])}
        model = bim_d.model_name(config.psp, adaptive, graded)
    elif config.kind == "complex":
        params |= {"b_c": own["b_c"], "a": np.exp(own["a_log"])} | _complex_params(config, arrays, layer)
        model = bim_complex.model_name(config.psp, adaptive, graded)
    else:
        params |= {f"l{n}": own["a_log"][:, n] for n in range(config.n_states)}
        params["zoh"] = np.asarray(config.discretisation == "zoh", np.float64)
        model = s6.model_name(config.discretisation, config.psp, config.n_states, adaptive, graded)
    return Population(layer_name(layer), model, size, params, layer=_number(config, layer), shape=(size,))


def _complex_params(config: BimConfig, arrays: Arrays, layer: int) -> dict[str, Floats]:
    """Return rotation and gain of a ``complex`` layer, with its norm folded into the neurons' constants."""
    from bimhw.models.bim.complex_state import fold

    prefix = f"layers.{layer}."
    own = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    turn = {"turn_cos": np.cos(own["omega"]), "turn_sin": np.sin(own["omega"])}
    variance = np.asarray(config.state_gain == "variance", np.float64)
    return turn | fold(own, config.norm == "batch") | {"variance": variance}


def _number(config: BimConfig, layer: int) -> int:
    """Return the steps by which the chip is later than the model at this 0-based layer."""
    return _STEPS[config.kind] * (layer + 1)


def _shared(config: BimConfig, arrays: Arrays, layer: int) -> Population:
    """Return the neurons of B_0 .. B_N-1, C_0 .. C_N-1 of an ``s6`` layer."""
    bias = np.concatenate([arrays[f"layers.{layer}.{name}"] for name in ("b_b", "b_c")])
    size = 2 * config.n_states
    number = _number(config, layer) - 1
    return Population(shared_name(layer), s6.PROJECT, size, {"b": bias}, layer=number, shape=(size,))


def _into_shared(config: BimConfig, arrays: Arrays, layer: int) -> list[Projection]:
    """Connect W_B and W_C to the shared neurons, and their values to all neurons of the layer, a port for each."""
    matrix = np.concatenate([_masked(arrays, f"layers.{layer}.{name}") for name in ("w_b", "w_c")])
    out = _from_below(config, arrays, layer, shared_name(layer), "in", matrix, 0)
    size, n = config.hidden[layer], config.n_states
    for k, port in enumerate([f"b{i}" for i in range(n)] + [f"c{i}" for i in range(n)]):
        indptr = np.where(np.arange(2 * n + 1) > k, size, 0)
        name = f"{shared_name(layer)}.{port}"
        ones = np.arange(size, dtype=np.int32), np.ones(size)
        out.append(Projection(name, shared_name(layer), layer_name(layer), port, indptr, *ones))
    return out


def _into_layer(config: BimConfig, arrays: Arrays, layer: int) -> list[Projection]:
    out = []
    for port, weight in _PORTS.get(config.kind, _OWN_PORTS):
        matrix = _masked(arrays, f"layers.{layer}.{weight}")
        out += _from_below(config, arrays, layer, layer_name(layer), port, matrix, _STEPS[config.kind] - 1)
    return out


def _from_below(
    config: BimConfig, arrays: Arrays, layer: int, target: str, port: str, matrix: Array, delay: int
) -> list[Projection]:
    """Project a matrix [target, M] from the input's taps, or from the layers below; a projection for each learnt delay."""
    out = []
    taps = config.input_delays if layer == 0 else (0,)
    waits = np.split(_waits(config, arrays, layer), len(taps))
    for tap, block, wait in zip(taps, np.split(matrix, len(taps), axis=1), waits, strict=True):
        name = f"{target}.{port}" + (f".t{tap}" if len(taps) > 1 else "")
        for steps in np.unique(wait):
            own = f"{name}.d{steps}" if config.longest_delay(layer) else name
            rows = np.where(wait == steps, block, 0.0)
            for end, source, late in _sources(config, layer):
                out.append(_dense(own + end, source, target, port, rows, tap + delay + int(steps) + late))
    return out


def _sources(config: BimConfig, layer: int) -> list[tuple[str, str, int]]:
    """Return what sends to a layer: the end of its projections' names, the population, and its lead in chip steps."""
    nearest, *further = config.sources(layer) or (None,)
    if nearest is None:
        return [("", INPUT, 0)]
    skips = [(f".{layer_name(i)}", layer_name(i), _number(config, nearest) - _number(config, i)) for i in further]
    return [("", layer_name(nearest), 0), *skips]


def _waits(config: BimConfig, arrays: Arrays, layer: int) -> I64:
    """Return the learnt delay of each input channel of a layer in steps [M], as `bimhw.models.bim.delays`; 0 without any."""
    longest = config.longest_delay(layer)
    if not longest:
        return np.zeros(config.fan_in(layer), np.int64)
    share = np.clip(arrays[f"layers.{layer}.delay"].astype(np.float32), np.float32(0), np.float32(1))
    return np.asarray(np.rint(share * np.float32(longest)), np.int64)


def _masked(arrays: Arrays, name: str) -> Array:
    mask = arrays.get(name.replace(".w_", ".mask_"))
    return arrays[name] if mask is None else np.where(mask, arrays[name], 0.0)


def _dense(name: str, source: str, target: str, port: str, matrix: Array, delay: int) -> Projection:
    indptr, indices, weights = dense_to_csr(matrix)
    return Projection(name, source, target, port, indptr, indices, weights, delay)


def _two_filters(config: BimConfig) -> bool:
    """Return whether the readout reads spikes of lower layers and membranes of the top through different filters."""
    return config.readout == "membrane" and len(_read_layers(config)) > 1 and config.k_membrane != config.k_o


def _read_layers(config: BimConfig) -> list[int]:
    return [layer for layer in range(config.n_layers) if config.feeds_readout(layer)]


def _readout(config: BimConfig, arrays: Arrays) -> Population:
    params = {"b": arrays["readout.bias"]}
    if _two_filters(config):
        model = "readout_li_two"
        params |= {"k": np.asarray(config.k_o, np.float64), "k_v": np.asarray(config.k_membrane, np.float64)}
    else:
        model, k = "readout_li", config.k_membrane if config.readout == "membrane" else config.k_o
        params |= {"k": np.asarray(k, np.float64)}
    number = _number(config, config.n_layers - 1) + 1
    return Population(READOUT, model, config.n_out, params, layer=number, role="output", shape=(config.n_out,))


def _into_readout(config: BimConfig, arrays: Arrays) -> list[Projection]:
    layers = _read_layers(config)
    widths = [config.hidden[layer] for layer in layers]
    blocks = np.split(arrays["readout.weight"], np.cumsum(widths)[:-1], axis=1)
    last = _number(config, config.n_layers - 1)
    out = []
    for layer, block in zip(layers, blocks, strict=True):
        port = "membrane" if _two_filters(config) and config.reads_membrane(layer) else "in"
        source, delay = layer_name(layer), last - _number(config, layer)
        out.append(_dense(f"{READOUT}.{source}", source, READOUT, port, block, delay))
    return out
