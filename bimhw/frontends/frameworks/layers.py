"""Layers without state -> NIR nodes: torch's own, and those of the frameworks that descend from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from bimhw.frontends.frameworks.cell import NodeSpec, array, linear
from simulator.base.arrays import Floats
from simulator.base.errors import FitError

SUPPORTED = (
    "Linear, Conv1d, Conv2d, AvgPool2d, AdaptiveAvgPool2d, MaxPool2d, ReLU, BatchNorm, Flatten, Dropout, Identity"
)
_NOTHING = ("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "DropoutTorch", "MultiStepDropout")
_MAXIMA = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)
_LEAVES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, *_MAXIMA, nn.Flatten)
_HOMES = ("torch", "snntorch", "spikingjelly", "norse", "sinabs", "rockpool")  # whose layers do as their classes say
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def does_nothing(module: Any) -> bool:
    """Return whether a layer passes its input on in evaluation."""
    return type(module).__name__ in _NOTHING


def is_leaf(module: Any) -> bool:
    """Return whether a layer is taken as a whole, not looked into."""
    plain = isinstance(module, (*_LEAVES, *_NORMS)) and not _computes_its_weights(module)
    return plain or does_nothing(module) or type(module).__name__ in _BY_NAME


def _computes_its_weights(module: nn.Module) -> bool:
    """Return whether a descendant may use other weights than its own: a user's forward, or SpikingJelly's WSConv2d.

    Such a layer is looked into: its functions are read with the weights that they are given.
    """
    home = type(module).forward.__module__.split(".")[0]
    return home not in _HOMES or hasattr(module, "get_weight")


def is_norm(module: Any) -> bool:
    """Return whether a layer scales and shifts its channels."""
    return isinstance(module, _NORMS)


def is_max_pool(module: Any) -> bool:
    """Return whether a layer takes the largest of a window."""
    return isinstance(module, _MAXIMA)


def refused(function: str) -> tuple[str, str]:
    """Return why a function of torch has no form on a chip, or "", and the way out."""
    why, way_out = _REFUSED.get(function, ("", ""))
    usual = f"Use layers ({SUPPORTED}), sums, factors and reshapes between the neurons"
    return (f": it {why}", way_out) if why else ("", usual)


_OWN_MEAN = "divides by the spread of the sample's own values, which takes a product of two of them"
_BATCH_NORM = "Use BatchNorm, which folds into the layer before it, or train without it"
_REFUSED = {
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "rms_norm"), (_OWN_MEAN, _BATCH_NORM)),
    **dict.fromkeys(
        ("softmax", "log_softmax"),
        (
            "divides by a sum of exponentials",
            "Leave it out: the scores have the same order; or put it after the last layer",
        ),
    ),
    **dict.fromkeys(
        ("gelu", "silu", "elu", "sigmoid", "tanh", "softplus", "mish", "hardswish"),
        ("is curved", "Use ReLU, or a neuron layer in its place"),
    ),
    **dict.fromkeys(("lp_pool1d", "lp_pool2d"), ("takes a root of powers", "Use AvgPool2d or MaxPool2d")),
    "scaled_dot_product_attention": ("multiplies values of the sample with each other", "Use a recurrent neuron layer"),
}


def plain_layer(name: str, module: Any) -> NodeSpec:
    """Return the NIR node of a layer.

    Raises:
        FitError: a layer or an option that has no form on a chip.
    """
    if type(module).__name__ in _BY_NAME:
        return _BY_NAME[type(module).__name__](name, module)
    if isinstance(module, nn.Linear):
        return linear(module.weight, module.bias)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return conv(name, module)
    if isinstance(module, nn.AvgPool2d):
        return _average(name, module)
    raise FitError(f"layer {name!r} ({type(module).__name__})", "has no form on a chip", f"Known: {SUPPORTED}")


def conv(name: str, layer: Any) -> NodeSpec:
    """Return the NIR node of a convolution."""
    if layer.padding_mode != "zeros":
        raise FitError(f"layer {name!r}", f"pads with {layer.padding_mode!r}", "Use padding_mode 'zeros'")
    fields: dict[str, Any] = {"weight": array(layer.weight), "groups": layer.groups, "padding": layer.padding}
    fields |= {"stride": np.array(layer.stride), "dilation": np.array(layer.dilation)}
    if layer.bias is not None:
        fields["bias"] = array(layer.bias)
    return f"Conv{layer.weight.ndim - 2}d", fields


def _average(name: str, layer: Any) -> NodeSpec:
    padded = np.any(np.asarray(layer.padding) != 0)
    if layer.ceil_mode or layer.divisor_override or (padded and not layer.count_include_pad):
        raise FitError(f"layer {name!r}", "averages over windows of different sizes", "Use the defaults of AvgPool2d")
    return "AvgPool2d", {k: np.asarray(getattr(layer, k)) for k in ("kernel_size", "stride", "padding")}


def _sum(name: str, layer: Any) -> NodeSpec:
    """Read sinabs' SumPool2d, an LPPool2d of order 1."""
    if layer.ceil_mode:
        raise FitError(f"layer {name!r}", "sums over windows of different sizes", "Use ceil_mode=False")
    stride = layer.kernel_size if layer.stride is None else layer.stride
    return "SumPool2d", {"kernel_size": np.asarray(layer.kernel_size), "stride": np.asarray(stride)}


def _rockpool_linear(name: str, layer: Any) -> NodeSpec:
    return linear(layer.weight.T, layer.bias)


_BY_NAME = {"SumPool2d": _sum, "LinearTorch": _rockpool_linear}


def adaptive(name: str, layer: Any, in_shape: tuple[int, ...]) -> NodeSpec:
    """Return the AvgPool2d that an AdaptiveAvgPool2d is on inputs [C, H, W] that its output size divides."""
    size = layer.output_size if isinstance(layer.output_size, tuple) else (layer.output_size,) * 2
    out = tuple(n if s is None else s for s, n in zip(size, in_shape[1:], strict=True))
    if any(n % s for s, n in zip(out, in_shape[1:], strict=True)):
        raise FitError(f"layer {name!r}", f"pools {in_shape[1:]} to {out}, windows of different sizes", "Use AvgPool2d")
    kernel = np.array([n // s for s, n in zip(out, in_shape[1:], strict=True)])
    return "AvgPool2d", {"kernel_size": kernel, "stride": kernel, "padding": np.zeros(2, np.int64)}


def summed(name: str, layer: Any) -> NodeSpec:
    """Return the sum over a MaxPool2d's windows; of spikes, a sum above 1/2 is their maximum."""
    if not isinstance(layer, nn.MaxPool2d):
        raise FitError(f"layer {name!r}", "pools other windows than MaxPool2d's", "Use MaxPool2d")
    dilated = np.any(np.asarray(layer.dilation) != 1)
    if layer.ceil_mode or dilated or layer.return_indices:
        raise FitError(f"layer {name!r}", "has ceil_mode, dilation or return_indices", "Use the defaults of MaxPool2d")
    return "SumPool2d", {k: np.asarray(getattr(layer, k)) for k in ("kernel_size", "stride", "padding")}


def flattening(shape: tuple[int, ...], wanted: tuple[int, ...]) -> NodeSpec:
    """Return the node that gives values of one shape in another: NIR's Flatten, or a reshape beyond NIR."""
    differs = next(i for i, (p, q) in enumerate(zip(shape, (*wanted, 0), strict=False)) if p != q)
    first = min(differs, len(wanted) - 1)
    last = len(shape) - (len(wanted) - first - 1) - 1
    merged = (*shape[:first], int(np.prod(shape[first : last + 1])), *shape[last + 1 :])
    fields: dict[str, Any] = {"input_type": np.array(shape), "start_dim": first, "end_dim": last}
    return "Flatten", fields if merged == wanted else fields | {"shape": np.array(wanted)}


def norm_factors(name: str, norm: Any) -> tuple[Floats, Floats]:
    """Return scale and shift of each channel of a normalisation in evaluation."""
    if norm.running_mean is None:
        raise FitError(
            f"layer {name!r}", "normalises by the batch at hand (track_running_stats=False)", "Track statistics"
        )
    scale = 1 / np.sqrt(array(norm.running_var) + norm.eps)
    scale = scale * array(norm.weight) if norm.weight is not None else scale
    return scale, (array(norm.bias) if norm.bias is not None else 0.0) - array(norm.running_mean) * scale


def folded(spec: NodeSpec, scale: Floats, shift: Floats) -> NodeSpec:
    """Return a Linear or convolution followed by a normalisation as one node."""
    kind, fields = spec
    weight = fields["weight"]
    bias = np.broadcast_to(fields.get("bias", 0.0), scale.shape)
    scaled = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    kind = "Affine" if kind == "Linear" else kind
    return kind, {**fields, "weight": scaled, "bias": bias * scale + shift}


def norm_alone(name: str, scale: Floats, shift: Floats, shape: tuple[int, ...]) -> NodeSpec:
    """Return a normalisation as a node of its own."""
    if len(shape) == 1:
        if shape[0] > 4096:
            raise FitError(f"layer {name!r}", f"normalises {shape[0]} values on its own", "Put it after a Linear")
        return "Affine", {"weight": np.diag(scale), "bias": shift}
    one = (1,) * (len(shape) - 1)
    fields = {"weight": scale.reshape(-1, 1, *one), "bias": shift, "groups": scale.size}
    return f"Conv{len(shape) - 1}d", fields
