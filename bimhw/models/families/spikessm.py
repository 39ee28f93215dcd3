"""P-SpikeSSM networks: stochastic neurons behind linear state spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.models.registry import ModelFamily, by_shapes, later, register
from bimhw.models.spikessm.config import FAMILY, PSpikeConfig, parameter_shapes

if TYPE_CHECKING:
    from bimhw.models.spikessm.net import PSpikeInit, PSpikeNet


def _build(config: PSpikeConfig, seed: int, init: PSpikeInit | None) -> PSpikeNet:
    from bimhw.models.spikessm.net import PSpikeNet

    return PSpikeNet(config, seed, init)


register(
    ModelFamily(
        FAMILY, "P-SpikeSSM networks", PSpikeConfig, later("bimhw.frontends.spikessm:p_spikessm_network"), _build,
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:p_spikessm"),
    )
)  # fmt: skip
