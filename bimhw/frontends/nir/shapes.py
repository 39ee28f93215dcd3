"""Shapes of every node, from the Input nodes forwards, with the repairs that exporters make necessary.

Repairs, each noted: a batch dimension in front of Input and Output (Norse leaves in that of its sample), parameters of one
element (scalar thresholds or leaks), and a Flatten that kept a dimension in front of a Linear.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np

from bimhw.frontends.nir.graph import NEURONS, NirGraph, Node, Shape
from simulator.base.errors import InputError

MOST_VALUES = 2**26  # of one node: 64 times the neurons of a Loihi 2, half a gigabyte a sample
_PARAMETERS = {"Scale": ("scale",), "Threshold": ("threshold",), "Delay": ("delay",)}


def infer(graph: NirGraph) -> NirGraph:
    """Return the graph with the shapes of every node.

    Raises:
        InputError: no Input or Output, a shape that cannot be known, or two shapes that do not meet.
    """
    for kind in ("Input", "Output"):
        if not graph.of_kind(kind):
            raise InputError(graph.source, f"has no {kind} node", f"Add one, with its shape, before the {kind.lower()}")
    try:
        return _infer(graph)
    except InputError as as_stated:
        unbatched = _without_batch(graph)
        if unbatched is None:
            raise
        try:
            return _infer(unbatched)
        except InputError:
            raise as_stated from None


def _without_batch(graph: NirGraph) -> NirGraph | None:
    """Return the graph without the one size that stands in front of every Input and Output, or None where there is none."""
    ends = graph.of_kind("Input", "Output")
    stated = {n.name: n.fields["shape"] for n in ends}
    sizes = {shape[0] if len(shape) > 1 else None for shape in stated.values()}
    if len(sizes) != 1 or None in sizes:
        return None
    nodes = {
        name: replace(n, fields={**n.fields, "shape": stated[name][1:]}) if name in stated else n
        for name, n in graph.nodes.items()
    }
    note = f"the size {sizes.pop()} in front of the shapes of Input and Output is left out as that of a batch"
    return replace(graph, nodes=nodes, notes=(*graph.notes, note))


def _infer(graph: NirGraph) -> NirGraph:
    notes = list(graph.notes)
    nodes = dict(graph.nodes)
    known = _Placing(graph, nodes, notes).run()
    for node in nodes.values():
        if node.name not in known:
            raise InputError(f"{graph.source}: {node.where}", "has a shape that cannot be known", _WAY_OUT)
    for a, b in graph.edges:
        if not _meets(nodes[a].out_shape, nodes[b]):
            problem = f"has the shape {list(nodes[a].out_shape)}, but {b!r} takes {list(nodes[b].in_shape)}"
            raise InputError(f"{graph.source}: edge {a!r} -> {b!r}: {nodes[a].where}", problem, "Export it again")
    return replace(graph, nodes=nodes, notes=tuple(dict.fromkeys(notes)))


class _Placing:
    """Shapes from the Inputs on; where that reaches no further, a node's own statement starts again (loops from nowhere)."""

    def __init__(self, graph: NirGraph, nodes: dict[str, Node], notes: list[str]) -> None:
        self.graph, self.nodes, self.notes = graph, nodes, notes
        self.known: dict[str, Shape] = {}

    def run(self) -> dict[str, Shape]:
        """Return the output shape of every node that has one; `nodes` hold them."""
        for node in self.graph.of_kind("Input"):
            self._from(node.name)
        for name in self.nodes:
            if name not in self.known:
                self._from(name)
        return self.known

    def _from(self, name: str) -> None:
        ready = deque([name])
        while ready:
            name = ready.popleft()
            if name not in self.known and self._place(self.nodes[name]):
                ready.extend(self.graph.targets(name))

    def _place(self, node: Node) -> bool:
        came = next((self.known[s] for s in self.graph.sources(node.name) if s in self.known), None)
        try:
            placed = _place(node, came, self.notes)
        except InputError as error:
            raise InputError(f"{self.graph.source}: {error.where}", error.problem, error.way_out) from None
        if placed is None:
            return False
        size = math.prod(placed.out_shape)
        if size > MOST_VALUES:
            problem = f"gives out {list(placed.out_shape)}: {size:,} values, {MOST_VALUES:,} at most"
            raise InputError(f"{self.graph.source}: {node.where}", problem, "Use a smaller layer")
        self.nodes[node.name], self.known[node.name] = placed, placed.out_shape
        return True


_WAY_OUT = "Connect it to an Input, or give its input_shape"


def squeeze(shape: Shape) -> Shape:
    """Return a shape without the sizes of 1 in front (of which the last size is kept)."""
    first = 0
    while first < len(shape) - 1 and shape[first] == 1:
        first += 1
    return shape[first:]


def _meets(shape: Shape, node: Node) -> bool:
    if shape == node.in_shape or squeeze(shape) == squeeze(node.in_shape):
        return True
    return node.kind in ("Linear", "Affine") and math.prod(shape) == math.prod(node.in_shape)


def _place(node: Node, came: Shape | None, notes: list[str]) -> Node | None:
    """Return the node with its shapes, or None while they cannot be known."""
    if node.kind == "Input":
        return replace(node, in_shape=node.fields["shape"], out_shape=node.fields["shape"])
    if node.kind in ("Output", "Junction"):
        return None if came is None else _end(node, came)
    if node.kind in ("Linear", "Affine"):
        return _linear(node, came, notes)
    if node.kind in ("Conv1d", "Conv2d"):
        return _conv(node, came, notes)
    if node.kind in ("SumPool2d", "AvgPool2d"):
        return None if came is None else _pool(node, came, notes)
    if node.kind == "Flatten":
        return _flatten(node, came)
    return _elementwise(node, came, notes)


def _end(node: Node, came: Shape) -> Node:
    stated = node.fields["shape"]
    if stated and math.prod(stated) != math.prod(came):
        raise InputError(node.where, f"states the shape {list(stated)}, but {list(came)} arrives", "Export it again")
    return replace(node, in_shape=came, out_shape=came)


def _linear(node: Node, came: Shape | None, notes: list[str]) -> Node:
    weight = node.fields["weight"].shape
    in_shape, out_shape = (*weight[:-2], weight[-1]), (*weight[:-2], weight[-2])
    if came is not None and squeeze(came) != squeeze(in_shape) and math.prod(came) == math.prod(in_shape):
        notes.append(f"{node.where} takes {list(in_shape)}; the {list(came)} that arrives is flattened for it")
    return replace(node, in_shape=in_shape, out_shape=out_shape)


def _misfit(node: Node, names: tuple[str, ...], came: Shape) -> InputError:
    """Return the error for a neuron whose parameters are not one number for each value that arrives, by their names."""
    wrong = [n for n in names if node.fields[n].size > 1 and squeeze(node.fields[n].shape) != squeeze(came)]
    shapes = " and ".join(str(list(shape)) for shape in dict.fromkeys(node.fields[n].shape for n in wrong))
    problem = f"has the shape {shapes}, but {list(came)} arrives, and each neuron takes one number"
    return InputError(f"{node.where}: {', '.join(wrong)}", problem, "Export it again")


def _elementwise(node: Node, came: Shape | None, notes: list[str]) -> Node | None:
    """Infer Neurons, Scale, Threshold, Delay: parameters of one shape, or of one element."""
    names = _PARAMETERS.get(node.kind, tuple(node.fields) if node.kind in NEURONS else ())
    try:
        own = np.broadcast_shapes(*(node.fields[n].shape for n in names))
    except ValueError:
        shapes = {n: node.fields[n].shape for n in names}
        raise InputError(node.where, f"has parameters of different shapes: {shapes}", "Export it again") from None
    if came is None:
        return replace(node, in_shape=own, out_shape=own) if math.prod(own) > 1 else None
    if own != came and math.prod(own) == 1:
        notes.append(f"{node.where} has parameters of one element, used for all of {list(came)}")
        return replace(node, in_shape=came, out_shape=came)
    if squeeze(own) != squeeze(came):
        if len(own) == 1 and own[0] == came[0] and _constant(node, names):
            notes.append(
                f"{node.where} has the same parameters for each of {own[0]} channels, used for all of {list(came)}"
            )
            alike = {n: node.fields[n].reshape(-1)[:1] for n in names}
            return replace(node, fields={**node.fields, **alike}, in_shape=came, out_shape=came)
        if not _broadcasts(own, came):
            raise _misfit(node, names, came)
        notes.append(f"{node.where} has parameters of shape {list(own)}, repeated to {list(came)}")
        return replace(node, in_shape=came, out_shape=came)
    return replace(node, in_shape=own, out_shape=own)


def _constant(node: Node, names: tuple[str, ...]) -> bool:
    return all((node.fields[n] == node.fields[n].reshape(-1)[0]).all() for n in names)


def _broadcasts(own: Shape, came: Shape) -> bool:
    """Return whether parameters such as [channels, 1, 1] repeat to the shape that arrives (same number of dimensions only)."""
    return len(own) == len(came) and all(a in (1, b) for a, b in zip(own, came, strict=True))


def pair(value: tuple[int, ...]) -> tuple[int, int]:
    """Return one integer for both directions, or two."""
    return (value[0], value[-1])


def conv_padding(node: Node) -> tuple[tuple[int, int], ...]:
    """Return (before, after) of each direction; ``same`` puts the odd one after, as PyTorch does."""
    n, padding = int(node.fields["weight"].ndim) - 2, node.fields["padding"]
    if padding == "valid":
        return ((0, 0),) * n
    if padding == "same":
        if any(s != 1 for s in node.fields["stride"]):
            raise InputError(node.where, f"has padding 'same' with stride {node.fields['stride']}", "Use numbers")
        span = [d * (k - 1) for d, k in zip(spread(node, "dilation"), node.fields["weight"].shape[2:], strict=True)]
        return tuple((s // 2, s - s // 2) for s in span)
    return tuple((p, p) for p in spread(node, "padding"))


def spread(node: Node, name: str) -> tuple[int, ...]:
    """Return one integer for each direction of a convolution, from a field of one or two."""
    value: tuple[int, ...] = node.fields[name]
    n = node.fields["weight"].ndim - 2
    if len(value) not in (1, n):
        raise InputError(f"{node.where}: {name}", f"is {value}; the kernel has {n} direction(s)")
    return value * n if len(value) == 1 else value


def _conv(node: Node, came: Shape | None, notes: list[str]) -> Node | None:
    weight, groups = node.fields["weight"], node.fields["groups"][0]
    n = weight.ndim - 2
    channels = weight.shape[1] * groups
    if weight.shape[0] % groups:
        raise InputError(node.where, f"has {weight.shape[0]} outputs, which {groups} groups do not divide")
    if came is None:
        own = node.fields["input_shape"]
        if not own:
            return None
        came = (channels, *own)
    in_shape = came
    while len(in_shape) > n + 1 and in_shape[0] == 1:
        in_shape = in_shape[1:]
    if len(in_shape) != n + 1 or in_shape[0] != channels:
        problem = f"takes [{channels}, {'length' if n == 1 else 'height, width'}], but {list(came)} arrives"
        raise InputError(node.where, problem, "Export it again")
    stated = node.fields["input_shape"]
    if stated and tuple(stated) != in_shape[1:]:
        notes.append(f"{node.where} states input_shape {list(stated)}, but {list(in_shape[1:])} arrives; that is used")
    return replace(node, in_shape=in_shape, out_shape=(weight.shape[0], *_windows(node, in_shape[1:])))


def _windows(node: Node, size: Shape) -> list[int]:
    kernel, stride, dilation = node.fields["weight"].shape[2:], spread(node, "stride"), spread(node, "dilation")
    return [
        _count(node, size[i] + sum(conv_padding(node)[i]), dilation[i] * (kernel[i] - 1) + 1, stride[i])
        for i in range(len(size))
    ]


def _count(node: Node, length: int, window: int, stride: int) -> int:
    if window > length:
        raise InputError(node.where, f"has a window of {window} on a padded input of {length}", "Export it again")
    return (length - window) // stride + 1


def _pool(node: Node, came: Shape, notes: list[str]) -> Node:
    in_shape = came
    while len(in_shape) > 3 and in_shape[0] == 1:
        in_shape = in_shape[1:]
    if len(in_shape) != 3:
        raise InputError(node.where, f"takes [channels, height, width], but {list(came)} arrives")
    kernel, stride, padding = (pair(node.fields[k]) for k in ("kernel_size", "stride", "padding"))
    out = [_count(node, in_shape[1 + i] + 2 * padding[i], kernel[i], stride[i]) for i in range(2)]
    return replace(node, in_shape=in_shape, out_shape=(in_shape[0], *out))


def _flatten(node: Node, came: Shape | None) -> Node | None:
    in_shape = came if came is not None else node.fields["input_type"]
    if not in_shape:
        return None
    stated = node.fields["input_type"]
    if came is not None and stated and math.prod(stated) != math.prod(came):
        raise InputError(node.where, f"states input_type {list(stated)}, but {list(came)} arrives", "Export it again")
    if node.fields["shape"]:
        return replace(node, in_shape=in_shape, out_shape=node.fields["shape"])
    n = len(in_shape)
    first, last = node.fields["start_dim"], node.fields["end_dim"]
    first, last = first + n * (first < 0), last + n * (last < 0)
    if stated and came is not None and len(stated) < n:  # dims count from the stated shape, without the batch in front
        first, last = first + n - len(stated), min(last + n - len(stated), n - 1)
    first, last = min(first, n - 1), min(last, n - 1)
    if not 0 <= first <= last:
        raise InputError(node.where, f"flattens dimensions {first}..{last} of {list(in_shape)}")
    return replace(
        node,
        in_shape=in_shape,
        out_shape=(*in_shape[:first], math.prod(in_shape[first : last + 1]), *in_shape[last + 1 :]),
    )
