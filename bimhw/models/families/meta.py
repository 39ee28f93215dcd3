"""Networks of meta-neurons: the constants of a neuron learn beside its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.models.meta.config import FAMILY, MetaConfig, parameter_shapes
from bimhw.models.registry import ModelFamily, by_shapes, later, register

if TYPE_CHECKING:
    from bimhw.models.meta.net import MetaInit, MetaNet


def _build(config: MetaConfig, seed: int, init: MetaInit | None) -> MetaNet:
    from bimhw.models.meta.net import MetaNet

    return MetaNet(config, seed, init)


register(
    ModelFamily(
        FAMILY, "networks of meta-neurons", MetaConfig, later("bimhw.frontends.meta:meta_network"), _build,
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:meta"),
    )
)  # fmt: skip
