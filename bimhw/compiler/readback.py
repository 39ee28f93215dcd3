"""Weights learnt on the chip back into a model: a program's integers as the floats that they stand for."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from bimhw.models.bim.config import BimConfig, config_from, parameter_shapes
from simulator.base.arrays import Array, Floats
from simulator.base.errors import FitError, InputError
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.layers.net import Layer, filled, learning_net, live_synapses
from simulator.program.program import Program

if TYPE_CHECKING:
    from bimhw.models.bim.net import BimNet

_KEEP = "Keep the program: -o FILE"
Arrays = dict[str, Array]
_PORTS = (("in", "b_z"), ("delta", "b_d"), ("c", "b_c"))  # s6: the first two, and B and C from their own neurons


def read_back(program: Program) -> tuple[BimConfig, Arrays]:
    """Read back the config and arrays of the BIM model that a program computes; pruned synapses become masks.

    Raises:
        InputError: a program that does not say which model it came from.
    """
    if "config" not in program.meta:
        raise InputError("program", "was not compiled from a BIM model, so none can be made of it", _KEEP)
    config = config_from(program.meta["config"], "program")
    if config.channel_delays and len(config.input_delays) > 1:
        raise InputError("program", "has learnt delays behind several taps, which cannot be told apart", _KEEP)
    net = learning_net(program)
    forward = ChipForward(filled(program, net), net, program.facts.formats, program.facts.entry.scale, 0)
    arrays: Arrays = {}
    for k, layer in enumerate(net.layers):
        name, late = layer.population.name, config.longest_delay(k) > 0
        for p, (port, bias) in enumerate(_PORTS[: len(layer.groups[0].projections)]):
            numbers = [g.projections[p] for g in layer.groups]
            arrays |= _port(program, forward, k, port, numbers, late)
            arrays[f"layers.{k}.b_{port}"] = _bias(forward, name, bias)
        arrays[f"layers.{k}.d"] = _bias(forward, name, "D")
        if layer.shared is None:
            arrays[f"layers.{k}.a_log"] = np.zeros(layer.size)
        else:
            shared = _shared(program, forward, k, layer, late)
            arrays |= shared | {f"layers.{k}.a_log": forward.log_rates(k).T}
        if late:
            arrays[f"layers.{k}.delay"] = _shares(forward, layer, config, k)
    heads = [_real(forward, n) for n in net.from_layer if n is not None]
    arrays["readout.weight"] = np.concatenate(heads).T
    arrays["readout.bias"] = _bias(forward, net.readout.name, "b")
    return config, {n: np.ascontiguousarray(v if v.dtype == bool else v.astype(np.float32)) for n, v in arrays.items()}


def _joined(parts: list[Array], late: bool) -> Array:
    """Return the lines of a layer [M, ..] from those of its groups; `late`: a source has synapses in one group alone."""
    return np.asarray(reduce(np.add, parts)) if late else np.concatenate(parts)


def _shares(forward: ChipForward, layer: Layer, config: BimConfig, k: int) -> Floats:
    """Return the learnt delay of each source of layer `k` as a share of the longest; 0 where all its weights are 0."""
    own = [g.delay - (layer.shared is not None) - (config.input_delays[0] if k == 0 else 0) for g in layer.groups]
    used = [np.any([forward.weights[n].any(axis=1) for n in g.projections], axis=0) for g in layer.groups]
    return np.asarray(np.max(np.array(own)[:, None] * np.array(used), axis=0) / config.longest_delay(k))


def check_delays(program: Program, rule: str) -> None:
    """Raise `FitError` for a rule that changes layers whose inputs have learnt delays: its errors would reach wrong steps."""
    if rule == "frozen" or "config" not in program.meta:
        return
    model = config_from(program.meta["config"], "program")
    if model.hidden_delays or model.channel_delays:
        raise FitError(
            f"rule {rule!r} on the chip",
            "does not know layers whose inputs have learnt delays",
            "Train on the host (bimhw train --rule bptt), learn only the readout (--rule frozen), or learn by a rule file",
        )


def _port(program: Program, forward: ChipForward, k: int, port: str, numbers: list[int], late: bool) -> Arrays:
    """Read back the weights of a port of layer `k`, and the mask of its synapses where some are absent."""
    arrays: Arrays = {f"layers.{k}.w_{port}": _joined([_real(forward, n) for n in numbers], late).T}
    live = _joined([live_synapses(program, n) for n in numbers], late).T
    return arrays if live.all() else arrays | {f"layers.{k}.mask_{port}": live}


def _shared(program: Program, forward: ChipForward, k: int, layer: Layer, late: bool) -> Arrays:
    """Read back B and C of an s6 layer, which lie in one matrix of their neurons."""
    assert layer.shared is not None
    both = _port(program, forward, k, "", [g.shared for g in layer.groups], late)
    both[f"layers.{k}.b_"] = _bias(forward, layer.shared.name, "b")
    n = layer.states
    return {
        f"{name}{port}": v[rows] for name, v in both.items() for port, rows in (("b", slice(n)), ("c", slice(n, None)))
    }


def model_of(program: Program) -> BimNet:
    """Return the torch module with a program's weights; save it with `bimhw.save_model`."""
    import torch

    from bimhw.models.bim.net import BimNet

    config, arrays = read_back(program)
    model = BimNet(config)
    for name, mask in arrays.items():
        if ".mask_" in name:
            model.add_mask(name, torch.from_numpy(mask))
    assert set(parameter_shapes(config)) <= set(arrays)
    model.load_state_dict({n: torch.from_numpy(v) for n, v in arrays.items()})
    return model


def _real(forward: ChipForward, k: int) -> Floats:
    return np.asarray(forward.weights[k] * forward.units[k])


def _bias(forward: ChipForward, population: str, name: str) -> Floats:
    row, unit = forward.bias(population, name)
    return np.asarray(row * unit)
