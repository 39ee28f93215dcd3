"""BIM networks: selective state spaces with spiking neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.models.bim.config import BimConfig, mask_shapes, parameter_shapes
from bimhw.models.registry import Arrays, ModelFamily, by_shapes, later, load_arrays_into, register

if TYPE_CHECKING:
    from bimhw.models.bim.net import BimNet


_build = later("bimhw.models.bim.net:BimNet")


def _load(config: BimConfig, arrays: Arrays) -> BimNet:
    import torch

    net: BimNet = _build(config, 0, None)
    for name in mask_shapes(config):
        if name in arrays:
            net.add_mask(name, torch.from_numpy(arrays[name].copy()))
    load_arrays_into(net, arrays)
    return net


register(
    ModelFamily(
        "bim", "BIM networks", BimConfig, later("bimhw.frontends.bim:bim_network"), _build,
        by_shapes(parameter_shapes, mask_shapes), _load, later("bimhw.learning.families:bim"),
    )
)  # fmt: skip
