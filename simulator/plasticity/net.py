"""A program as on-chip learning sees it: BIM-D layers, their input lines, and one readout population.

A *line* of a layer is one input value of a step: neuron j of a source population through an axonal delay. Lines run through
the layer's (source, delay) groups; every group has one projection to each of the ports z, d and c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.errors import FitError
from simulator.graph import Population, Projection, csr_to_dense
from simulator.plasticity.rtrl import KERNELS
from simulator.program import Program

PORTS = ("z", "d", "c")


@dataclass(frozen=True, eq=False)
class Group:
    """Lines from one source through one delay.

    Attributes:
        source: population.
        delay: axonal delay in steps.
        start: number of its first line in the layer.
        size: number of lines.
        projections: number in the program of the projection to each port z, d, c.
    """

    source: str
    delay: int
    start: int
    size: int
    projections: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Layer:
    """A BIM-D population; `number` counts from 1 (its index in the chip's pipeline)."""

    population: Population
    number: int
    psp: int
    membrane: bool
    groups: tuple[Group, ...]

    @property
    def lines(self) -> int:
        """M."""
        return sum(g.size for g in self.groups)

    @property
    def size(self) -> int:
        """H."""
        return self.population.size


@dataclass(frozen=True, eq=False)
class Net:
    """Layers bottom up, the readout, and for each layer the projection to the readout (None: not read)."""

    layers: tuple[Layer, ...]
    readout: Population
    from_layer: tuple[int | None, ...]


def learning_net(program: Program) -> Net:
    """The learnable net in a program.

    Raises:
        FitError: a population, projection or readout that on-chip learning does not know, by name.
    """
    layers = [_layer(program, p) for p in program.populations if p.model.startswith("bim_d_")]
    readouts = [p for p in program.populations if p.model == "readout_li"]
    if not layers or len(readouts) != 1:
        raise FitError(
            "on-chip learning",
            f"needs BIM-D layers and one readout; the program has {len(layers)} and {len(readouts)}",
            "Compile a BIM model of kind 'diag'",
        )
    layers.sort(key=lambda layer: layer.number)
    known = {"readout_li", "input", *(layer.population.model for layer in layers)}
    for p in program.populations:
        if p.model not in known:
            raise FitError(f"population {p.name!r}", f"its model {p.model!r} cannot stand in a learning net")
    return Net(tuple(layers), readouts[0], tuple(_to_readout(program, layer, readouts[0]) for layer in layers))


def _layer(program: Program, population: Population) -> Layer:
    model = population.model.removeprefix("bim_d_")
    if "adaptive" in model:
        raise FitError(f"population {population.name!r}", "has an adaptive threshold, which does not learn on the chip")
    into: dict[tuple[str, int], dict[str, int]] = {}
    for k, q in enumerate(program.projections):
        if q.target == population.name:
            into.setdefault((q.source, q.delay), {})[q.port] = k
    groups, start = [], 0
    for (source, delay), by_port in into.items():
        if set(by_port) != set(PORTS):
            where = f"population {population.name!r}"
            raise FitError(where, f"gets {source!r} (delay {delay}) at the ports {sorted(by_port)}, not at z, d and c")
        size = program.population(source).size
        groups.append(Group(source, delay, start, size, (by_port["z"], by_port["d"], by_port["c"])))
        start += size
    return Layer(population, population.layer, KERNELS[model.split("_")[0]], model.endswith("_graded"), tuple(groups))


def _to_readout(program: Program, layer: Layer, readout: Population) -> int | None:
    for k, q in enumerate(program.projections):
        if q.source == layer.population.name and q.target == readout.name:
            return k
    return None


def dense_weights(program: Program, k: int) -> npt.NDArray[Any]:
    """Weights of a projection as [n_source, n_target]."""
    q = program.projections[k]
    n_target = program.population(q.target).size
    return np.ascontiguousarray(csr_to_dense(q, n_target).T)


def plastic(net: Net) -> list[int]:
    """Numbers of the projections that learn."""
    hidden = [k for layer in net.layers for group in layer.groups for k in group.projections]
    return hidden + [k for k in net.from_layer if k is not None]


def live_synapses(program: Program, k: int) -> npt.NDArray[np.bool_]:
    """Which synapses of projection `k` exist, [n_source, n_target]."""
    q = program.projections[k]
    live = np.zeros((q.indptr.size - 1, program.population(q.target).size), bool)
    live[np.repeat(np.arange(live.shape[0]), np.diff(q.indptr)), q.indices] = True
    return live


def filled(program: Program, net: Net) -> Program:
    """Plastic projections with every pair stored, absent ones as 0."""
    projections = list(program.projections)
    for k in plastic(net):
        projections[k] = full_rows(program, k)
    return replace(program, projections=tuple(projections))


def full_rows(program: Program, k: int) -> Projection:
    """Projection `k` with all (source, target) pairs stored."""
    q, matrix = program.projections[k], dense_weights(program, k)
    n_source, n_target = matrix.shape
    return replace(
        q,
        indptr=np.arange(n_source + 1, dtype=np.int64) * n_target,
        indices=np.tile(np.arange(n_target, dtype=np.int32), n_source),
        weights=matrix.ravel(),
        layout="dense",
    )
