"""Plain torch stacks (Linear, Conv1d, Conv2d, AvgPool2d, Flatten and the neurons of `bimhw.models.stack`) -> float network.

The stack becomes a graph of NIR's stateless nodes with our neurons between them, and is folded and put on chip time as a
.nir file is; the neurons' parameters are taken as they are, so that the network computes what torch computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from bimhw.frontends.chain import flat_layers
from bimhw.frontends.nir.dynamics import spread
from bimhw.frontends.nir.graph import Edge, NirGraph, Node
from bimhw.frontends.nir.lower import FormOf, NeuronForm, leaky_form, lower, outline
from bimhw.frontends.nir.profile import Profile, Settings
from bimhw.frontends.nir.read import build_graph
from bimhw.models.stack import Neuron, Recurrent, Residual
from bimhw.models.tensors import as_array
from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.errors import FitError, InputError
from simulator.neurons import leaky

Fields = dict[str, Any]
INPUT, OUTPUT = "input", "output"
_SUPPORTED = "Linear, Conv1d, Conv2d, AvgPool2d, Flatten, Identity, Dropout, Sequential and bimhw.models.stack"


def module_network(module: nn.Module, input_shape: tuple[int, ...] | None = None) -> Network:
    """Return the float network of a torch stack.

    Args:
        module: ``torch.nn.Sequential`` (or `Stack`) of the supported layers, in evaluation as it is.
        input_shape: of one sample and step; by default the stack's own, or the width of a first Linear.

    Raises:
        FitError: a layer that has no form on a chip, by its name.
        InputError: no input shape, or layers whose shapes do not meet.
    """
    graph, forms = module_graph(module, input_shape)
    return lower(graph, Profile("torch", Settings(1.0)), forms)


def module_outline(module: nn.Module, input_shape: tuple[int, ...] | None = None) -> Network | None:
    """Return the network of a torch stack with its convolutions counted, not unrolled, where that saves much, else None."""
    graph, forms = module_graph(module, input_shape)
    return outline(graph, Profile("torch", Settings(1.0)), forms)


def module_graph(module: nn.Module, input_shape: tuple[int, ...] | None = None) -> tuple[NirGraph, dict[str, FormOf]]:
    """Return the stack as a graph, and for each neuron a function from its node and bias to its form on a chip."""
    layers = list(flat_layers(module))
    shape = input_shape or getattr(module, "input_shape", None) or _first_width(layers)
    drawn = _Drawn({INPUT: ("Input", {"shape": np.array(shape)})})
    last = drawn.chain(layers, [INPUT])
    drawn.nodes[OUTPUT] = ("Output", {})
    drawn.connect(last, OUTPUT)
    return build_graph(drawn.nodes, drawn.edges, type(module).__name__), drawn.forms


@dataclass
class _Drawn:
    """A graph as it is drawn: nodes and edges, and the forms of its neurons."""

    nodes: dict[str, tuple[str, Fields]]
    edges: list[Edge] = field(default_factory=list)
    forms: dict[str, FormOf] = field(default_factory=dict)

    def connect(self, sources: list[str], target: str) -> None:
        """Let a node read the sum of others."""
        self.edges += [(source, target) for source in sources]

    def chain(self, layers: Iterable[tuple[str, nn.Module]], read: list[str]) -> list[str]:
        """Draw layers one after another from the nodes that the first one reads; return those that the next one reads."""
        for name, layer in layers:
            if isinstance(layer, Residual):
                read = [*read, *self.chain(flat_layers(layer.layers, f"{name}."), read)]
                continue
            neuron = layer.neuron if isinstance(layer, Recurrent) else layer
            if isinstance(neuron, Neuron):
                self.nodes[name] = _placeholder(neuron)
                self.forms[name] = _form_of(neuron)
            else:
                self.nodes[name] = _node(name, layer)
            self.connect(read, name)
            if isinstance(layer, Recurrent):
                self.nodes[f"{name}.weight"] = _linear(layer.weight)
                self.edges += [(name, f"{name}.weight"), (f"{name}.weight", name)]
            read = [name]
        return read


def _first_width(layers: list[tuple[str, nn.Module]]) -> tuple[int, ...]:
    if layers and isinstance(layers[0][1], Residual):
        return _first_width(list(flat_layers(layers[0][1].layers)))
    if layers and isinstance(layers[0][1], nn.Linear):
        return (layers[0][1].in_features,)
    raise InputError(
        "torch stack", "does not tell the shape of its input", "Give input_shape=(channels, height, width)"
    )


def _array(tensor: Any) -> Floats:
    out: Floats = as_array(tensor).astype(np.float64)
    return out


def _linear(layer: nn.Linear) -> tuple[str, Fields]:
    bias: Any = layer.bias  # None without bias, whatever torch's types say
    if bias is None:
        return "Linear", {"weight": _array(layer.weight)}
    return "Affine", {"weight": _array(layer.weight), "bias": _array(bias)}


def _node(name: str, layer: nn.Module) -> tuple[str, Fields]:
    """Return the NIR node of a stateless layer."""
    if isinstance(layer, nn.Linear):
        return _linear(layer)
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return _conv(name, layer)
    if isinstance(layer, nn.AvgPool2d):
        return _pool(name, layer)
    if isinstance(layer, nn.Flatten):
        return "Flatten", {"start_dim": _without_batch(layer.start_dim), "end_dim": _without_batch(layer.end_dim)}
    raise FitError(f"layer {name!r} ({type(layer).__name__})", "has no form on a chip", f"Known: {_SUPPORTED}")


def _without_batch(dim: int) -> int:
    return dim - 1 if dim > 0 else dim


def _conv(name: str, layer: nn.Conv1d | nn.Conv2d) -> tuple[str, Fields]:
    if layer.padding_mode != "zeros":
        raise FitError(f"layer {name!r}", f"pads with {layer.padding_mode!r}", "Use padding_mode 'zeros'")
    fields: Fields = {"weight": _array(layer.weight), "groups": layer.groups, "padding": layer.padding}
    fields |= {"stride": np.array(layer.stride), "dilation": np.array(layer.dilation)}
    if layer.bias is not None:
        fields["bias"] = _array(layer.bias)
    return f"Conv{layer.weight.ndim - 2}d", fields


def _pool(name: str, layer: nn.AvgPool2d) -> tuple[str, Fields]:
    padded = np.any(np.asarray(layer.padding) != 0)
    if layer.ceil_mode or layer.divisor_override or (padded and not layer.count_include_pad):
        raise FitError(f"layer {name!r}", "averages over windows of different sizes", "Use the defaults of AvgPool2d")
    fields = {k: np.asarray(getattr(layer, k)) for k in ("kernel_size", "stride", "padding")}
    return "AvgPool2d", fields


def _placeholder(neuron: Neuron) -> tuple[str, Fields]:
    """Return a node of the neuron's shape; its parameters are in its form."""
    shapes = [tuple(t.shape) for t in (neuron.keep, neuron.theta, neuron.keep_u) if t is not None]
    r = np.ones(np.broadcast_shapes(*shapes))
    return ("I", {"r": r}) if neuron.theta is None else ("IF", {"r": r, "v_threshold": np.ones_like(r)})


def _form_of(neuron: Neuron) -> FormOf:
    def form(node: Node, bias: Floats) -> NeuronForm:
        def flat(tensor: Any) -> Floats:
            return spread(_array(tensor), node.in_shape).reshape(-1)

        fires = neuron.theta is not None
        more: dict[str, Any] = {
            "fires": float(fires),
            "cmp": leaky.REACHED if neuron.reached and fires else leaky.ABOVE,
        }
        if fires:
            reset = leaky.SOFT if neuron.soft else leaky.HARD
            more |= {"theta": flat(neuron.theta), "reset": reset, "v_reset": neuron.v_reset}
        keep = flat(neuron.keep)
        if neuron.keep_u is None:
            return leaky_form("leaky" if fires else "leaky_graded", keep, np.ones(bias.size), bias, **more)
        model = "leaky_cuba" if fires else "leaky_cuba_graded"
        more |= {"keep_u": flat(neuron.keep_u), "bias_u": bias}
        return leaky_form(model, keep, np.ones(bias.size), np.zeros(bias.size), **more)

    return form
