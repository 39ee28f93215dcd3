"""The stateless nodes on batches [B, ...]: Linear, Affine, Scale, Conv1d, Conv2d, pools, Flatten, Threshold.

Convolutions are PyTorch's cross-correlation, by a window view and one matrix product a group.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bimhw.frontends.nir.dynamics import spread as spread_values
from bimhw.frontends.nir.graph import Node
from bimhw.frontends.nir.shapes import conv_padding, pair, spread
from simulator.base.arrays import Floats


def apply(node: Node, x: Floats) -> Floats:
    """Apply a stateless node to x [B, *in_shape]: y [B, *out_shape]."""
    fields = node.fields
    if node.kind in ("Linear", "Affine"):
        return affine(node, x)
    if node.kind == "Scale":
        scaled: Floats = x * spread_values(fields["scale"], node.in_shape)
        return scaled
    if node.kind == "Threshold":
        return (x > spread_values(fields["threshold"], node.in_shape)).astype(np.float64)
    if node.kind in ("Conv1d", "Conv2d"):
        return convolve(node, x)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        return pool(node, x)
    return x.reshape(x.shape[0], *node.out_shape)


def affine(node: Node, x: Floats) -> Floats:
    """Compute W x (+ b) of x [B, ..., inputs] with weight [..., outputs, inputs]."""
    weight: Floats = node.fields["weight"]
    y: Floats = np.matmul(weight, x[..., None])[..., 0] if weight.ndim > 2 else x @ weight.T
    return y + node.fields["bias"] if node.kind == "Affine" else y


def convolve(node: Node, x: Floats) -> Floats:
    """Cross-correlate x [B, C, ...] with weight [O, C / groups, ...]; add the bias."""
    weight, groups = node.fields["weight"], node.fields["groups"][0]
    stride, dilation = spread(node, "stride"), spread(node, "dilation")
    n = weight.ndim - 2
    padded = np.pad(x, ((0, 0), (0, 0), *conv_padding(node)))
    windows = _windows(padded, weight.shape[2:], stride, dilation)  # [B, C, out..., k...]
    batch, size = windows.shape[0], windows.shape[2 : 2 + n]
    per_in, per_out = weight.shape[1], weight.shape[0] // groups
    y = np.empty((batch, weight.shape[0], *size))
    for g in range(groups):
        part = windows[:, g * per_in : (g + 1) * per_in]
        # -> [B, out..., C, k...] -> [B * positions, C * k]
        rows = np.moveaxis(part, 1, 1 + n).reshape(batch * math.prod(size), -1)
        out = rows @ weight[g * per_out : (g + 1) * per_out].reshape(per_out, -1).T
        y[:, g * per_out : (g + 1) * per_out] = np.moveaxis(out.reshape(batch, *size, per_out), -1, 1)
    bias: Floats = node.fields["bias"].reshape(-1, *(1,) * n)
    return y + bias


def _windows(x: Floats, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Floats:
    n = len(kernel)
    span = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    axes: Any = tuple(range(2, 2 + n))
    view: Floats = sliding_window_view(x, span, axis=axes)
    steps = (
        slice(None),
        slice(None),
        *(slice(None, None, s) for s in stride),
        *(slice(None, None, d) for d in dilation),
    )
    out: Floats = view[steps]
    return out


def pool(node: Node, x: Floats) -> Floats:
    """Take the sum or mean over windows of x [B, C, H, W]; padded zeros count in the mean, as in PyTorch."""
    kernel, stride, padding = (pair(node.fields[k]) for k in ("kernel_size", "stride", "padding"))
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    total: Floats = _windows(padded, kernel, stride, (1, 1)).sum(axis=(-2, -1))
    return total / (kernel[0] * kernel[1]) if node.kind == "AvgPool2d" else total
