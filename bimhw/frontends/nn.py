"""Torch stacks with BIM layers (`bimhw.nn`) -> float network: BIM layers, plain spiking layers and readouts in any order.

A stack that is a BIM network (BIM layers of equal constants and a linear readout) becomes that of `bimhw.frontends.bim`, so
that it can be read back and learn on the chip. Any other stack is cut into parts, each lowered on its own, and spliced.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec
import numpy as np
from torch import nn

from bimhw.frontends import bim
from bimhw.frontends.chain import flat_layers
from bimhw.frontends.stack import module_network
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.module import BimModule
from bimhw.models.registry import Arrays, family_of
from bimhw.models.spikessm.config import PSpikeConfig
from bimhw.models.spikessm.module import PSpikeSSM
from bimhw.models.stack import Filter, Neuron, Recurrent, Residual
from bimhw.models.stack_config import StackConfig
from bimhw.models.stack_files import build_stack
from bimhw.models.tensors import as_array
from mapping.network import Network
from mapping.splice import splice
from simulator.base.errors import FitError, InputError

Layers = list[tuple[str, nn.Module]]


def has_bim(model: object) -> bool:
    """Return whether a torch module holds a layer of `bimhw.nn` that the plain stacks do not know."""
    own = BimModule | Filter | PSpikeSSM
    return isinstance(model, nn.Module) and any(isinstance(m, own) for m in model.modules())


def stored_network(config: StackConfig, arrays: Arrays) -> Network:
    """Return the float network of a stack that `bimhw.nn.save` wrote."""
    module = build_stack(config, arrays, "stack")
    if has_bim(module):
        return nn_network(module, config.input_shape, config.input_scale)
    return module_network(module, config.input_shape)


def nn_network(model: nn.Module, input_shape: tuple[int, ...] | None = None, input_scale: float = 1.0) -> Network:
    """Return the float network of a stack with BIM layers.

    Args:
        model: a BIM layer, or a chain of BIM layers, filters and what `bimhw.frontends.stack` knows (`bimhw.frontends.chain`).
        input_shape: of one sample and step; needed where the first layer does not tell it.
        input_scale: the stack was trained on integer payloads times this.

    Raises:
        InputError: a scale that is not above 0.
        FitError: a layer or an order of layers that has no form on a chip, by its name.
    """
    if not 0 < input_scale < math.inf:
        raise InputError("input_scale", f"is {input_scale}", "Give a number above 0, such as the task's input_scale")
    layers: Layers = [("bim", model)] if isinstance(model, BimModule | PSpikeSSM) else list(flat_layers(model))
    if any(isinstance(m, PSpikeSSM) for _, m in layers):
        stochastic, arrays = _spikessm_net(layers)
        config = msgspec.structs.replace(stochastic, input_scale=input_scale)
        return family_of(config).network(config, arrays)
    whole = _bim_net(layers)
    if whole is not None:
        return bim.bim_network(msgspec.structs.replace(whole[0], input_scale=input_scale), whole[1])
    network = _spliced(*_unfolded(layers), input_shape)
    entry = {**network.meta["input"], "scale": input_scale}
    return replace(network, meta={**network.meta, "input": entry})


def _bim_net(layers: Layers) -> tuple[BimConfig, dict[str, Any]] | None:
    """Return config and arrays if the stack is a BIM network: spikes between the layers, equal constants, a readout."""
    *hidden, readout = (m for _, m in layers)
    residual = len(hidden) > 2 and all(isinstance(m, Residual) and len(m.layers) == 1 for m in hidden[1:-1])
    if residual:
        hidden[1:-1] = [cast(Residual, m).layers[0] for m in hidden[1:-1]]
    blocks = [m for m in hidden if isinstance(m, BimModule)]
    if not blocks or len(blocks) != len(hidden) or not isinstance(readout, nn.Linear):
        return None
    top = blocks[-1]
    meets = all(a.config.hidden[0] == b.config.n_in for a, b in itertools.pairwise(blocks))
    adds_up = not residual or all(b.config.hidden[0] == b.config.n_in for b in blocks[1:-1])
    if not meets or not adds_up or any(b.output != "spikes" for b in blocks[:-1]):
        return None
    sizes: dict[str, Any] = {"n_in": blocks[0].config.n_in, "hidden": tuple(b.config.hidden[0] for b in blocks)}
    sizes["residual"] = residual
    sizes |= {"k_o": 0.0} if top.output == "spikes" else {}  # the readout reads spikes as they are
    first, *longest = (b.config.channel_delays for b in blocks)
    if len(set(longest)) > 1:
        return None
    undelayed = [msgspec.structs.replace(b.config, channel_delays=0, delay_width=1, learn_delays=True) for b in blocks]
    delays = {"channel_delays": first, "hidden_delays": max(longest, default=0)}
    config = msgspec.structs.replace(undelayed[-1], n_out=readout.out_features, **sizes, **delays)
    own = [msgspec.structs.replace(c, n_in=1, hidden=(1,), k_o=0.0, readout="spike") for c in undelayed]
    if len(set(own)) > 1 or readout.in_features != top.config.hidden[0]:
        return None
    arrays = {f"layers.{i}.{k}": v for i, b in enumerate(blocks) for k, v in _arrays(b).items()}
    return config, arrays | {f"readout.{k}": v for k, v in _readout_arrays(readout).items()}


def _spikessm_net(layers: Layers) -> tuple[PSpikeConfig, dict[str, Any]]:
    """Return config and arrays of a stack that is a P-SpikeSSM network: `PSpikeSSM`, a filter (or none), a linear readout."""
    (_, core), *between, (name, readout) = layers if len(layers) > 1 else [*layers, layers[-1]]
    filters = [m for _, m in between if isinstance(m, Filter)]
    if not isinstance(core, PSpikeSSM) or len(filters) != len(between) or len(filters) > 1:
        raise FitError("stack with a PSpikeSSM", "is no P-SpikeSSM network", _SPIKESSM)
    if not isinstance(readout, nn.Linear) or readout.in_features != core.config.width:
        raise FitError(f"layer {name!r}", f"does not read the {core.config.width} channels of the stream", _SPIKESSM)
    k_o = filters[0].k if filters else 0.0
    config = msgspec.structs.replace(core.config, n_out=readout.out_features, k_o=k_o)
    arrays = _arrays(core) | {f"readout.{k}": v for k, v in _readout_arrays(readout).items()}
    return config, arrays


_SPIKESSM = "Give Sequential(PSpikeSSM(n_in, hidden), Filter(k), torch.nn.Linear(hidden, classes))"


@dataclass(frozen=True)
class _Part:
    """Layers that are lowered together: their places `start` to `end` among all, their name and network."""

    start: int
    end: int
    name: str
    network: Network


Spans = list[tuple[int, int]]


def _unfolded(layers: Layers) -> tuple[Layers, Spans]:
    """Return layers with those of residual layers in their place, and from where to where these lead, the innermost first."""
    flat: Layers = []
    spans: Spans = []
    for name, layer in layers:
        if not isinstance(layer, Residual):
            flat.append((name, layer))
            continue
        inner, within = _unfolded(list(flat_layers(layer.layers, f"{name}.")))
        spans += [(len(flat) + a, len(flat) + b) for a, b in within]
        spans.append((len(flat), len(flat) + len(inner)))
        flat += inner
    return flat, spans


def _spliced(layers: Layers, spans: Spans, input_shape: tuple[int, ...] | None) -> Network:
    """Return the network of layers that are no BIM network together, part by part."""
    parts = list(_parts(layers, input_shape, {at for span in spans for at in span}))
    starts, ends = {p.start: p.name for p in parts}, {p.end: p.name for p in parts}
    around: dict[str, list[str]] = {}
    for start, end in spans:
        around.setdefault(ends[end], []).append(starts[start])
    return splice([(p.name, p.network) for p in parts], around)


def _parts(layers: Layers, input_shape: tuple[int, ...] | None, borders: Set[int]) -> Iterator[_Part]:
    """Yield the parts; none reaches over a border."""
    shape, at = input_shape, 0
    while at < len(layers):
        name, layer = layers[at]
        if isinstance(layer, BimModule):
            yield _Part(at, at + 1, name, bim.layer_network(layer.config, _arrays(layer)))
            shape, at = (layer.config.hidden[0],), at + 1
            if layer.output != "spikes":
                k = layer.config.k_membrane if layer.output == "membrane" else layer.config.k_o
                yield _readout(layers, at, name, k)
                at += 1
        elif isinstance(layer, Filter):
            yield _readout(layers, at + 1, name, layer.k)
            at += 2
        else:
            cut = (
                i for i in range(at, len(layers)) if i in borders - {at} or isinstance(layers[i][1], BimModule | Filter)
            )
            end = next(cut, len(layers))
            part, last = _unflattened(layers[at:end], shape), end == len(layers)
            if last and at and len(part) == 1 and isinstance(part[0][1], nn.Linear):
                yield _readout(layers, end - 1, name, 0.0)
            elif part:
                network = module_network(_named(part), shape)
                if not last and not isinstance(part[-1][1], Neuron | Recurrent):
                    raise FitError(f"layer {part[-1][0]!r}", "gives no spikes to the layer behind it", _SPIKES)
                yield _Part(at, end, name, network)
                shape = next(p.shape for p in network.populations if p.role == "output")
            at = end


def _unflattened(part: Layers, shape: tuple[int, ...] | None) -> Layers:
    """Return a part without a Flatten at its end, and at its beginning where the values are one row already."""
    while part and isinstance(part[-1][1], nn.Flatten):
        part = part[:-1]
    while part and isinstance(part[0][1], nn.Flatten) and shape is not None and len(shape) == 1:
        part = part[1:]
    return part


def _named(part: Layers) -> nn.Sequential:
    """Return layers as one module that keeps their names."""
    return nn.Sequential(OrderedDict((name.replace(".", "/"), m) for name, m in part))


_SPIKES = "Put a neuron layer (nn.LIF, nn.BIM) between a linear layer and the next, or fold the two linear layers"


def _readout(layers: Layers, at: int, name: str, k: float) -> _Part:
    """Return the part of a linear readout of a filter: it must be the last layer."""
    if at != len(layers) - 1 or not isinstance(layers[at][1], nn.Linear):
        raise FitError(
            f"layer {name!r}",
            "gives filtered values, which a chip forms in the readout neurons alone",
            "Let it give spikes (output='spikes'), or put a last torch.nn.Linear behind it",
        )
    arrays = _readout_arrays(layers[at][1])
    return _Part(at, at + 1, layers[at][0], bim.readout_network(arrays["weight"], arrays["bias"], k))


def _arrays(layer: nn.Module) -> dict[str, Any]:
    if isinstance(layer, BimModule):
        layer.check_own("a chip")
    state = {k: as_array(v) for k, v in layer.state_dict().items()}
    return {k: v if v.dtype == np.bool_ else v.astype(np.float64) for k, v in state.items()}


def _readout_arrays(layer: nn.Module) -> dict[str, Any]:
    assert isinstance(layer, nn.Linear)
    weight = as_array(layer.weight).astype(np.float64)
    bias: Any = layer.bias  # None without bias, whatever torch's types say
    return {"weight": weight, "bias": np.zeros(len(weight)) if bias is None else as_array(bias).astype(np.float64)}
