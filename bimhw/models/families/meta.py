"""Networks of meta-neurons: the constants of a neuron learn beside its weights."""

from __future__ import annotations

from bimhw.models.meta.config import FAMILY, MetaConfig, parameter_shapes
from bimhw.models.registry import ModelFamily, by_shapes, later, register

register(
    ModelFamily(
        FAMILY, "networks of meta-neurons", MetaConfig, later("bimhw.frontends.meta:meta_network"),
        later("bimhw.models.meta.net:MetaNet"),
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:meta"),
    )
)  # fmt: skip
