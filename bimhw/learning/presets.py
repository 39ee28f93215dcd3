"""Tested settings by name."""

from __future__ import annotations

from typing import Any

import msgspec


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of `BimConfig`, `TrainSettings` and `Init` that differ from their defaults."""

    config: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    init: dict[str, Any] = {}


# The setting whose accuracy is known from elsewhere: one layer of 64, 8 epochs, Adam at .006.
LEVEL = Preset(config={"hidden": (64,)})

# The demonstration's network: some 15 s of one core.
DEMO = Preset(
    config={"hidden": (128,), "psp": "delta", "surrogate_width": 1.5},
    settings={"epochs": 25, "lr": 0.012, "lr_end": 0.02},
)

PRESETS = {"level": LEVEL, "demo": DEMO}
