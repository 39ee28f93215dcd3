"""Fold the stateless nodes between neurons into patterns instead of matrices; see `mapping.patterned`.

A node is a Kronecker product of a matrix over channels and one for each direction, and so is a chain of nodes. Where a
graph joins two paths from one source with one delay, the union of their factors is taken: never fewer synapses than there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bimhw.frontends.nir.dynamics import spread as spread_values
from bimhw.frontends.nir.fold import Algebra, Form, Part
from bimhw.frontends.nir.graph import NirGraph, Node
from bimhw.frontends.nir.linear import apply
from bimhw.frontends.nir.matrices import Kernel, conv_kernel, pool_kernel
from bimhw.frontends.nir.shapes import conv_padding, pair, spread
from mapping.patterned import Pattern
from simulator.base.arrays import Bools
from simulator.base.errors import FitError


@dataclass(frozen=True, eq=False)
class PatternPart(Part):
    """One linear path by its pattern.

    Attributes:
        pattern: sources to the node's values.
        peak: bound of the largest absolute weight.
        plain: every value passes on as it is.
    """

    pattern: Pattern | None = None
    peak: float = 1.0
    plain: bool = False

    @property
    def identity(self) -> bool:
        """Return whether the path passes every value on as it is."""
        return self.plain

    def __add__(self, other: Part) -> PatternPart:
        """Return the union of two paths from one source."""
        assert isinstance(other, PatternPart) and self.pattern is not None and other.pattern is not None
        a, b = self.pattern, other.pattern
        if a.out_shape != b.out_shape or a.in_shape != b.in_shape:
            raise FitError("graph", "joins paths of different forms from one neuron", "Give each path a neuron")
        dims = tuple(x | y for x, y in zip(a.dims, b.dims, strict=True))
        return PatternPart(None, None, Pattern((a.channels + b.channels).astype(bool), dims), self.peak + other.peak)


def unrolled_synapses(graph: NirGraph) -> int:
    """Return the most synapses that one stateless node of the graph unrolls to."""
    most = 0
    for node in graph.nodes.values():
        if node.kind in ("Conv1d", "Conv2d"):
            most = max(most, node.fields["weight"].size * math.prod(node.out_shape[1:]))
        elif node.kind in ("Linear", "Affine"):
            most = max(most, node.fields["weight"].size)
    return most


def source_part(node: Node) -> PatternPart:
    """Return the path from a neuron or an input to itself."""
    from scipy import sparse

    channels, *rest = node.out_shape
    one = sparse.csr_array(sparse.eye_array(channels, dtype=bool))
    return PatternPart(None, None, Pattern(one, tuple(np.eye(n, dtype=bool) for n in rest)), plain=True)


def through(node: Node, came: Form) -> Form:
    """Return what a stateless node makes of what arrives: `fold`'s step, on patterns."""
    size = int(np.prod(node.out_shape))
    if node.kind in ("Flatten", "Output", "Junction"):
        return Form(size, came.parts, came.bias)
    bias = apply(node, came.bias.reshape(1, *node.in_shape)).reshape(-1)
    return Form(size, {key: _through(node, part) for key, part in came.parts.items()}, bias)


def _through(node: Node, part: Part) -> PatternPart:
    assert isinstance(part, PatternPart) and part.pattern is not None
    if node.kind == "Scale":
        scale = spread_values(node.fields["scale"], node.in_shape)
        one = part.plain and bool((scale == 1).all())
        return replace(part, peak=part.peak * float(np.abs(scale).max()), plain=one, kernel=None)
    if node.kind in ("Linear", "Affine"):
        return _linear(node, part)
    if part.pattern.out_shape != tuple(node.in_shape):
        raise FitError(node.where, "reads values of another shape as a map", "Use a smaller layer")
    if node.kind in ("Conv1d", "Conv2d"):
        own, kernel, peak = _conv(node)
    else:
        own, kernel, peak = _pool(node)
    joined = kernel if part.identity else kernel.after(part.kernel) if part.kernel is not None else None
    return PatternPart(None, joined, _after(own, part.pattern), peak * part.peak)


def _after(own: Pattern, first: Pattern) -> Pattern:
    dims = tuple((a.astype(np.float32) @ b.astype(np.float32)) > 0 for a, b in zip(own.dims, first.dims, strict=True))
    identity = first.channels.nnz == first.channels.shape[0] == first.channels.shape[1]
    return Pattern(own.channels if identity else (own.channels @ first.channels).astype(bool), dims)


def _linear(node: Node, part: PatternPart) -> PatternPart:
    from scipy import sparse

    weight = node.fields["weight"]
    if weight.ndim > 2:
        raise FitError(node.where, "is a stack of matrices", "Use a smaller layer")
    assert part.pattern is not None
    first, peak = part.pattern, part.peak * float(np.abs(weight).max(initial=0.0))
    if not first.dims:
        dense = np.count_nonzero(weight) == weight.size
        own = _full(weight.shape[0], np.ones(weight.shape[1], bool)) if dense else sparse.csr_array(weight != 0)
        return PatternPart(None, None, _after(Pattern(own), first), peak)
    covered = np.zeros(first.channels.shape[1], bool)
    covered[first.channels.indices] = True
    return PatternPart(
        None,
        None,
        Pattern(_full(weight.shape[0], covered), tuple(np.atleast_2d(d.any(axis=0)) for d in first.dims)),
        peak,
    )


def _full(n_out: int, covered: Bools) -> Any:
    """Return a pattern in which every output meets every covered input."""
    from scipy import sparse

    row = np.flatnonzero(covered).astype(np.int32)
    indptr = np.arange(n_out + 1, dtype=np.int64) * row.size
    return sparse.csr_array((np.ones(n_out * row.size, bool), np.tile(row, n_out), indptr), shape=(n_out, covered.size))


def _conv(node: Node) -> tuple[Pattern, Kernel, float]:
    from scipy import sparse

    weight, groups = node.fields["weight"], node.fields["groups"][0]
    per_out, per_in = weight.shape[0] // groups, weight.shape[1]
    blocks = [np.ones((per_out, per_in), bool)] * groups
    channels = sparse.csr_array(blocks[0]) if groups == 1 else sparse.csr_array(sparse.block_diag(blocks, dtype=bool))
    before = tuple(p[0] for p in conv_padding(node))
    dims = _dims(node, weight.shape[2:], spread(node, "stride"), spread(node, "dilation"), before)
    return Pattern(channels, dims), conv_kernel(node), float(np.abs(weight).max(initial=0.0))


def _pool(node: Node) -> tuple[Pattern, Kernel, float]:
    from scipy import sparse

    size, stride, padding = (pair(node.fields[k]) for k in ("kernel_size", "stride", "padding"))
    channels = sparse.csr_array(sparse.eye_array(node.in_shape[0], dtype=bool))
    peak = 1.0 if node.kind == "SumPool2d" else 1.0 / math.prod(size)
    return Pattern(channels, _dims(node, size, stride, (1, 1), padding)), pool_kernel(node), peak


def _dims(node: Node, size: Any, stride: Any, dilation: Any, before: Any) -> tuple[Bools, ...]:
    out = []
    for d, (n_out, n_in) in enumerate(zip(node.out_shape[1:], node.in_shape[1:], strict=True)):
        at = np.arange(n_out)[:, None] * stride[d] + np.arange(size[d]) * dilation[d] - before[d]
        one = np.zeros((n_out, n_in), bool)
        rows = np.broadcast_to(np.arange(n_out)[:, None], at.shape)
        inside = (at >= 0) & (at < n_in)
        one[rows[inside], at[inside]] = True
        out.append(one)
    return tuple(out)


def _masked(mask: Bools, part: Part) -> Part:
    return part  # never fewer synapses than there are


PATTERNS = Algebra(source_part, through, _masked)
