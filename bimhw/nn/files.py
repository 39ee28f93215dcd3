"""Save a stack of `bimhw.nn` in one file that every command takes, and load it back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
from torch import nn

from bimhw.frontends.chain import flat_layers
from bimhw.models.bim.module import BimModule
from bimhw.models.io import load_arrays, write_contents
from bimhw.models.registry import Arrays
from bimhw.models.stack_config import StackConfig
from bimhw.models.stack_files import KINDS, LayerKind, build_neuron, build_stack, residual_kind, stack_config
from bimhw.models.tensors import unwrapped
from bimhw.nn.bim import BIM
from bimhw.nn.neurons import IF, LI, LIF, CubaLIF
from simulator.base.errors import InputError


def save(
    net: nn.Module, path: str | Path, *, input_shape: tuple[int, ...] | None = None, input_scale: float = 1.0
) -> Path:
    """Save a stack as a model file (.pt or .safetensors): layers and options as text, tensors beside them, no code.

    Args:
        net: a BIM layer, or a chain of layers that a chip can run (`bimhw.frontends.chain`).
        path: the suffix chooses the format.
        input_shape: of one sample and step, where the first layer does not tell it.
        input_scale: the stack was trained on a task's integer payloads times this.

    Raises:
        InputError: a layer without a stored form, or a path that cannot be written.
    """
    net = unwrapped(net)
    layers: list[nn.Module] = [net] if isinstance(net, BimModule) else [layer for _, layer in flat_layers(net)]
    config = stack_config(layers, input_shape, input_scale)
    return write_contents(path, msgspec.json.encode(config).decode(), nn.Sequential(*layers).state_dict())


def load(path: str | Path) -> nn.Sequential:
    """Load a stack that `save` wrote, as modules of `bimhw.nn`.

    Raises:
        InputError: no such file, or a model of another kind.
    """
    config, arrays = load_arrays(path)
    if not isinstance(config, StackConfig):
        raise InputError(str(path), "is no stack of layers", "Load it with bimhw.load_model")
    return stored_module(config, arrays)


def stored_module(config: StackConfig, arrays: Arrays) -> nn.Sequential:
    """Return the stack of a config and its checked arrays, as modules of `bimhw.nn`."""
    return build_stack(config, arrays, "stack", _KINDS)


def _here(kind: LayerKind) -> LayerKind:
    if kind.kind == "BIM":
        return replace(kind, build=lambda o: BIM(**o))
    own = {c.__name__: c for c in (IF, LIF, CubaLIF, LI)}
    return replace(kind, build=build_neuron(own[kind.kind])) if kind.kind in own else kind


_KINDS = [_here(kind) for kind in KINDS if kind.kind != "Residual"]
_KINDS.append(residual_kind(_KINDS[:]))
