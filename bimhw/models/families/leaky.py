"""Leaky networks: LIF or ALIF layers, recurrent or not, with a filtered readout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.models.leaky.config import FAMILY, LeakyConfig, parameter_shapes
from bimhw.models.registry import ModelFamily, by_shapes, later, register

if TYPE_CHECKING:
    from bimhw.models.leaky.net import LeakyInit, LeakyNet


def _build(config: LeakyConfig, seed: int, init: LeakyInit | None) -> LeakyNet:
    from bimhw.models.leaky.net import LeakyNet

    return LeakyNet(config, seed, init)


register(
    ModelFamily(
        FAMILY, "leaky networks", LeakyConfig, later("bimhw.frontends.leaky:leaky_network"), _build,
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:leaky"),
    )
)  # fmt: skip
