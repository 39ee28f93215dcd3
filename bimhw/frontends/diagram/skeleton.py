"""A diagram as a float network of leaky neurons: the skeleton that a modeller fills.

A component becomes a population, an interface a projection whose neurons are connected at random with its probability. The
absolute weights of a neuron add up to `strength` thresholds, as expected; ``mixed`` interfaces have random signs. Layers are
counted from the inputs along the shortest way; components that no input reaches stand in layer 1. All is drawn from the seed and
the interface's name, so that an interface keeps its synapses when others change.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np

from bimhw.frontends.diagram.check import Finding, findings
from bimhw.frontends.diagram.read import Component, Diagram, Interface, read_diagram
from mapping.network import Network
from simulator.base.arrays import Floats
from simulator.base.names import INPUT_MODEL
from simulator.base.shown import Shown
from simulator.neurons import leaky
from simulator.program.graph import Population, Projection


@dataclass(frozen=True, eq=False, repr=False)
class Skeleton(Shown):
    """A network made from a diagram.

    Attributes:
        network: float stage; `bimhw.compile` takes it.
        diagram: as it was read.
        findings: of the diagram against its anatomy.
    """

    network: Network
    diagram: Diagram
    findings: tuple[Finding, ...]

    @property
    def consistent(self) -> bool:
        """Return whether nothing contradicts the anatomy or is unknown to it."""
        return not any(f.kind in ("contradicts", "unknown") for f in self.findings)

    def to_json(self) -> dict[str, object]:
        """Return sizes and findings."""
        return {
            "name": self.diagram.name,
            "components": len(self.diagram.components),
            "interfaces": len(self.diagram.interfaces),
            "neurons": sum(p.size for p in self.network.populations),
            "synapses": sum(q.weights.size for q in self.network.projections),
            "consistent": self.consistent,
            "checked": self.diagram.anatomy is not None,
            "findings": [{"kind": f.kind, "path": f.path, "text": f.text} for f in self.findings],
        }


def from_diagram(source: Path | str | bytes | dict[str, object], *, seed: int = 0) -> Skeleton:
    """Make a network of a component diagram, and hold the diagram against its anatomy.

    Args:
        source: file, JSON bytes or parsed object; docs/literature/scid.md has the format.
        seed: of the connections.

    Raises:
        InputError: not a diagram; the message has the path of the value. A diagram that contradicts its anatomy is no error.
    """
    diagram = read_diagram(source)
    return Skeleton(diagram_network(diagram, seed), diagram, findings(diagram))


def diagram_network(diagram: Diagram, seed: int = 0) -> Network:
    """Return the skeleton of a diagram."""
    layers = _layers(diagram)
    ordered = sorted(diagram.components, key=lambda c: c.role != "input")  # inputs first, as front ends give them
    populations = tuple(_population(c, layers[c.name]) for c in ordered)
    by_name = {c.name: c for c in diagram.components}
    projections = tuple(_projection(i, by_name, seed) for i in diagram.interfaces)
    return Network("float", populations, projections, {"kind": "diagram"})


def _layers(diagram: Diagram) -> dict[str, int]:
    graph: nx.DiGraph[str] = nx.DiGraph((i.source, i.target) for i in diagram.interfaces)
    graph.add_nodes_from(c.name for c in diagram.components)
    inputs = [c.name for c in diagram.components if c.role == "input"]
    far = nx.multi_source_dijkstra_path_length(graph, inputs) if inputs else {}
    return {c.name: 0 if c.role == "input" else int(far.get(c.name, 1)) for c in diagram.components}


def _population(c: Component, layer: int) -> Population:
    if c.role == "input":
        return Population(c.name, INPUT_MODEL, c.neurons, role="input", shape=(c.neurons,))
    params = {
        "keep": float(np.exp(-1 / c.tau_steps)), "bias": 0.0, "theta": c.threshold, "v_reset": 0.0, "v_init": 0.0,
        "v_min": -np.inf, "cmp": float(leaky.ABOVE), "reset": float(leaky.SOFT), "fires": 1.0, "sh_out": 0.0,
        "wait": float(layer),
    }  # fmt: skip
    words = {name: np.full(c.neurons, value) for name, value in params.items()}
    return Population(c.name, "leaky", c.neurons, words, layer=layer, role=c.role, shape=(c.neurons,))


def _projection(i: Interface, components: dict[str, Component], seed: int) -> Projection:
    m, target = components[i.source].neurons, components[i.target]
    rng = np.random.default_rng((seed, zlib.crc32(f"{i.source}>{i.target}".encode())))
    fan_out = rng.binomial(target.neurons, i.probability, m)
    rows = [np.sort(rng.choice(target.neurons, n, replace=False)) for n in fan_out]
    indices = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int32)
    weight = i.strength * target.threshold / max(i.probability * m, 1.0)
    sign: Floats = np.full(indices.size, -1.0 if i.sign == "inhibitory" else 1.0)
    if i.sign == "mixed":
        sign = rng.choice(np.array([-1.0, 1.0]), indices.size)
    indptr = np.concatenate([[0], np.cumsum(fan_out)]).astype(np.int64)
    return Projection(f"{i.source}>{i.target}", i.source, i.target, "in", indptr, indices, sign * weight, i.delay)
