"""Functions of `torch.nn.functional` that are layers: taken as the layer of the same meaning, so that kernels stay shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from bimhw.frontends.frameworks.expression import Args, Kwargs

_POOL = ("input", "kernel_size", "stride", "padding")
_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
# function -> names of its parameters in order
_PARAMETERS = {
    **dict.fromkeys(("max_pool1d", "max_pool2d"), (*_POOL, "dilation", "ceil_mode", "return_indices")),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d"), ("input", "output_size", "return_indices")),
    "avg_pool2d": (*_POOL, "ceil_mode", "count_include_pad", "divisor_override"),
    "adaptive_avg_pool2d": ("input", "output_size"),
    "conv1d": _CONV,
    "conv2d": _CONV,
    "linear": ("input", "weight", "bias"),
}


def layer_of(name: str, args: Args, kwargs: Kwargs) -> nn.Module | None:
    """Return the layer that does what a call of this function does on its first argument, or None."""
    if name not in _PARAMETERS:
        return None
    given = dict(zip(_PARAMETERS[name], args, strict=False)) | dict(kwargs)
    given.pop("input", None)
    if "weight" in given:
        return _weighted(name, given)
    if "max_pool" in name:
        given["return_indices"] = given.get("return_indices", False)
    kinds: dict[str, Callable[..., nn.Module]] = {
        "max_pool1d": nn.MaxPool1d,
        "max_pool2d": nn.MaxPool2d,
        "adaptive_max_pool1d": nn.AdaptiveMaxPool1d,
        "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
        "avg_pool2d": nn.AvgPool2d,
        "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    }
    return kinds[name](**given)


def _weighted(name: str, given: dict[str, Any]) -> nn.Module:
    weight: Tensor = given.pop("weight")
    bias: Tensor | None = given.pop("bias", None)
    if name == "linear":
        layer: nn.Module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    else:
        groups = given.get("groups", 1)
        make = nn.Conv1d if name == "conv1d" else nn.Conv2d
        size = tuple(weight.shape[2:])
        layer = make(weight.shape[1] * groups, weight.shape[0], size, bias=bias is not None, **given)  # type: ignore[arg-type]
    layer.weight = nn.Parameter(weight.detach())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach())
    return layer
