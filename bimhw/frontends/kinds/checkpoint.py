"""Trained models of every family: files and modules in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bimhw.frontends.registry import FrontEnd, NoOptions, register
from mapping.network import Network

if TYPE_CHECKING:
    from torch import nn


def _accepts(model: object) -> bool:
    return hasattr(model, "config") and hasattr(model, "state_dict")


def _read(model: Path | nn.Module, options: NoOptions) -> Network:
    from bimhw.frontends.checkpoints import load_checkpoint, module_network

    return load_checkpoint(model) if isinstance(model, Path) else module_network(model)


register(
    FrontEnd(
        "checkpoint", "models of bimhw (.pt, .safetensors, modules)", NoOptions, _read,
        suffixes=(".pt", ".safetensors"), accepts=_accepts, rank=10,
    )
)  # fmt: skip
