"""Build a network of any family as a torch module."""

from __future__ import annotations

import msgspec
from torch import nn

from bimhw.models.net import Net as Net
from bimhw.models.net import NetRun as NetRun
from bimhw.models.registry import NetConfig, family_of
from simulator.base.errors import InputError


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
