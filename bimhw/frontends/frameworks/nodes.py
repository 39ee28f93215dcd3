"""`Nodes`: a NIR graph under construction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bimhw.frontends.frameworks import layers
from bimhw.frontends.frameworks.affine import Affine
from bimhw.frontends.frameworks.cell import NodeSpec
from bimhw.frontends.nir.graph import Edge
from bimhw.frontends.nir.lower import FormOf

INPUT = "input"


@dataclass(eq=False, kw_only=True)
class Nodes:
    """Nodes and edges.

    Attributes:
        nodes, edges: of the NIR graph.
        inputs: names of the Input nodes.
        input_shapes: of those that are used.
        names: neuron layer -> its node, as no other node is called.
        forms: node -> its neuron.
    """

    nodes: dict[str, NodeSpec] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    inputs: tuple[str, ...] = (INPUT,)
    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    forms: dict[str, FormOf] = field(default_factory=dict)
    _made: dict[Any, list[str]] = field(default_factory=dict)

    def unused(self, name: str) -> str:
        """Return a name that no node has yet."""
        name = "".join(c if c.isprintable() else "_" for c in name) or "module"
        taken, k = name, 2
        while taken in self.nodes or taken in self.inputs or taken in self.names.values():
            taken, k = f"{name}.{k}", k + 1
        return taken

    def add(self, name: str, spec: NodeSpec) -> str:
        """Add a node and return its name."""
        name = self.unused(name)
        self.nodes[name] = spec
        return name

    def join(self, sources: list[str], target: str) -> None:
        """Add the edges from nodes to one."""
        for source in sources:
            if (source, target) in self.edges:
                twin = self.add(f"{source}.again", ("Scale", {"scale": np.ones(())}))
                self.edges += [(source, twin), (twin, target)]
            else:
                self.edges.append((source, target))

    def after(self, sources: list[str], name: str, spec: NodeSpec) -> list[str]:
        """Add a node behind others."""
        node = self.add(name, spec)
        self.join(sources, node)
        return [node]

    def reshaped(self, sources: list[str], shape: tuple[int, ...], wanted: tuple[int, ...]) -> list[str]:
        """Return nodes whose values have another shape."""
        return sources if shape == wanted else self.after(sources, "flatten", layers.flattening(shape, wanted))

    def delayed(self, sources: list[str], lag: int, shape: tuple[int, ...]) -> list[str]:
        """Return nodes whose values are `lag` steps old."""
        if lag == 0:
            return sources
        key = ("delay", tuple(sources), lag)
        if key not in self._made:
            spec: NodeSpec = ("Delay", {"delay": np.full(shape, float(lag))})
            self._made[key] = self.after(sources, f"{sources[0]}.delay{lag}", spec)
        return self._made[key]

    def matrix(self, sources: list[str], part: Affine, shape: tuple[int, ...], wanted: tuple[int, ...]) -> list[str]:
        """Add a linear function by its matrix, from values of `shape` to those of `wanted`."""
        nodes = self.reshaped(sources, shape, part.matrix.shape[1:])
        nodes = self.after(nodes, part.name, ("Affine", {"weight": part.matrix, "bias": part.bias}))
        return self.reshaped(nodes, part.matrix.shape[:1], wanted)
