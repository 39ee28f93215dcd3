"""Trained models of any family (`.pt`, `.safetensors`, modules in memory) -> float network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from bimhw.models.io import load_arrays
from bimhw.models.registry import Arrays, NetConfig, family_of
from bimhw.models.tensors import as_array
from mapping.network import Network
from simulator.base.reading import boundary

if TYPE_CHECKING:
    from torch import nn


def load_checkpoint(path: Path) -> Network:
    """Return the float network of a model file; errors as in `bimhw.models.io.load_arrays`."""
    config, arrays = load_arrays(path)
    with boundary(path, "a model that a chip can run", "Its config holds values out of any use: train it again"):
        return family_of(config).network(config, arrays)


def module_network(model: nn.Module) -> Network:
    """Return the float network of a module in memory, whose ``config`` tells its family."""
    config = cast("NetConfig", model.config)
    arrays: Arrays = {name: as_array(value) for name, value in model.state_dict().items()}
    family = family_of(config)
    family.check(config, arrays, "model")
    return family.network(config, arrays)
