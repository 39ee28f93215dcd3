"""Device of torch: a device by its name, tensors and networks moved there and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from bimhw.learning.rules.registry import gradient_form, learning_rule
from bimhw.learning.settings import TrainSettings
from simulator.base.errors import InputError

CPU = torch.device("cpu")
T = TypeVar("T")


def torch_device(name: str | torch.device) -> torch.device:
    """Return a device that is here, by torch's name: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        InputError: no such name, or no such device on this machine.
    """
    try:
        device = torch.device(name)
        float(torch.zeros(1, device=device))  # a device without values (meta) fails here too
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        here = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if _has_mps() else [])]
        raise InputError(f"device {name}", "is not on this machine", f"Devices here: {', '.join(here)}") from error
    return device


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def check_device(settings: TrainSettings, device: torch.device) -> None:
    """Raise `InputError` where a training needs the compiled CPU loops."""
    rule = learning_rule(settings.rule)
    single = rule.forms and gradient_form(settings.form).single
    if device.type == "cpu" or not (rule.stdp or rule.loops or single or settings.prune):
        return
    what = f"form {settings.form!r}" if single else f"rule {settings.rule!r}" if rule.stdp or rule.loops else "pruning"
    raise InputError(f"device {device}", f"does not have {what}, which runs on the CPU", "Leave --device out")


@contextmanager
def placed_on(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Move a network to a device within the block, and back to the CPU after it."""
    net.to(device)
    try:
        yield
    finally:
        net.to(CPU)


def placed(value: T, device: torch.device) -> T:
    """Return tensors, in any nesting of containers, on a device; those that are there already are not copied."""
    moved: object = value
    if isinstance(value, Tensor):
        moved = value.to(device)
    elif isinstance(value, Mapping):
        moved = {k: placed(v, device) for k, v in value.items()}
    elif isinstance(value, tuple | list):
        parts = [placed(v, device) for v in value]
        moved = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return cast(T, moved)


def device_of(net: nn.Module) -> torch.device:
    """Return the device of a network's parameters."""
    return next(net.parameters()).device
