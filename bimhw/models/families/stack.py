"""Torch stacks of layers: any order of the layers that `bimhw.models.stack_files` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.models.registry import Arrays, ModelFamily, later, register
from bimhw.models.stack_config import FAMILY, StackConfig
from simulator.base.reading import boundary

if TYPE_CHECKING:
    from torch import nn


def _build(config: StackConfig, seed: int, init: None) -> nn.Sequential:
    import torch

    from bimhw.models.stack_files import KINDS, build_layer

    torch.manual_seed(seed)
    with boundary("stack", "a stack of layers", "Write it with bimhw.nn.save"):
        return torch.nn.Sequential(*(build_layer(spec, KINDS) for spec in config.layers))


def _check(config: StackConfig, arrays: Arrays, where: str) -> None:
    from bimhw.models.stack_files import build_stack

    build_stack(config, arrays, where)


register(
    ModelFamily(
        FAMILY, "stacks of layers", StackConfig, later("bimhw.frontends.nn:stored_network"), _build, _check,
        later("bimhw.nn.files:stored_module"),
    )
)  # fmt: skip
