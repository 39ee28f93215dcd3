"""Stateless nodes as sparse matrices: y = A x + b on flattened values, so that chains of them fold into synapses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bimhw.frontends.nir.dynamics import spread as spread_values
from bimhw.frontends.nir.graph import Node
from bimhw.frontends.nir.shapes import conv_padding, pair, spread
from simulator.base.arrays import I64, Floats
from simulator.base.errors import FitError

MAX_ENTRIES = 60_000_000  # synapses of one folded projection; more is refused before memory is taken


@dataclass(frozen=True)
class Kernel:
    """A convolution's shared weights: `words` distinct weights a window position, windows of `size` moved by `stride`."""

    channels: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def words(self) -> int:
        """Distinct weight words of the whole kernel."""
        return self.channels * math.prod(self.size)

    def after(self, first: Kernel) -> Kernel:
        """Return the kernel of `first` followed by this one."""
        size = tuple(a + (b - 1) * s for a, b, s in zip(first.size, self.size, first.stride, strict=True))
        stride = tuple(a * b for a, b in zip(first.stride, self.stride, strict=True))
        return Kernel(max(self.channels, first.channels), size, stride)


def as_matrix(node: Node) -> tuple[Any, Floats, Kernel | None]:
    """Return (A [outputs, inputs] as scipy CSR, b [outputs], shared kernel or None) of a stateless node but Threshold.

    Raises:
        FitError: more than `MAX_ENTRIES` synapses.
    """
    from scipy import sparse

    size = math.prod(node.out_shape)
    none = np.zeros(size)
    if node.kind in ("Linear", "Affine"):
        weight = node.fields["weight"]
        blocks = weight.reshape(-1, *weight.shape[-2:])
        matrix = sparse.csr_array(blocks[0]) if len(blocks) == 1 else sparse.csr_array(sparse.block_diag(blocks))
        return matrix, node.fields["bias"].reshape(-1) if node.kind == "Affine" else none, None
    if node.kind == "Scale":
        scale = spread_values(node.fields["scale"], node.in_shape).reshape(-1)
        return sparse.csr_array(sparse.diags_array(scale)), none, None
    if node.kind in ("Conv1d", "Conv2d"):
        return _conv(node)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        return _pool(node)
    return sparse.csr_array(sparse.eye_array(size)), none, None


def _conv(node: Node) -> tuple[Any, Floats, Kernel]:
    weight, groups = node.fields["weight"], node.fields["groups"][0]
    per_out, per_in = weight.shape[0] // groups, weight.shape[1]
    o = np.arange(weight.shape[0])
    channel = (o // per_out)[:, None] * per_in + np.arange(per_in)  # input channel of [output, input in group]
    stride, dilation = spread(node, "stride"), spread(node, "dilation")
    before = tuple(p[0] for p in conv_padding(node))
    matrix = _windows(node, weight, channel, stride, dilation, before)
    bias = np.repeat(node.fields["bias"], math.prod(node.out_shape[1:]))
    return matrix, bias, conv_kernel(node)


def conv_kernel(node: Node) -> Kernel:
    """Return the shared weights of a convolution."""
    weight = node.fields["weight"]
    return Kernel(weight.shape[0] * weight.shape[1], tuple(weight.shape[2:]), spread(node, "stride"))


def pool_kernel(node: Node) -> Kernel:
    """Return the shared weight of a pool."""
    size, stride = (pair(node.fields[k]) for k in ("kernel_size", "stride"))
    return Kernel(1, size, stride)


def _pool(node: Node) -> tuple[Any, Floats, Kernel]:
    kernel, stride, padding = (pair(node.fields[k]) for k in ("kernel_size", "stride", "padding"))
    channels = node.in_shape[0]
    value = 1.0 if node.kind == "SumPool2d" else 1.0 / math.prod(kernel)
    weight = np.full((channels, 1, *kernel), value)
    matrix = _windows(node, weight, np.arange(channels)[:, None], stride, (1, 1), padding)
    return matrix, np.zeros(math.prod(node.out_shape)), pool_kernel(node)


def _windows(
    node: Node,
    weight: Floats,
    channel: I64,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    before: tuple[int, ...],
) -> Any:
    """Return the matrix of a window sum: weight [O, C, k...], input channel of each [O, C]; positions outside are dropped."""
    from scipy import sparse

    out, inner = node.out_shape[1:], node.in_shape[1:]
    entries = weight.size * math.prod(out)
    if entries > MAX_ENTRIES:
        raise FitError(
            node.where, f"unrolls to {entries:,} synapses; {MAX_ENTRIES:,} is the most", "Use a smaller layer"
        )
    n = len(out)
    # axes: O, C, k..., out...; `position` is the flat input position, `inside` where it is not padding
    position: Any = channel.reshape(*channel.shape, *(1,) * (2 * n)) * math.prod(inner)
    inside: Any = np.ones((1,) * (2 + 2 * n), bool)
    for d in range(n):
        k = np.arange(weight.shape[2 + d]).reshape(-1, *(1,) * (2 * n - 1 - d)) * dilation[d]
        at = np.arange(out[d]).reshape(-1, *(1,) * (n - 1 - d)) * stride[d] + k - before[d]
        inside = inside & ((at >= 0) & (at < inner[d]))
        position = position + at * math.prod(inner[d + 1 :])
    o = np.arange(weight.shape[0]).reshape(-1, *(1,) * (1 + 2 * n)) * math.prod(out)
    target = o + np.arange(math.prod(out)).reshape(out)
    shape = np.broadcast_shapes(position.shape, target.shape, inside.shape)
    keep = np.broadcast_to(inside, shape).reshape(-1)
    rows = np.broadcast_to(target, shape).reshape(-1)[keep]
    columns = np.broadcast_to(position, shape).reshape(-1)[keep]
    values = np.broadcast_to(weight.reshape(*weight.shape, *(1,) * n), shape).reshape(-1)[keep]
    size = (math.prod(node.out_shape), math.prod(node.in_shape))
    return sparse.csr_array(sparse.coo_array((values, (rows, columns)), shape=size))
