"""Torch's tensors as arrays, and modules without torch's wrappers; torch itself is not loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Module = TypeVar("Module")

# Wrapper -> where it keeps the module: torch.compile, averaged weights, several cards.
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "AveragedModel": "module",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}


def on_cpu(tensor: Tensor) -> Tensor:
    """Return a tensor without its gradient on the CPU.

    Raises:
        InputError: it is on the device ``meta``, which holds no numbers.
    """
    if tensor.is_meta:
        raise InputError("model", "has weights on the device 'meta', which holds no numbers", "Load its weights first")
    return tensor.detach().cpu()


def as_array(tensor: Tensor) -> npt.NDArray[np.generic]:
    """Return the numbers of a tensor; of types that numpy lacks (bfloat16) in float32, which holds them exactly."""
    here = on_cpu(tensor)
    known = not here.is_floating_point() or str(here.dtype) in ("torch.float16", "torch.float32", "torch.float64")
    array: npt.NDArray[np.generic] = (here if known else here.float()).numpy()
    return array


def unwrapped(model: Module) -> Module:
    """Return the module that torch.compile, AveragedModel or DataParallel wraps; anything else as it is."""
    while type(model).__module__.startswith("torch.") and type(model).__name__ in _WRAPPERS:
        model = getattr(model, _WRAPPERS[type(model).__name__])
    return model
