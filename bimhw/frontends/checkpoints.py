"""Trained models of any family (`.pt`, `.safetensors`, modules in memory) -> float network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bimhw.frontends import bim
from bimhw.frontends import spikessm as p_spikessm
from bimhw.models.bim.config import BimConfig
from bimhw.models.io import load_arrays
from mapping.network import Network
from simulator.base.reading import boundary

if TYPE_CHECKING:
    from bimhw.models.nets import Net


def load_checkpoint(path: Path) -> Network:
    """The float network of a model file; errors as in `bimhw.models.io.load_arrays`."""
    config, arrays = load_arrays(path)
    with boundary(path, "a model that a chip can run", "Its config holds values out of any use: train it again"):
        if isinstance(config, BimConfig):
            return bim.bim_network(config, arrays)
        return p_spikessm.p_spikessm_network(config, arrays)


def module_network(model: Net) -> Network:
    """The float network of a model in memory."""
    from bimhw.models.bim.net import BimNet

    return bim.module_network(model) if isinstance(model, BimNet) else p_spikessm.module_network(model)
