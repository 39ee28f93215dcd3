"""P-SpikeSSM networks by their authors' definition: clamped samplers around HiPPO-LegS state spaces."""

from __future__ import annotations

from bimhw.models.registry import ModelFamily, by_shapes, later, register
from bimhw.models.spikessm.s4_config import FAMILY, S4SpikeConfig, parameter_shapes

register(
    ModelFamily(
        FAMILY, "P-SpikeSSM networks of S4", S4SpikeConfig, later("bimhw.frontends.spikessm_s4:s4_spike_network"),
        later("bimhw.models.spikessm.s4_net:S4SpikeNet"),
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:p_spikessm_s4"),
    )
)  # fmt: skip
