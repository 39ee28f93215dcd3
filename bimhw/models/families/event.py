"""Networks learnt by spike times: LIF layers with exponential currents, and a readout without a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.models.event.config import FAMILY, EventConfig, parameter_shapes
from bimhw.models.registry import ModelFamily, by_shapes, later, register

if TYPE_CHECKING:
    from bimhw.models.event.net import EventInit, EventNet


def _build(config: EventConfig, seed: int, init: EventInit | None) -> EventNet:
    from bimhw.models.event.net import EventNet

    return EventNet(config, seed, init)


register(
    ModelFamily(
        FAMILY, "networks learnt by spike times", EventConfig, later("bimhw.frontends.event:event_network"), _build,
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:event"),
    )
)  # fmt: skip
