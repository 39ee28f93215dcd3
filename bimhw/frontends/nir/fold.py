"""Fold the stateless nodes and Delays between neurons: what each neuron receives, as matrices from neurons and inputs.

The value of a node is sum over (source, delay) of A x_source(t - delay) + b, where a source is a neuron, a Threshold or
an Input. Feedback edges that wait a step count as a delay of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bimhw.frontends.nir.dynamics import spread
from bimhw.frontends.nir.graph import NEURONS, NirGraph, Node
from bimhw.frontends.nir.matrices import Kernel, as_matrix
from bimhw.frontends.nir.order import order
from bimhw.frontends.nir.profile import Profile
from bimhw.frontends.nir.sources import delay_steps
from simulator.base.errors import FitError

Floats = npt.NDArray[np.float64]
Key = tuple[str, int]  # source, delay in steps
SOURCES = (*NEURONS, "Threshold", "Input")


@dataclass(frozen=True, eq=False)
class Part:
    """One linear path: matrix [node, source] (scipy CSR) and the shared kernel where it is one convolution."""

    matrix: Any
    kernel: Kernel | None = None


@dataclass(frozen=True, eq=False)
class Form:
    """A node's value as linear parts and a constant; `size` values."""

    size: int
    parts: Mapping[Key, Part] = field(default_factory=dict)
    bias: Floats = field(default_factory=lambda: np.zeros(0))


def fold(graph: NirGraph, profile: Profile) -> dict[str, Form]:
    """What arrives at every neuron, Threshold and Output.

    Raises:
        FitError: by node name: a loop without a neuron, a constant that a Delay would hold back at the start.
    """
    return _Folding(graph, profile).run()


class _Folding:
    def __init__(self, graph: NirGraph, profile: Profile) -> None:
        self.graph, self.profile = graph, profile
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
            from scipy import sparse

            return Form(size, {(node.name, 0): Part(sparse.csr_array(sparse.eye_array(size)))}, np.zeros(size))
        if node.name not in self.forms:
            if node.name in self.open:
                loop = " -> ".join([*self.open[self.open.index(node.name) :], node.name])
                raise FitError(f"{self.graph.source}: loop {loop}", "has no neuron on it, so no synapses make it")
            self.open.append(node.name)
            came = self._arriving(node)
            self.open.pop()
            self.forms[node.name] = self._delayed(node, came) if node.kind == "Delay" else _through(node, came)
        return self.forms[node.name]

    def _delayed(self, node: Node, came: Form) -> Form:
        from scipy import sparse

        steps = spread(delay_steps(self.graph, node, self.profile.of(node.name)), node.in_shape).reshape(-1)
        if (came.bias[steps > 0] != 0).any():
            self._refuse_bias(node.name, "a Delay")
        parts: dict[Key, Part] = {}
        for k in np.unique(steps):
            mask = sparse.csr_array(sparse.diags_array((steps == k).astype(np.float64)))
            for (name, delay), part in came.parts.items():
                matrix = part.matrix if (steps == k).all() else mask @ part.matrix
                _add(parts, (name, delay + int(k)), Part(matrix, part.kernel))
        return Form(came.size, parts, came.bias)

    def _refuse_bias(self, name: str, what: str) -> None:
        raise FitError(
            f"{self.graph.source}: {self.graph.nodes[name].where}",
            f"carries a constant through {what}, which would be missing in the first steps",
            "Put the Delay before the Affine",
        )


def _through(node: Node, came: Form) -> Form:
    if node.kind in ("Flatten", "Output", "Junction"):
        return Form(int(np.prod(node.out_shape)), came.parts, came.bias)
    matrix, bias, kernel = as_matrix(node)
    parts = {}
    for key, part in came.parts.items():
        parts[key] = Part(matrix @ part.matrix, _joined(part, kernel))
    return Form(matrix.shape[0], parts, matrix @ came.bias + bias)


def _joined(part: Part, kernel: Kernel | None) -> Kernel | None:
    """The shared kernel of a path: windows after windows stay one; anything else is plain synapses."""
    if kernel is None:
        return None
    if part.kernel is not None:
        return kernel.after(part.kernel)
    identity = part.matrix.nnz == part.matrix.shape[0] and part.matrix.shape[0] == part.matrix.shape[1]
    return kernel if identity and (part.matrix.diagonal() == 1).all() else None


def _add(parts: dict[Key, Part], key: Key, part: Part) -> None:
    parts[key] = Part(parts[key].matrix + part.matrix) if key in parts else part
