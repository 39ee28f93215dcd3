"""Weights learnt on the chip back into a model: a program's integers as the floats that they stand for."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from bimhw.frontends.bim import layer_name
from bimhw.frontends.model_meta import INPUT
from bimhw.models.bim.config import BimConfig, config_from, parameter_shapes
from simulator.base.arrays import Array, Floats
from simulator.base.errors import FitError, InputError
from simulator.plasticity.forward import ChipForward
from simulator.plasticity.layers.net import Layer, dense_weights, filled, learning_net, live_synapses
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
    for k, whole in enumerate(net.layers):
        layer = _owned(program, whole, config, k)
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


def _owned(program: Program, layer: Layer, config: BimConfig, k: int) -> Layer:
    """Return layer `k` with the lines of its nearest source alone; in a residual stack all its sources share their weights.

    Raises:
        InputError: synapses of two sources that have learnt apart.
    """
    nearest, *further = [layer_name(i) for i in config.sources(k)] or [INPUT]
    of = {name: [g for g in layer.groups if g.source == name] for name in (nearest, *further)}
    for source in further:
        for a, b in zip(of[nearest], of[source], strict=True):
            pairs = [*zip(a.projections, b.projections, strict=True), (a.shared, b.shared)][
                : None if a.shared >= 0 else -1
            ]
            if not all(np.array_equal(dense_weights(program, p), dense_weights(program, q)) for p, q in pairs):
                problem = (
                    f"its synapses from {nearest!r} and {source!r} differ, and a residual stack has one matrix for both"
                )
                raise InputError(f"program: population {layer.population.name!r}", problem, _KEEP)
    return replace(layer, groups=tuple(of[nearest]))


def _joined(parts: list[Array], late: bool) -> Array:
    """Return the lines of a layer [M, ..] from those of its groups; `late`: a source has synapses in one group alone."""
    return np.asarray(reduce(np.add, parts)) if late else np.concatenate(parts)


def _shares(forward: ChipForward, layer: Layer, config: BimConfig, k: int) -> Floats:
    """Return the learnt delay of each source of layer `k` as a share of the longest; 0 where all its weights are 0."""
    own = [g.delay - (layer.shared is not None) - (config.input_delays[0] if k == 0 else 0) for g in layer.groups]
    used = [np.any([forward.weights[n].any(axis=1) for n in g.projections], axis=0) for g in layer.groups]
    return np.asarray(np.max(np.array(own)[:, None] * np.array(used), axis=0) / config.longest_delay(k))


def check_rule(program: Program, rule: str) -> None:
    """Raise `FitError` for a rule of gradients on layers that it does not know.

    Behind learnt delays its errors would reach wrong steps; in a residual stack the synapses of a layer's sources would part.
    """
    if rule == "frozen" or program.meta.get("kind") != "bim" or "config" not in program.meta:
        return
    model = config_from(program.meta["config"], "program")
    late = model.hidden_delays or model.channel_delays
    if late or model.residual:
        unknown = "layers whose inputs have learnt delays" if late else "residual stacks, whose layers share synapses"
        raise FitError(
            f"rule {rule!r} on the chip",
            f"does not know {unknown}",
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
