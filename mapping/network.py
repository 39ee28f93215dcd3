"""`Network`: populations and projections before any core is chosen (the core/synapse graph)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.base.arrays import I32
from simulator.base.errors import InputError
from simulator.base.shown import Shown
from simulator.program.graph import Population, Projection
from simulator.program.spikes import SpikeTrain

Stage = Literal["float", "integer"]


@dataclass(frozen=True, eq=False, repr=False)
class Network(Shown):
    """A spiking network as a graph.

    Attributes:
        stage: ``float`` (as a front end made it) or ``integer`` (quantised and lowered to the chip's words).
        populations: in logical order.
        projections: between them.
        meta: JSON-able facts handed on to the program (task, steps, state formats, decoding ...).
        inputs: input spikes that the source brings (logical ids), or None.
        core: int32 [N], a mapping that the source brings, or None.
        samples: integer payloads [samples, steps, n] of the input that the source brings to calibrate on, or None.
    """

    stage: Stage
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)
    inputs: SpikeTrain | None = None
    core: I32 | None = None
    samples: I32 | None = None

    def population(self, name: str) -> Population:
        """Return the population of this name."""
        for population in self.populations:
            if population.name == name:
                return population
        raise InputError(
            f"population {name!r}", "is not in the network", f"It has: {[p.name for p in self.populations]}"
        )

    @property
    def n_neurons(self) -> int:
        """Neurons on the chip (external inputs not counted)."""
        return sum(p.size for p in self.populations if p.role != "input")

    @property
    def n_synapses(self) -> int:
        """Stored synapses."""
        return sum(p.n_synapses for p in self.projections)

    def __str__(self) -> str:
        lines = [f"network {self.stage}"]
        for p in self.populations:
            params = " ".join(sorted(p.params))
            lines.append(f"  population {p.name} {p.model} n={p.size} layer={p.layer} {p.role} [{params}]")
        for q in self.projections:
            bits = "" if self.stage == "float" else f" w{q.weight_bits}<<{q.exponent}"
            lines.append(
                f"  projection {q.name} {q.source} -> {q.target}.{q.port} {q.layout} nnz={q.n_synapses} delay={q.delay}{bits}"
            )
        return "\n".join(lines)

    def to_networkx(self) -> Any:
        """Return a networkx.MultiDiGraph: one node a population, one edge a projection, with their figures as attributes."""
        import networkx as nx

        graph = nx.MultiDiGraph(stage=self.stage)
        for p in self.populations:
            graph.add_node(p.name, model=p.model, size=p.size, layer=p.layer, role=p.role)
        for q in self.projections:
            graph.add_edge(q.source, q.target, key=q.name, port=q.port, synapses=q.n_synapses, delay=q.delay)
        return graph
