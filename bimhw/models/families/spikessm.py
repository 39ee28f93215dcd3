"""P-SpikeSSM networks: stochastic neurons behind linear state spaces."""

from __future__ import annotations

from bimhw.models.registry import ModelFamily, by_shapes, later, register
from bimhw.models.spikessm.config import FAMILY, PSpikeConfig, parameter_shapes

register(
    ModelFamily(
        FAMILY, "P-SpikeSSM networks", PSpikeConfig, later("bimhw.frontends.spikessm:p_spikessm_network"),
        later("bimhw.models.spikessm.net:PSpikeNet"),
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:p_spikessm"),
    )
)  # fmt: skip
