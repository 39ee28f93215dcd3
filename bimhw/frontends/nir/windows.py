"""Fold the stateless nodes between neurons into windows: a convolution is held by its taps, never unrolled.

A chain of convolutions and pools is one window. In each direction d a path from source position i to output position y takes
one *tap* (a place in each kernel of the chain); the weight of a path is that of its taps, whatever the position:

    W[(o, y), (c, i)] = sum over the taps t that lead from i to y of taps[t][o, c],    t = (t_0, t_1, ...), y = (y_0, y_1, ...)

Which taps lead where is known by direction, borders and the padding between kernels included. Two source positions whose
taps lead to the same outputs but for a shift share one row (`simulator.program.shared`). What is no window (a Linear node,
two joined paths, a scale that differs) becomes a matrix, as in `bimhw.frontends.nir.fold`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import product

import numpy as np

from bimhw.frontends.nir.dynamics import spread as spread_values
from bimhw.frontends.nir.fold import MATRICES, RESIDUE, Algebra, Csr, Form, Part
from bimhw.frontends.nir.graph import Node
from bimhw.frontends.nir.linear import apply
from bimhw.frontends.nir.matrices import MAX_ENTRIES, Kernel, conv_kernel, pool_kernel
from bimhw.frontends.nir.shapes import conv_padding, pair, spread
from simulator.base.arrays import I64, Bools, Floats
from simulator.base.errors import FitError
from simulator.program.shared import SharedProjection, pointers, unrolled

Reach = tuple[tuple[tuple[int, int], ...], ...]  # by source position: (output position, tap), ascending
MOST_TAPS = 4096  # of a chain in all directions together; longer chains become matrices


@dataclass(frozen=True, eq=False)
class WindowPart(Part):
    """One linear path by its taps.

    Attributes:
        taps: float64 [taps of direction 0, of direction 1, ..., O, C].
        terms: sums of the magnitudes of what each tap sums, as `taps`.
        reach: of each direction.
        in_shape, out_shape: (C, ...) of the source and (O, ...) of the value.
        plain: every value passes on as it is.
    """

    taps: Floats = field(default_factory=lambda: np.zeros(0))
    terms: Floats = field(default_factory=lambda: np.zeros(0))
    reach: tuple[Reach, ...] = ()
    in_shape: tuple[int, ...] = ()
    out_shape: tuple[int, ...] = ()
    plain: bool = False

    @property
    def identity(self) -> bool:
        """Return whether the path passes every value on as it is."""
        return self.plain

    @property
    def n_paths(self) -> int:
        """Synapses at most: pairs of positions that a tap connects, times pairs of channels."""
        pairs = (sum(len({y for y, _ in at}) for at in d) for d in self.reach)
        return int(math.prod(pairs) * self.taps.shape[-1] * self.taps.shape[-2])

    @property
    def n_entries(self) -> int:
        """Paths by taps whose weight is not 0: a pool joins no channels, which `n_paths` counts as pairs."""
        uses = reduce(np.multiply.outer, [_uses(d, k) for d, k in zip(self.reach, self.taps.shape, strict=False)])
        return int((uses * np.count_nonzero(self.taps, axis=(-2, -1))).sum())

    def __add__(self, other: Part) -> Part:
        """Return the sum of two paths from one source, as a matrix."""
        return as_part(self) + as_part(other)


def as_part(part: Part) -> Part:
    """Return a path as a matrix.

    Raises:
        FitError: more than `MAX_ENTRIES` synapses.
    """
    from scipy import sparse

    if not isinstance(part, WindowPart):
        return part
    if part.n_paths > MAX_ENTRIES and part.n_entries <= MAX_ENTRIES:
        return Part(_by_taps(part), part.kernel)
    if part.n_paths > MAX_ENTRIES:
        raise FitError(
            "graph",
            f"unrolls to {part.n_entries:,} synapses where windows meet other paths; {MAX_ENTRIES:,} is the most",
            "Use a smaller layer, or give each path a neuron",
        )
    q = unrolled(shared_projection(part, "", "", "", np.ones(1)))
    shape = (math.prod(part.out_shape), math.prod(part.in_shape))
    matrix = sparse.csr_array(sparse.csr_array((q.weights, q.indices, q.indptr), shape=shape[::-1]).T)
    return Part(matrix, part.kernel)


def _uses(direction: Reach, taps: int) -> I64:
    """Return how many pairs of positions each tap of a direction joins."""
    return np.bincount([t for at in direction for _, t in at], minlength=taps).astype(np.int64)


def _by_taps(part: WindowPart) -> Csr:
    """Return a path's matrix [output, source] tap by tap, the weights that are 0 left out."""
    from scipy import sparse

    total = sparse.csr_array((math.prod(part.out_shape), math.prod(part.in_shape)))
    for tap in product(*(range(k) for k in part.taps.shape[:-2])):
        places = [
            sparse.csr_array(
                (np.ones(len(at)), ([y for _, y in at], [i for i, _ in at])), shape=(part.out_shape[1 + d], len(reach))
            )
            for d, (reach, t) in enumerate(zip(part.reach, tap, strict=True))
            for at in [[(i, y) for i, ys in enumerate(reach) for y, k in ys if k == t]]
        ]
        total = total + sparse.csr_array(reduce(sparse.kron, [sparse.csr_array(part.taps[tap]), *places]))
    return total


def _source(node: Node) -> Part:
    channels, *rest = node.out_shape
    if not rest:
        return MATRICES.source(node)
    reach = tuple(tuple(((i, 0),) for i in range(n)) for n in rest)
    eye = np.eye(channels).reshape(*(1,) * len(rest), channels, channels)
    return WindowPart(None, None, eye, eye, reach, tuple(node.out_shape), tuple(node.out_shape), True)


def _through(node: Node, came: Form) -> Form:
    if node.kind in ("Flatten", "Output", "Junction"):
        return MATRICES.through(node, came)
    parts = {key: _part(node, part) for key, part in came.parts.items()}
    if not came.parts or not all(isinstance(p, WindowPart) for p in parts.values()):
        return MATRICES.through(node, Form(came.size, {k: as_part(p) for k, p in came.parts.items()}, came.bias))
    bias = apply(node, came.bias.reshape(1, *node.in_shape)).reshape(-1)
    return Form(math.prod(node.out_shape), {k: p for k, p in parts.items() if p is not None}, bias)


def _part(node: Node, part: Part) -> WindowPart | None:
    """Return the path through a node, or None where it is no window."""
    if not isinstance(part, WindowPart) or part.out_shape != tuple(node.in_shape):
        return None
    if node.kind == "Scale":
        scale = spread_values(node.fields["scale"], node.in_shape)
        if not (scale == scale.flat[0]).all():
            return None
        by, same = scale.flat[0], part.plain and scale.flat[0] == 1
        return replace(part, taps=part.taps * by, terms=part.terms * abs(by), plain=same)
    found = _window(node)
    if found is None:
        return None
    weight, reach, kernel = found  # weight [k..., O, M]
    if math.prod(weight.shape[:-2]) * math.prod(part.taps.shape[:-2]) > MOST_TAPS:
        return None
    joined = kernel if part.plain else kernel.after(part.kernel) if part.kernel is not None else None
    taps, terms = weight, abs(weight)
    if not part.plain:  # else the path so far is the identity
        taps, terms = _joined(taps, part.taps), _joined(terms, part.terms)
    ways = tuple(_after(a, b, t.shape[0]) for a, b, t in _directions(reach, part))
    return WindowPart(None, joined, taps, terms, ways, part.in_shape, tuple(node.out_shape))


def _joined(second: Floats, first: Floats) -> Floats:
    """Return the taps of a chain, those of the later kernel counting slowest in each direction."""
    n = second.ndim - 2
    a = second.reshape(*(v for k in second.shape[:n] for v in (k, 1)), *second.shape[n:])
    b = first.reshape(*(v for k in first.shape[:n] for v in (1, k)), *first.shape[n:])
    both = a @ b
    return both.reshape(*(x * y for x, y in zip(second.shape[:n], first.shape[:n], strict=True)), *both.shape[-2:])


def _directions(reach: tuple[Reach, ...], part: WindowPart) -> list[tuple[Reach, Reach, Floats]]:
    return [(a, b, np.zeros(part.taps.shape[d])) for d, (a, b) in enumerate(zip(reach, part.reach, strict=True))]


def _after(second: Reach, first: Reach, n_taps: int) -> Reach:
    """Return where a chain leads: all ways of the first window, each followed by all of the second."""
    return tuple(
        tuple(sorted((y, k2 * n_taps + k1) for middle, k1 in ways for y, k2 in second[middle])) for ways in first
    )


def _window(node: Node) -> tuple[Floats, tuple[Reach, ...], Kernel] | None:
    """Return weights [k..., O, C], reach and kernel of a node, or None for one that is no window."""
    if node.kind in ("Conv1d", "Conv2d"):
        weight, groups = node.fields["weight"], int(node.fields["groups"][0])
        full = _grouped(np.asarray(weight, np.float64), groups)
        before = tuple(p[0] for p in conv_padding(node))
        size, stride, dilation = weight.shape[2:], spread(node, "stride"), spread(node, "dilation")
        kernel = conv_kernel(node)
    elif node.kind in ("SumPool2d", "AvgPool2d"):
        size, stride, before = (pair(node.fields[k]) for k in ("kernel_size", "stride", "padding"))
        dilation, kernel, channels = (1, 1), pool_kernel(node), node.in_shape[0]
        value = 1.0 if node.kind == "SumPool2d" else 1.0 / math.prod(size)
        full = np.broadcast_to(value * np.eye(channels)[:, :, None, None], (channels, channels, *size))
    else:
        return None
    n = len(size)
    reach = tuple(
        _reach(node.in_shape[1 + d], node.out_shape[1 + d], size[d], stride[d], dilation[d], before[d])
        for d in range(n)
    )
    return np.ascontiguousarray(np.moveaxis(full, (0, 1), (n, n + 1))), reach, kernel


def _grouped(weight: Floats, groups: int) -> Floats:
    """Return grouped weights [O, C / groups, k...] as [O, C, k...]."""
    if groups == 1:
        return weight
    per_out, per_in = weight.shape[0] // groups, weight.shape[1]
    full = np.zeros((weight.shape[0], per_in * groups, *weight.shape[2:]))
    for g in range(groups):
        rows, columns = slice(g * per_out, (g + 1) * per_out), slice(g * per_in, (g + 1) * per_in)
        full[rows, columns] = weight[rows]
    return full


def _reach(n_in: int, n_out: int, size: int, stride: int, dilation: int, before: int) -> Reach:
    ways: list[list[tuple[int, int]]] = [[] for _ in range(n_in)]
    for y, k in product(range(n_out), range(size)):
        at = y * stride + k * dilation - before
        if 0 <= at < n_in:
            ways[at].append((y, k))
    return tuple(tuple(sorted(way)) for way in ways)


def _masked(mask: Bools, part: Part) -> Part:
    return MATRICES.masked(mask, as_part(part))


WINDOWS = Algebra(_source, _through, _masked)


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Source positions of one direction by kind: those whose taps lead to the same outputs but for a shift.

    Attributes:
        kind: of each position; shift: output position that its row starts at.
        ways: kind -> (output position from the shift on, taps that lead there), ascending.
    """

    kind: I64
    shift: I64
    ways: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]


def _kinds(reach: Reach) -> _Kinds:
    known: dict[tuple[tuple[int, int], ...], int] = {}
    kind, shift = np.zeros(len(reach), np.int64), np.zeros(len(reach), np.int64)
    for i, way in enumerate(reach):
        shift[i] = way[0][0] if way else 0
        relative = tuple((y - int(shift[i]), tap) for y, tap in way)
        kind[i] = known.setdefault(relative, len(known))
    ways = []
    for relative in known:
        outputs = sorted({y for y, _ in relative})
        ways.append(tuple((y, tuple(tap for at, tap in relative if at == y)) for y in outputs))
    return _Kinds(kind, shift, tuple(ways))


def shared_projection(part: WindowPart, name: str, source: str, target: str, gain: Floats) -> SharedProjection:
    """Return a path as a projection with shared rows, its weights times the one value of `gain`; delay 0, port ``in``."""
    kinds = [_kinds(d) for d in part.reach]
    outputs, channels = part.out_shape, part.in_shape[0]
    lines = np.array([math.prod(outputs[d + 1 :]) for d in range(len(outputs))], np.int64)  # steps of a flat index
    template, indices, weights = [0], [], []
    for ways in product(*(k.ways for k in kinds)):
        cells = list(product(*ways))  # ((y_0, taps_0), (y_1, taps_1), ...)
        values = _over(part.taps, cells)
        values[np.abs(values) <= RESIDUE * _over(part.terms, cells)] = 0
        values *= gain[0]
        at = np.array([sum(y * lines[1 + d] for d, (y, _) in enumerate(cell)) for cell in cells], np.int64)
        place = np.arange(outputs[0])[:, None] * lines[0] + at  # [O, cells]
        for c in range(channels):
            sums = values[:, :, c].T
            keep = sums != 0
            indices.append(place[keep])
            weights.append(sums[keep])
            template.append(template[-1] + int(keep.sum()))
    number = kinds[0].kind
    for k in kinds[1:]:
        number = number[..., None] * len(k.ways) + k.kind
    shift = reduce(np.add.outer, [k.shift * lines[1 + d] for d, k in enumerate(kinds)])
    row_of = (number[None] * channels + np.arange(channels).reshape(-1, *(1,) * number.ndim)).reshape(-1)
    offset = np.broadcast_to(shift, (channels, *shift.shape)).reshape(-1).astype(np.int32)
    row, rows = row_of.astype(np.int32), np.array(template, np.int64)
    words = part.kernel.words if part.kernel is not None else 0
    return SharedProjection(
        name, source, target, "in", pointers(row, rows),
        np.concatenate(indices).astype(np.int32), np.concatenate(weights),
        layout="conv" if words else "sparse", shared_words=words, row=row, offset=offset, template=rows,
        channels=outputs[0], channel_words=_words_of_a_channel(part, outputs[0]),
    )  # fmt: skip


def _over(taps: Floats, cells: list[tuple[tuple[int, tuple[int, ...]], ...]]) -> Floats:
    """Return the sums [cells, O, C] of the taps that lead to each cell ((y_0, taps_0), (y_1, taps_1), ...)."""
    axes = tuple(range(taps.ndim - 2))
    sums = [taps[np.ix_(*(at for _, at in cell))].sum(axis=axes) for cell in cells]
    return np.array(sums).reshape(len(cells), *taps.shape[-2:])


def _words_of_a_channel(part: WindowPart, channels: int) -> int:
    kernel = part.kernel
    return kernel.words // channels if kernel is not None and kernel.channels % channels == 0 else 0
