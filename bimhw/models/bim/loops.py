"""Tensors and layers that the compiled CPU loops take; all others go through plain torch operations, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bimhw.models.bim.config import BimConfig
from simulator.base.arrays import Array
from simulator.base.errors import InputError

Words = tuple[Array, ...]
Number = Any  # a scalar of either precision; numba takes its type from the argument


_LEAST, _HALF = float(np.finfo(np.float64).tiny), 0.5
np.finfo(np.float32)  # numpy warns where it first looks at a type while denormal numbers are 0


def call_kernel(kernel: Any, *arguments: Any) -> None:
    """Call a compiled function (type checkers do not see through its decorator), denormal numbers taken as 0 meanwhile.

    Traces die away through them, and many processors take a hundred times as long for one: online learning of texts was eight
    times slower.
    """
    if _LEAST * _HALF == 0:  # the caller's thread takes them as 0 already
        kernel(*arguments)
        return
    torch.set_flush_denormal(True)
    try:
        kernel(*arguments)
    finally:
        torch.set_flush_denormal(False)


def takes_loops(like: Tensor) -> bool:
    """Return whether the compiled loops take tensors such as this one: on the CPU, in single or double precision."""
    return like.device.type == "cpu" and like.dtype in (torch.float32, torch.float64) and _ON.get()


_ON: ContextVar[bool] = ContextVar("compiled loops", default=True)


def check_first_order() -> None:
    """Raise `InputError` within a backward that is itself to be differentiated (``create_graph=True``)."""
    if torch.is_grad_enabled():
        raise InputError(
            "gradient of a BIM layer",
            "has no derivative of its own in the compiled loops",
            "Leave out create_graph=True",
        )


@contextmanager
def without_loops() -> Iterator[None]:
    """Take no compiled loop within the block: on the CPU what runs on any other device."""
    token = _ON.set(False)
    try:
        yield
    finally:
        _ON.reset(token)


HALF = (torch.float16, torch.bfloat16)


def widened(x: Tensor) -> Tensor:
    """Return a half-precision tensor as float32, as states need the bits; any other as it is."""
    return x.float() if x.dtype in HALF else x


def cell_is_fused(config: BimConfig) -> bool:
    """Return whether `bimhw.models.bim.fused` knows these layers (its import is left to those that run it)."""
    return config.kind == "diag" and not config.adapt_beta
