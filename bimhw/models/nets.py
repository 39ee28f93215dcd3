"""Networks of any family as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from torch import Tensor, nn

from bimhw.models.registry import NetConfig, family_of
from simulator.base.errors import InputError


class NetRun(Protocol):
    """Result of a sequence."""

    @property
    def logits(self) -> Tensor:
        """[T, B, C]."""

    @property
    def spikes(self) -> Sequence[Tensor]:
        """Of each layer, [T, B, H]."""


class Net(nn.Module):
    """A network that a task trains and judges; every family's module inherits from it."""

    config: NetConfig

    def run_samples(self, x: Tensor, first: int = 0, seed: int = 0) -> NetRun:
        """Run the inputs [T, B, n_in] of the samples `first`, `first` + 1 ... from the zero state.

        Neurons that fire at random draw what they draw on the chip when it runs all samples with this seed.
        """
        raise NotImplementedError


def build(config: NetConfig, seed: int = 0, init: msgspec.Struct | None = None) -> Net:
    """Return a network of the config's family with seeded weights.

    Raises:
        InputError: a family that no task trains, or initial scales of another family.
    """
    family = family_of(config)
    training = family.training() if family.training is not None else None
    if init is not None and (training is None or not isinstance(init, training.init)):
        raise InputError("initial weights", f"{type(init).__name__} does not belong to {type(config).__name__}")
    return as_net(family.build(config, seed, init), f"a model of the family {family.name!r}")


def as_net(module: nn.Module, what: str) -> Net:
    """Return the module, for what a task runs.

    Raises:
        InputError: a module of a family that has no such run.
    """
    if not isinstance(module, Net):
        raise InputError(what, "has no run on a task in torch", "Compile it and use simulate")
    return module
