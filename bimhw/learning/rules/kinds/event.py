"""EventProp, registered for `bimhw train --rule eventprop`: offline, by `bimhw.learning.event_form`."""

from __future__ import annotations

from bimhw.learning.rules.registry import LearningRule, register_rule
from bimhw.models.event.config import FAMILY

register_rule(
    LearningRule(
        "eventprop",
        "the exact gradient of spike times, offline (Wunderlich and Pehle 2021)",
        family=FAMILY,
        loops=True,
        settings=(),
    )
)
