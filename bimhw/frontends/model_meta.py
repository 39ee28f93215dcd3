"""Facts that the float networks of stored model families share: the names of their ends, and the facts kept beside them."""

from __future__ import annotations

from typing import Protocol

from bimhw.models.registry import config_to_json

INPUT, READOUT = "input", "readout"


class ScaledConfig(Protocol):
    """Config of a family whose input is a task's payloads."""

    @property
    def input_scale(self) -> float:
        """Factor of a task's payloads."""


def model_meta(kind: str, config: ScaledConfig) -> dict[str, object]:
    """Return the facts of a model's network: its config, and the populations where it is fed and read."""
    return {
        "kind": kind,
        "config": config_to_json(config),
        "input": {"population": INPUT, "scale": config.input_scale},
        "output": {"population": READOUT, "state": "y"},
    }
