"""Torch stacks of layers and the neurons of `bimhw.models.stack`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bimhw.frontends.registry import FrontEnd, register
from mapping.network import Network

if TYPE_CHECKING:
    from torch import nn


class StackOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for reading a torch stack.

    Attributes:
        input_shape: of one sample and step, where the first layer does not tell it.
    """

    input_shape: tuple[int, ...] | None = None


def _accepts(model: object) -> bool:
    return hasattr(model, "named_children") and not hasattr(model, "config")


def _read(model: nn.Module, options: StackOptions) -> Network:
    from bimhw.frontends.stack import module_network

    return module_network(model, options.input_shape)


def _outline(model: nn.Module, options: StackOptions) -> Network | None:
    from bimhw.frontends.stack import module_outline

    return module_outline(model, options.input_shape)


register(FrontEnd("stack", "torch stacks", StackOptions, _read, accepts=_accepts, outline=_outline))
