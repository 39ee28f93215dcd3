"""A network that a task trains and judges, as a torch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from bimhw.models.net_config import NetConfig


class NetRun(Protocol):
    """Result of a sequence."""

    @property
    def logits(self) -> Tensor:
        """[T, B, C]."""

    @property
    def spikes(self) -> Sequence[Tensor]:
        """Spikes of each layer, [T, B, H]."""


class Net(nn.Module):
    """A network that a task trains and judges; every family's module inherits from it."""

    config: NetConfig

    def run_samples(self, x: Tensor, first: int = 0, seed: int = 0) -> NetRun:
        """Run the inputs [T, B, n_in] of the samples `first`, `first` + 1 ... from the zero state.

        Neurons that fire at random draw what they draw on the chip when it runs all samples with this seed.
        """
        raise NotImplementedError
