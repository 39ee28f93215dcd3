"""Model files of torch stacks: the layers and their options as a config, the tensors beside it; no code is stored or run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from bimhw.models import stack
from bimhw.models.bim.config import NETWORK_FIELDS
from bimhw.models.bim.module import BimModule
from bimhw.models.config_rules import without_later_fields
from bimhw.models.spikessm.module import PSpikeSSM
from bimhw.models.stack_config import LayerSpec, Options, StackConfig
from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.reading import boundary


@dataclass(frozen=True)
class LayerKind:
    """Storage of one class of layers: its constructor's options from a layer, and the layer from them."""

    kind: str
    cls: type[nn.Module]
    options: Callable[[Any], Options]
    build: Callable[[Options], nn.Module]


def _named(*names: str) -> Callable[[Any], Options]:
    return lambda layer: {name: getattr(layer, name) for name in names}


def _linear(layer: nn.Linear) -> Options:
    return {"in_features": layer.in_features, "out_features": layer.out_features, "bias": layer.bias is not None}


def _conv(layer: Any) -> Options:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    return {name: getattr(layer, name) for name in names} | {"bias": layer.bias is not None}


def _neuron(layer: stack.Neuron) -> Options:
    shapes = {n: None if t is None else list(t.shape) for n, t in layer.named_states()}
    reset, cmp = "soft" if layer.soft else "hard", ">=" if layer.reached else ">"
    return {"shapes": shapes, "reset": reset, "cmp": cmp, "v_reset": layer.v_reset, "width": layer.width}


def build_neuron(cls: type[stack.Neuron]) -> Callable[[Options], nn.Module]:
    """Return the builder of a neuron class: its constants get their shape here and their values from the file."""

    def build(options: Options) -> nn.Module:
        shapes = options.pop("shapes")
        given: dict[str, Any] = {n: None if s is None else torch.zeros(s) for n, s in shapes.items()}
        layer = cls.__new__(cls)
        stack.Neuron.__init__(layer, **given, **options)
        return layer

    return build


def _recurrent(layer: stack.Recurrent) -> Options:
    neuron = _kind_of(layer.neuron)
    assert neuron is not None
    spec = {"kind": neuron.kind, "options": neuron.options(layer.neuron)}
    return {"neuron": spec, "n": layer.weight.in_features, "bias": layer.weight.bias is not None}


def _build_recurrent(options: Options) -> nn.Module:
    neuron = build_layer(msgspec.convert(options["neuron"], LayerSpec), KINDS)
    if not isinstance(neuron, stack.Neuron):
        raise ValueError("a recurrent layer is of neurons")
    return stack.Recurrent(neuron, nn.Linear(options["n"], options["n"], bias=options["bias"]))


def _residual(layer: stack.Residual) -> Options:
    return {"layers": [msgspec.to_builtins(spec) for spec in _specs(list(layer.layers))]}


def residual_kind(kinds: list[LayerKind]) -> LayerKind:
    """Return the storage of residual layers that are made of these kinds, and of residual layers themselves."""

    def build(options: Options) -> nn.Module:
        specs = msgspec.convert(options["layers"], tuple[LayerSpec, ...])
        return stack.Residual(*(build_layer(spec, [*kinds, own]) for spec in specs))

    own = LayerKind("Residual", stack.Residual, _residual, build)
    return own


def _bim(layer: BimModule) -> Options:
    layer.check_own("a file")
    config = msgspec.to_builtins(layer.config)
    own = {k: v for k, v in without_later_fields(config).items() if k not in NETWORK_FIELDS}
    return {"n_in": layer.config.n_in, "hidden": layer.config.hidden[0], "output": layer.output} | own


def _spikessm(layer: PSpikeSSM) -> Options:
    c = layer.config
    sizes = {"n_in": c.n_in, "hidden": c.width, "layers": c.n_layers, "n_states": c.n_states}
    return sizes | {"clamp": c.clamp, "seed": layer.seed}


_POOL = ("kernel_size", "stride", "padding")
KINDS: list[LayerKind] = [
    LayerKind("Linear", nn.Linear, _linear, lambda o: nn.Linear(**o)),
    LayerKind("Conv1d", nn.Conv1d, _conv, lambda o: nn.Conv1d(**o)),
    LayerKind("Conv2d", nn.Conv2d, _conv, lambda o: nn.Conv2d(**o)),
    LayerKind("AvgPool2d", nn.AvgPool2d, _named(*_POOL), lambda o: nn.AvgPool2d(**o)),
    LayerKind("Flatten", nn.Flatten, _named("start_dim", "end_dim"), lambda o: nn.Flatten(**o)),
    LayerKind("Filter", stack.Filter, _named("k"), lambda o: stack.Filter(**o)),
    LayerKind("Recurrent", stack.Recurrent, _recurrent, _build_recurrent),
    LayerKind("BIM", BimModule, _bim, lambda o: BimModule(**o)),
    LayerKind("PSpikeSSM", PSpikeSSM, _spikessm, lambda o: PSpikeSSM(**o)),
    *(LayerKind(c.__name__, c, _neuron, build_neuron(c)) for c in (stack.CubaLIF, stack.LIF, stack.IF, stack.LI)),
]
KINDS.append(residual_kind(KINDS[:]))


def stack_config(layers: list[nn.Module], input_shape: tuple[int, ...] | None, input_scale: float) -> StackConfig:
    """Return the config of a flat stack.

    Raises:
        InputError: a layer that has no stored form, by its class.
    """
    return StackConfig(layers=tuple(_specs(layers)), input_shape=input_shape, input_scale=input_scale)


def _specs(layers: list[nn.Module]) -> list[LayerSpec]:
    specs = []
    for i, layer in enumerate(layers):
        kind = _kind_of(layer)
        if kind is None:
            known = ", ".join(k.kind for k in KINDS)
            raise InputError(
                f"layer {i} ({type(layer).__name__})", "cannot be saved as part of a stack", f"Known: {known}"
            )
        specs.append(LayerSpec(kind.kind, kind.options(layer)))
    return specs


def _kind_of(layer: nn.Module) -> LayerKind | None:
    return next((k for k in KINDS if isinstance(layer, k.cls)), None)


def build_stack(
    config: StackConfig, arrays: Mapping[str, Array], where: str, kinds: list[LayerKind] | None = None
) -> nn.Sequential:
    """Return the stack of a config with its weights.

    Args:
        config: of the stack.
        arrays: by name in the stack's state_dict.
        where: the file, for messages.
        kinds: how layers are made; by default the plain modules that a front end reads.

    Raises:
        InputError: a layer that cannot be made, or arrays that are not the config's.
    """
    with boundary(where, "a stack of layers", "Write it with bimhw.nn.save"):
        with torch.device("meta"):  # first without memory: a config may tell sizes that no array has
            _check_shapes(_layers(config, kinds or KINDS), arrays)
        module = _layers(config, kinds or KINDS)
        module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()})
    if not all(bool(torch.isfinite(t).all()) for t in module.state_dict().values()):
        raise InputError(where, "holds NaN or infinite weights", "Training diverged: lower the learning rate")
    return module


def _layers(config: StackConfig, kinds: list[LayerKind]) -> nn.Sequential:
    return nn.Sequential(*(build_layer(spec, kinds) for spec in config.layers))


def _check_shapes(module: nn.Module, arrays: Mapping[str, Array]) -> None:
    for name, tensor in module.state_dict().items():
        if name not in arrays:
            raise ValueError(f"array {name!r} is missing")
        if arrays[name].shape != tuple(tensor.shape):
            raise ValueError(f"array {name!r} has shape {arrays[name].shape}, the config says {tuple(tensor.shape)}")


def build_layer(spec: LayerSpec, kinds: list[LayerKind]) -> nn.Module:
    """Return the layer of a spec, its weights as they are made."""
    for kind in kinds:
        if kind.kind == spec.kind:
            return kind.build({k: tuple(v) if isinstance(v, list) else v for k, v in spec.options.items()})
    raise ValueError(f"layer kind {spec.kind!r} is not known")
