"""Leaky networks: LIF or ALIF layers, recurrent or not, with a filtered readout."""

from __future__ import annotations

from bimhw.models.leaky.config import FAMILY, LeakyConfig, parameter_shapes
from bimhw.models.registry import ModelFamily, by_shapes, later, register

register(
    ModelFamily(
        FAMILY, "leaky networks", LeakyConfig, later("bimhw.frontends.leaky:leaky_network"),
        later("bimhw.models.leaky.net:LeakyNet"),
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:leaky"),
    )
)  # fmt: skip
