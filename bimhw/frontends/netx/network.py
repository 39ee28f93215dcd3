"""A netx file as an integer network, in the arithmetic of Lava's fixed-point neurons (`bimhw.frontends.netx.neurons`).

Weights are the file's. A spike reaches the next layer one step later. A layer's delays are axonal: its spikes arrive so many
steps later. `refDelay` is not used, as lava-dl's own netx does not use it.
Source: the format's description in lava-dl (BSD-3-Clause), netx/README.md and hdf5.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bimhw.frontends.netx.layers import AGAIN, Layer, Shape, Synapses, conv, dense, numbers, pool, shape_of
from bimhw.frontends.netx.neurons import Neurons, is_sigma_delta, neurons_of, spread
from mapping.network import Network
from mapping.words import narrowed, value_bits
from simulator.base.arrays import I64
from simulator.base.errors import InputError
from simulator.base.hdf5 import Tree, read_tree
from simulator.base.names import INPUT_MODEL
from simulator.base.reading import boundary
from simulator.program.graph import Population, Projection

_READERS = {"dense": dense, "conv": conv, "pool": pool}
_INPUT_NEURONS = "input_neurons"
_NOT_READ = {
    "average": "averages over neurons, which is decoding: cut it off and decode the last layer's spikes",
    "concat": "joins layers, which is not read yet",
    "convT": "is a transposed convolution, which is not read yet",
    "unpool": "is unpooling, which is not read yet",
}


@dataclass(frozen=True, eq=False)
class _Made:
    """State behind the layers read so far."""

    population: Population
    shape: Shape
    delays: I64
    neurons: Neurons | None = None


def netx_network(path: Path) -> Network:
    """Read a netx file.

    Raises:
        InputError: not HDF5, no layers, a layer or neuron that is not read (named), sizes that do not meet.
        MissingExtraError: h5py is not installed.
    """
    tree = read_tree(path)
    with boundary(path, "a netx file", AGAIN):
        layers = _layers(tree, str(path))
        return _network(layers, path)


def _layers(tree: Tree, where: str) -> list[Layer]:
    found = tree.get("layer")
    if not isinstance(found, dict) or sorted(found, key=_number) != [str(k) for k in range(len(found))] or not found:
        raise InputError(where, "has no layers 0, 1, 2 ... (group 'layer')", AGAIN)
    return [found[str(k)] for k in range(len(found))]


def _number(name: str) -> int:
    return int(name) if name.isdecimal() else -1


def _network(layers: list[Layer], path: Path) -> Network:
    notes: list[str] = []
    made: list[_Made] = []
    projections: list[Projection] = []
    for k, layer in enumerate(layers):
        kind, where = str(layer.get("type", "")), f"{path}: layer {k}"
        if kind == "flatten":
            continue
        if kind == "input" and not made:
            made, feed = _input(layer, where)
        elif kind in _READERS:
            made = made or [_source(layer, where)]
            feed = _READERS[kind](layer, made[-1].shape, where)
            made.append(_neurons(layer, f"{kind}{k}", feed.shape, made[-1].population.layer + 1, where, notes))
        else:
            raise InputError(where, f"of type {kind!r} {_NOT_READ.get(kind, 'is not known here')}", "Export without it")
        if feed is not None:
            projections += _projections(made[-2], made[-1].population, feed)
    if not projections:
        raise InputError(str(path), "has no layer with weights", AGAIN)
    populations = [_waiting(m, made) for m in made]
    populations[-1] = replace(populations[-1], role="output")
    return Network("integer", tuple(populations), tuple(projections), _meta(made, path, notes))


def _waiting(one: _Made, made: list[_Made]) -> Population:
    """Return sigma-delta neurons that begin a step later behind an input layer of neurons: its values take a step to it."""
    p = one.population
    if p.model != "sigma_delta" or made[1].population.name != _INPUT_NEURONS:
        return p
    return replace(p, params={**p.params, "wait": np.asarray(1, np.int32)})


def _meta(made: list[_Made], path: Path, notes: list[str]) -> dict[str, object]:
    """Return how the host feeds and reads the network."""
    meta: dict[str, object] = {"source": path.name}
    formats = {m.population.name: dict(m.neurons.formats) for m in made if m.neurons is not None and m.neurons.formats}
    if formats:
        meta["formats"] = formats
    if len(made) > 1 and made[1].population.name in formats:
        meta["input"] = {"population": made[0].population.name, "once": True}
        notes.append("sigma-delta: the input brings the changes of its values, so a still one comes once")
    last = made[-1]
    if last.neurons is not None and last.neurons.output is not None:
        meta["exits"] = [
            {"name": "output", "population": last.population.name, "state": last.neurons.output, "reduce": "mean"}
        ]
    return meta | ({"notes": notes} if notes else {})


def _plain_input(shape: Shape) -> _Made:
    size = int(np.prod(shape))
    return _Made(Population("input", INPUT_MODEL, size, role="input", shape=shape), shape, np.zeros(size, np.int64))


def _source(layer: Layer, where: str) -> _Made:
    """Return the input of a first layer with weights, which states its size."""
    if "inFeatures" not in layer:
        raise InputError(where, "is the first layer and does not tell the shape of its input", "Export an input layer")
    return _plain_input((int(numbers(layer, "inFeatures", where).reshape(-1)[0]), 1, 1))


def _input(layer: Layer, where: str) -> tuple[list[_Made], Synapses | None]:
    """Make an input layer: spikes as they come, or neurons fed with 2 w x - w + bias of the values x."""
    shape = shape_of(layer, where)
    if "neuron" not in layer:
        return [_plain_input(shape)], None
    weight = int(numbers(layer, "weight", where).reshape(-1)[0]) if "weight" in layer else 64
    bias = int(numbers(layer, "bias", where).reshape(-1)[0]) if "bias" in layer else 0
    neuron, graded = layer["neuron"], is_sigma_delta(layer)
    decays = not graded and isinstance(neuron, dict) and int(numbers(neuron, "iDecay", where).reshape(-1)[0]) != 4096
    if bias != weight and decays:
        problem = "adds a constant to a current that decays slowly, which a bias of the membrane cannot do"
        raise InputError(where, problem, "Export with iDecay 4096 in the input layer, or without its neurons")
    size = int(np.prod(shape))
    shifted = dict(layer) | {"bias": np.full(size, bias - weight)}
    made = _neurons(shifted, _INPUT_NEURONS, shape, 1, where, [], is_input=True)
    one = np.arange(size)
    return [_plain_input(shape), made], Synapses(one, one, np.full(size, 2 * weight), shape)


def _neurons(
    layer: Layer, name: str, shape: Shape, depth: int, where: str, notes: list[str], is_input: bool = False
) -> _Made:
    size, made = int(np.prod(shape)), neurons_of(layer, shape, where, is_input)
    neuron = layer["neuron"]
    assert isinstance(neuron, dict)
    if "refDelay" in neuron and np.any(np.asarray(neuron["refDelay"]) > 1):
        notes.append(f"layer {name!r}: refDelay is not used, as lava-dl's netx does not use it")
    delays = numbers(layer, "delay", where).reshape(-1) if "delay" in layer else np.zeros(1, np.int64)
    late = np.full(size, delays[0]) if delays.size == 1 else spread(delays, shape, f"{where}: delay")
    if late.min() < 0:
        raise InputError(f"{where}: delay", f"is {late.min()}; a delay is not negative", AGAIN)
    return _Made(Population(name, made.model, size, made.params, layer=depth, shape=shape), shape, late, made)


def _projections(before: _Made, target: Population, synapses: Synapses) -> Iterator[Projection]:
    """Yield one projection for each delay of the sources."""
    source = before.population
    delays = before.delays[synapses.source]
    for delay in np.unique(delays) if delays.size else []:
        own = np.flatnonzero(delays == delay)
        own = own[np.lexsort((synapses.target[own], synapses.source[own]))]
        stored, exponent = narrowed(synapses.weight[own])
        counts = np.bincount(synapses.source[own], minlength=source.size)
        yield Projection(
            f"{source.name}_{target.name}" + (f"_d{delay}" if delay else ""), source.name, target.name, "in",
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), synapses.target[own].astype(np.int32), stored,
            delay=int(delay), exponent=exponent, weight_bits=value_bits(stored),
        )  # fmt: skip
