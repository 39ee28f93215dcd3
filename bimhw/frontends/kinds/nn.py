"""Torch stacks with layers of `bimhw.nn`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from bimhw.frontends.registry import FrontEnd, register
from mapping.network import Network

if TYPE_CHECKING:
    from torch import nn


class NnOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options for reading a torch stack with BIM layers.

    Attributes:
        input_shape: of one sample and step, where the first layer does not tell it.
        input_scale: the stack was trained on a task's integer payloads times this.
    """

    input_shape: tuple[int, ...] | None = None
    input_scale: float = 1.0


def _accepts(model: object) -> bool:
    if "torch" not in sys.modules or not hasattr(model, "named_children"):
        return False
    from bimhw.frontends.nn import has_bim

    return has_bim(model)


def _read(model: nn.Module, options: NnOptions) -> Network:
    from bimhw.frontends.nn import nn_network

    return nn_network(model, options.input_shape, options.input_scale)


register(FrontEnd("nn", "torch stacks with BIM layers", NnOptions, _read, accepts=_accepts, rank=20))
