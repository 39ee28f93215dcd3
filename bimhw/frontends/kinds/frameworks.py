"""Modules with neuron layers of snnTorch, SpikingJelly, Norse, sinabs and Rockpool, read by a run on a sample."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from bimhw.frontends.registry import FrontEnd, register
from mapping.network import Network

if TYPE_CHECKING:
    from torch import nn


class FrameworkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for reading a module of a framework.

    Attributes:
        sample: input as its forward takes it; [T, B, ...] for a module that does one step a call. Several inputs are a tuple,
            or a dict by their names.
        time_axis: axis of time in the sample, where it is not the framework's own.
    """

    sample: Any = None
    time_axis: int | None = None


def _accepts(model: object) -> bool:
    if "torch" not in sys.modules or not hasattr(model, "named_children"):
        return False
    from bimhw.frontends.frameworks.module import is_framework_module

    return is_framework_module(model)


def _read(model: nn.Module, options: FrameworkOptions) -> Network:
    from bimhw.frontends.frameworks.module import module_network

    return module_network(model, options.sample, options.time_axis)


def _outline(model: nn.Module, options: FrameworkOptions) -> Network | None:
    from bimhw.frontends.frameworks.module import module_outline

    return module_outline(model, options.sample, options.time_axis)


register(
    FrontEnd(
        "frameworks",
        "modules of snnTorch, SpikingJelly, Norse, sinabs or Rockpool",
        FrameworkOptions,
        _read,
        accepts=_accepts,
        rank=10,
        outline=_outline,
    )
)
