"""Layers of a netx file as synapses: which source meets which target by which weight.

Shapes are [channel, y, x]. A kernel of the file is stored turned by 180 degrees; turned back it is correlated with the input,
as in torch. A pooling layer is a convolution of each channel with one weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I64
from simulator.base.errors import InputError

Shape = tuple[int, int, int]
Layer = Mapping[str, object]
AGAIN = "Export it again with lava-dl's net.export_hdf5"
MOST_SYNAPSES = 60_000_000


@dataclass(frozen=True, eq=False)
class Synapses:
    """Connections of a layer: three int64 arrays of one length, and the layer's shape."""

    source: I64
    target: I64
    weight: I64
    shape: Shape


def numbers(layer: Layer, name: str, where: str) -> I64:
    """Return a field as whole numbers.

    Raises:
        InputError: the field is missing, or holds anything else.
    """
    value = np.asarray(layer.get(name, ()))
    if name not in layer or value.dtype.kind not in "iuf":
        raise InputError(f"{where}: {name}", "is missing or holds no numbers", AGAIN)
    whole = np.round(value).astype(np.int64)
    if (np.abs(value - whole) > 1e-6).any():
        way = "Export with quantised weights (pre_hook_fx), as lava-dl does"
        raise InputError(f"{where}: {name}", "holds numbers that are not whole, which a chip cannot store", way)
    return whole


def shape_of(layer: Layer, where: str) -> Shape:
    """Return the shape of a layer as [channel, y, x]; leading ones are left out in the file."""
    sizes = [int(n) for n in numbers(layer, "shape", where).reshape(-1)]
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise InputError(f"{where}: shape", f"is {sizes}; it has one to three sizes above 0", AGAIN)
    return (sizes[0], 1, 1) if len(sizes) == 1 else (sizes[0], sizes[1], sizes[2] if len(sizes) == 3 else 1)


def dense(layer: Layer, before: Shape, where: str) -> Synapses:
    """Return the synapses of a dense layer: weight [out, in]; an input of several sizes is flattened channel first."""
    n_in, n_out = int(np.prod(before)), int(np.prod(shape_of(layer, where)))
    weight = numbers(layer, "weight", where)
    if weight.size != n_in * n_out:
        raise InputError(f"{where}: weight", f"has {weight.size} values for {n_in} inputs and {n_out} neurons", AGAIN)
    target, source = np.nonzero(weight.reshape(n_out, n_in))
    return Synapses(source, target, weight.reshape(n_out, n_in)[target, source], (n_out, 1, 1))


def _pair(layer: Layer, name: str, default: int, where: str) -> tuple[int, int]:
    """Return a field for y and x; one number stands for both."""
    value = numbers(layer, name, where).reshape(-1) if name in layer else np.array([default])
    return int(value[0]), int(value[-1])


def conv(layer: Layer, before: Shape, where: str) -> Synapses:
    """Return the synapses of a convolution: weight [out, in / groups, y, x]."""
    weight = numbers(layer, "weight", where)
    weight = weight.reshape(weight.shape[:4])
    if weight.ndim != 4:
        raise InputError(f"{where}: weight", f"has {weight.ndim} dimensions; a kernel has 4", AGAIN)
    groups = int(numbers(layer, "groups", where).reshape(-1)[0]) if "groups" in layer else 1
    return _window(layer, weight[:, :, ::-1, ::-1], before, groups, where)


def pool(layer: Layer, before: Shape, where: str) -> Synapses:
    """Return the synapses of a pooling layer: each window of a channel by one weight."""
    height, width = _pair(layer, "kernelSize", 2, where)
    value = int(numbers(layer, "weight", where).reshape(-1)[0]) if "weight" in layer else 64
    same = np.full((before[0], 1, height, width), value, np.int64)
    given = dict(layer) | {"stride": layer.get("stride", np.array([height, width]))}
    return _window(given, same, before, before[0], where)


def _window(layer: Layer, weight: I64, before: Shape, groups: int, where: str) -> Synapses:
    n_out, per_group, kernel_h, kernel_w = weight.shape
    channels, height, width = before
    (sy, sx), (py, px) = _pair(layer, "stride", 1, where), _pair(layer, "padding", 0, where)
    dy, dx = _pair(layer, "dilation", 1, where)
    if min(sy, sx, dy, dx, groups) < 1 or channels != per_group * groups or n_out % groups:
        raise InputError(where, f"has {groups} groups of {per_group} channels for {channels}", AGAIN)
    out_h = (height + 2 * py - dy * (kernel_h - 1) - 1) // sy + 1
    out_w = (width + 2 * px - dx * (kernel_w - 1) - 1) // sx + 1
    if min(out_h, out_w) < 1 or weight.size * out_h * out_w > MOST_SYNAPSES:
        count = f"{weight.size * max(0, out_h) * max(0, out_w):,}"
        raise InputError(where, f"has {count} synapses; 1 to {MOST_SYNAPSES:,} are read", "Use a smaller network")
    o, y, x, c, i, j = np.indices((n_out, out_h, out_w, per_group, kernel_h, kernel_w)).reshape(6, -1)
    at_y, at_x = y * sy - py + i * dy, x * sx - px + j * dx
    value = weight[o, c, i, j]
    inside = (at_y >= 0) & (at_y < height) & (at_x >= 0) & (at_x < width) & (value != 0)
    channel = o // (n_out // groups) * per_group + c
    source, target = (channel * height + at_y) * width + at_x, (o * out_h + y) * out_w + x
    return Synapses(source[inside], target[inside], value[inside], (n_out, out_h, out_w))
