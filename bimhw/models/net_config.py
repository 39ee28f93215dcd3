"""Fields that every config of a trained network has."""

from __future__ import annotations

from typing import Protocol


class NetConfig(Protocol):
    """Config of a network that a task trains and judges; `input_scale` times a task's payloads are its inputs."""

    @property
    def n_in(self) -> int:
        """Input channels."""

    @property
    def n_out(self) -> int:
        """Classes."""

    @property
    def input_scale(self) -> float:
        """Factor of the payloads."""

    @property
    def hidden(self) -> tuple[int, ...]:
        """Neurons of each layer."""

    @property
    def n_layers(self) -> int:
        """Number of layers."""
