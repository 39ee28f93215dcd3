"""P-SpikeSSM networks by their authors' definition: clamped samplers around HiPPO-LegS state spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.models.registry import ModelFamily, by_shapes, later, register
from bimhw.models.spikessm.s4_config import FAMILY, S4SpikeConfig, parameter_shapes

if TYPE_CHECKING:
    from bimhw.models.spikessm.s4_net import S4SpikeInit, S4SpikeNet


def _build(config: S4SpikeConfig, seed: int, init: S4SpikeInit | None) -> S4SpikeNet:
    from bimhw.models.spikessm.s4_net import S4SpikeNet

    return S4SpikeNet(config, seed, init)


register(
    ModelFamily(
        FAMILY, "P-SpikeSSM networks of S4", S4SpikeConfig, later("bimhw.frontends.spikessm_s4:s4_spike_network"), _build,
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:p_spikessm_s4"),
    )
)  # fmt: skip
