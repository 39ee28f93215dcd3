"""Trained models of any family (`.pt`, `.safetensors`, modules in memory) -> float network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bimhw.frontends import bim
from bimhw.frontends import spikessm as p_spikessm
from bimhw.models.bim.config import BimConfig
from bimhw.models.families import config_from, is_stack
from bimhw.models.io import Arrays, check_arrays, read_contents
from mapping.network import Network
from simulator.base.reading import boundary

if TYPE_CHECKING:
    from bimhw.models.nets import Net


def load_checkpoint(path: Path) -> Network:
    """The float network of a model file; errors as in `bimhw.models.io.load_arrays`."""
    content, arrays = read_contents(path)
    if is_stack(content):
        return _stack_network(content, arrays, path)
    config = config_from(content, str(path))
    check_arrays(config, arrays, str(path))
    with boundary(path, "a model that a chip can run", "Its config holds values out of any use: train it again"):
        if isinstance(config, BimConfig):
            return bim.bim_network(config, arrays)
        return p_spikessm.p_spikessm_network(config, arrays)


def _stack_network(content: object, arrays: Arrays, path: Path) -> Network:
    from bimhw.frontends.nn import has_bim, nn_network
    from bimhw.frontends.stack import module_network as plain_network
    from bimhw.models.stack_files import build_stack

    module, config = build_stack(content, arrays, str(path))
    if has_bim(module):
        return nn_network(module, config.input_shape, config.input_scale)
    return plain_network(module, config.input_shape)


def module_network(model: Net) -> Network:
    """The float network of a model in memory."""
    from bimhw.models.bim.net import BimNet

    return bim.module_network(model) if isinstance(model, BimNet) else p_spikessm.module_network(model)
