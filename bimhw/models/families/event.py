"""Networks learnt by spike times: LIF layers with exponential currents, and a readout without a threshold."""

from __future__ import annotations

from bimhw.models.event.config import FAMILY, EventConfig, parameter_shapes
from bimhw.models.registry import ModelFamily, by_shapes, later, register

register(
    ModelFamily(
        FAMILY, "networks learnt by spike times", EventConfig, later("bimhw.frontends.event:event_network"),
        later("bimhw.models.event.net:EventNet"),
        by_shapes(parameter_shapes), training=later("bimhw.learning.families:event"),
    )
)  # fmt: skip
