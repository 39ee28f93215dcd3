"""Fold the stateless nodes and Delays between neurons: what each neuron receives, as matrices from neurons and inputs.

The value of a node is sum over (source, delay) of A x_source(t - delay) + b, where a source is a neuron, a Threshold or
an Input. Feedback edges that wait a step count as a delay of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bimhw.frontends.nir.dynamics import spread
from bimhw.frontends.nir.graph import NEURONS, NirGraph, Node
from bimhw.frontends.nir.matrices import Kernel, as_matrix
from bimhw.frontends.nir.order import order
from bimhw.frontends.nir.profile import Profile
from bimhw.frontends.nir.sources import delay_steps
from simulator.base.arrays import Bools, Floats
from simulator.base.errors import FitError

Key = tuple[str, int]  # source, delay in steps
Csr = Any  # a scipy CSR matrix
SOURCES = (*NEURONS, "Threshold", "Input")
RESIDUE = 2.0**-43  # a sum of this part of its terms' magnitudes is rounding: its terms cancel


@dataclass(frozen=True, eq=False)
class Part:
    """One linear path.

    Attributes:
        matrix: [node, source].
        kernel: shared weights, where it is one convolution.
        summed: sums of the magnitudes of each entry's terms; None where no entry is a sum.
    """

    matrix: Csr
    kernel: Kernel | None = None
    summed: Csr = field(default=None, kw_only=True)

    @property
    def magnitude(self) -> Csr:
        """Return `summed`, or the magnitudes of the entries."""
        return abs(self.matrix) if self.summed is None else self.summed

    def without_residues(self) -> Csr:
        """Return the matrix less the entries whose terms cancel but for rounding."""
        if self.summed is None or not self.summed.nnz:
            return self.matrix
        entries = self.matrix.tocoo()
        size = np.abs(entries.data)
        small = np.flatnonzero((size <= RESIDUE * self.summed.max()) & (size > 0))
        if not small.size:
            return self.matrix
        terms = np.asarray(self.summed[entries.row[small], entries.col[small]])
        entries.data[small[size[small] <= RESIDUE * terms]] = 0
        return entries.tocsr()

    @property
    def identity(self) -> bool:
        """Return whether the path passes every value on as it is."""
        square = self.matrix.shape[0] == self.matrix.shape[1] == self.matrix.nnz
        return bool(square and (self.matrix.diagonal() == 1).all())

    def __add__(self, other: Part) -> Part:
        """Return the sum of two paths from one source; it is no window any more."""
        return Part(self.matrix + other.matrix, summed=self.magnitude + other.magnitude)


@dataclass(frozen=True, eq=False)
class Form:
    """A node's value as linear parts and a constant; `size` values."""

    size: int
    parts: Mapping[Key, Part] = field(default_factory=dict)
    bias: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Algebra:
    """Representation of paths: as matrices, or as patterns (`patterns.py`).

    Attributes:
        source: node -> the path from it to itself.
        through: (stateless node, what arrives) -> what it makes of it.
        masked: (mask [values], path) -> the path to the values of the mask.
    """

    source: Callable[[Node], Part]
    through: Callable[[Node, Form], Form]
    masked: Callable[[Bools, Part], Part]


def fold(graph: NirGraph, profile: Profile, algebra: Algebra | None = None) -> dict[str, Form]:
    """Return what arrives at every neuron, Threshold and Output.

    Raises:
        FitError: by node name: a loop without a neuron, a constant that a Delay would hold back at the start.
    """
    return _Folding(graph, profile, algebra or MATRICES).run()


class _Folding:
    def __init__(self, graph: NirGraph, profile: Profile, algebra: Algebra) -> None:
        self.graph, self.profile, self.algebra = graph, profile, algebra
        self.waits = order(graph, profile.delayed_edges).delayed
        self.forms: dict[str, Form] = {}
        self.open: list[str] = []

    def run(self) -> dict[str, Form]:
        wanted = self.graph.of_kind(*NEURONS, "Threshold", "Output")
        return {node.name: self._arriving(node) for node in wanted}

    def _arriving(self, node: Node) -> Form:
        size = int(np.prod(node.in_shape))
        parts: dict[Key, Part] = {}
        bias = np.zeros(size)
        for source in self.graph.sources(node.name):
            form = self._value(self.graph.nodes[source])
            wait = int((source, node.name) in self.waits)
            if wait and form.bias.any():
                self._refuse_bias(source, "an edge that waits a step")
            bias = bias + form.bias
            for (name, delay), part in form.parts.items():
                _add(parts, (name, delay + wait), part)
        return Form(size, parts, bias)

    def _value(self, node: Node) -> Form:
        size = int(np.prod(node.out_shape))
        if node.kind in SOURCES:
            return Form(size, {(node.name, 0): self.algebra.source(node)}, np.zeros(size))
        if node.name not in self.forms:
            if node.name in self.open:
                loop = " -> ".join([*self.open[self.open.index(node.name) :], node.name])
                raise FitError(f"{self.graph.source}: loop {loop}", "has no neuron on it, so no synapses make it")
            self.open.append(node.name)
            came = self._arriving(node)
            self.open.pop()
            self.forms[node.name] = (
                self._delayed(node, came) if node.kind == "Delay" else self.algebra.through(node, came)
            )
        return self.forms[node.name]

    def _delayed(self, node: Node, came: Form) -> Form:
        steps = spread(delay_steps(self.graph, node, self.profile.of(node.name)), node.in_shape).reshape(-1)
        if (came.bias[steps > 0] != 0).any():
            self._refuse_bias(node.name, "a Delay")
        parts: dict[Key, Part] = {}
        for k in np.unique(steps):
            for (name, delay), part in came.parts.items():
                kept = part if (steps == k).all() else self.algebra.masked(steps == k, part)
                _add(parts, (name, delay + int(k)), kept)
        return Form(came.size, parts, came.bias)

    def _refuse_bias(self, name: str, what: str) -> None:
        raise FitError(
            f"{self.graph.source}: {self.graph.nodes[name].where}",
            f"carries a constant through {what}, which would be missing in the first steps",
            "Put the Delay before the Affine",
        )


def _source(node: Node) -> Part:
    from scipy import sparse

    return Part(sparse.csr_array(sparse.eye_array(int(np.prod(node.out_shape)))))


def _masked(mask: Bools, part: Part) -> Part:
    from scipy import sparse

    kept = sparse.csr_array(sparse.diags_array(mask.astype(np.float64)))
    return Part(kept @ part.matrix, part.kernel, summed=None if part.summed is None else kept @ part.summed)


def _through(node: Node, came: Form) -> Form:
    if node.kind in ("Flatten", "Output", "Junction"):
        return Form(int(np.prod(node.out_shape)), came.parts, came.bias)
    matrix, bias, kernel = as_matrix(node)
    parts = {}
    for key, part in came.parts.items():
        summed = None if part.identity else abs(matrix) @ part.magnitude
        parts[key] = Part(matrix @ part.matrix, _joined(part, kernel), summed=summed)
    return Form(matrix.shape[0], parts, matrix @ came.bias + bias)


def _joined(part: Part, kernel: Kernel | None) -> Kernel | None:
    """Return the shared kernel of a path: windows after windows stay one; anything else is plain synapses."""
    if kernel is None:
        return None
    if part.kernel is not None:
        return kernel.after(part.kernel)
    return kernel if part.identity else None


def _add(parts: dict[Key, Part], key: Key, part: Part) -> None:
    parts[key] = parts[key] + part if key in parts else part


MATRICES = Algebra(_source, _through, _masked)
