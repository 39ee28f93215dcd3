"""A program as on-chip learning sees it: BIM-D or s6 layers, their input lines, and one readout population.

A *line* of a layer is one input value of a step: neuron j of a source population through an axonal delay. Lines run through
the layer's (source, delay) groups; every group has one projection to each of the ports z, d and c (s6: z and d, and one to
the neurons that compute B and C for the whole layer a step earlier).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.base.arrays import Array, Bools
from simulator.base.errors import FitError
from simulator.neurons import s6
from simulator.neurons.base import get
from simulator.plasticity.forms.base import KERNELS
from simulator.program.graph import Population, Projection, csr_to_dense
from simulator.program.program import Program

PORTS = ("z", "d", "c")


@dataclass(frozen=True, eq=False)
class Group:
    """Lines from one source through one delay.

    Attributes:
        source: population.
        delay: axonal delay in steps.
        start: number of its first line in the layer.
        size: number of lines.
        projections: number in the program of the projection to each port: z, d, c (s6: z, d).
        shared: s6: number of the projection of the same lines to the neurons of B and C.
    """

    source: str
    delay: int
    start: int
    size: int
    projections: tuple[int, ...]
    shared: int = -1


@dataclass(frozen=True, eq=False)
class Layer:
    """A population of BIM-D or s6 neurons.

    Attributes:
        population: the neurons.
        number: chip steps by which it is later than the model.
        psp: kernel.
        membrane: the readout reads its membrane.
        groups: input lines.
        states: N of s6; 0 for BIM-D.
        zoh: s6: input gain of the zero-order hold instead of Euler's.
        shared: s6: the 2 N neurons that compute B_0 .. B_N-1, C_0 .. C_N-1.
    """

    population: Population
    number: int
    psp: int
    membrane: bool
    groups: tuple[Group, ...]
    states: int = 0
    zoh: bool = False
    shared: Population | None = None

    @property
    def lines(self) -> int:
        """M."""
        return sum(g.size for g in self.groups)

    @property
    def size(self) -> int:
        """H."""
        return self.population.size


@dataclass(frozen=True)
class PlasticPort:
    """A port whose synapses learn.

    Attributes:
        population, port: where.
        word: the state word whose binary point the port's sums get.
        bound: which bound of the configuration holds for its weights (see `LearnConfig.bound`).
        projections: their numbers in the program.
    """

    population: str
    port: str
    word: str
    bound: str
    projections: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Net:
    """Layers bottom up, the readout, and for each layer the projection to the readout (None: not read)."""

    layers: tuple[Layer, ...]
    readout: Population
    from_layer: tuple[int | None, ...]


def learning_net(program: Program) -> Net:
    """Return the learnable net in a program.

    Raises:
        FitError: a population, projection or readout that on-chip learning does not know, by name.
    """
    layers = [_layer(program, p) for p in program.populations if _is_layer(p)]
    readouts = [p for p in program.populations if p.model == "readout_li"]
    if not layers or len(readouts) != 1:
        raise FitError(
            "on-chip learning",
            f"needs BIM-D or s6 layers and one readout; the program has {len(layers)} and {len(readouts)}",
            "Compile a BIM model, or learn by a rule file (--rule-file e-prop), which takes any network",
        )
    layers.sort(key=lambda layer: layer.number)
    known = {"readout_li", "input", *(layer.population.model for layer in layers)}
    shared = {layer.shared.name for layer in layers if layer.shared is not None}
    for p in program.populations:
        if p.model not in known and p.name not in shared:
            raise FitError(f"population {p.name!r}", f"its model {p.model!r} cannot stand in a learning net")
    return Net(tuple(layers), readouts[0], tuple(_to_readout(program, layer, readouts[0]) for layer in layers))


def _is_layer(population: Population) -> bool:
    traits = get(population.model).traits
    return bool(traits.plastic_ports and traits.psp)


def _layer(program: Program, population: Population) -> Layer:
    where, kind, traits = f"population {population.name!r}", s6.kind_of(population.model), get(population.model).traits
    psp, graded = traits.psp, traits.graded
    if traits.adaptive:
        raise FitError(where, "has an adaptive threshold, which does not learn on the chip")
    shared = _shared(program, population, kind.states) if kind else None
    own = PORTS[:2] if kind else PORTS
    into = {(q.source, q.delay): dict[str, int]() for q in program.projections if q.target == population.name}
    for k, q in enumerate(program.projections):
        if q.target == population.name and (shared is None or q.source != shared.name):
            if q.port in into[q.source, q.delay]:
                raise FitError(
                    where, f"gets {q.source!r} (delay {q.delay}) twice at the port {q.port}", "Train with one tap"
                )
            into[q.source, q.delay][q.port] = k
    groups, start = [], 0
    for (source, delay), by_port in into.items():
        if shared is not None and source == shared.name:
            continue
        if set(by_port) != set(own):
            wanted = f"{', '.join(own[:-1])} and {own[-1]}"
            raise FitError(where, f"gets {source!r} (delay {delay}) at the ports {sorted(by_port)}, not at {wanted}")
        at = _into_shared(program, shared, source, delay - 1) if shared is not None else -1
        size = program.population(source).size
        groups.append(Group(source, delay, start, size, tuple(by_port[p] for p in own), at))
        start += size
    extra = (kind.states, kind.discretisation == "zoh", shared) if kind else ()
    return Layer(population, population.layer, KERNELS[psp], graded, tuple(groups), *extra)


def _shared(program: Program, population: Population, states: int) -> Population:
    """Return the population that sends B and C to an s6 layer."""
    ports = {f"{word}{n}" for word in "bc" for n in range(states)}
    sources = {q.source for q in program.projections if q.target == population.name and q.port in ports}
    if len(sources) == 1 and program.population(next(iter(sources))).model == s6.PROJECT:
        return program.population(next(iter(sources)))
    raise FitError(
        f"population {population.name!r}", f"gets B and C from {sorted(sources)}, not from one {s6.PROJECT} population",
        "Compile a BIM model of kind 's6'",
    )  # fmt: skip


def _into_shared(program: Program, shared: Population, source: str, delay: int) -> int:
    for k, q in enumerate(program.projections):
        if (q.source, q.target, q.delay) == (source, shared.name, delay):
            return k
    raise FitError(f"population {shared.name!r}", f"gets no {source!r} through the delay {delay}, as its layer does")


def _to_readout(program: Program, layer: Layer, readout: Population) -> int | None:
    for k, q in enumerate(program.projections):
        if q.source == layer.population.name and q.target == readout.name:
            return k
    return None


def dense_weights(program: Program, k: int) -> Array:
    """Return the weights of a projection as [n_source, n_target]."""
    q = program.projections[k]
    n_target = program.population(q.target).size
    return np.ascontiguousarray(csr_to_dense(q, n_target).T)


def plastic_ports(net: Net) -> list[PlasticPort]:
    """Return all ports whose synapses learn."""
    out = []
    for layer in net.layers:
        for n, port in enumerate(PORTS[: len(layer.groups[0].projections)]):
            numbers = tuple(g.projections[n] for g in layer.groups)
            out.append(PlasticPort(layer.population.name, port, port, port, numbers))
        if layer.shared is not None:
            out.append(PlasticPort(layer.shared.name, "in", "p", "c", tuple(g.shared for g in layer.groups)))
    heads = tuple(k for k in net.from_layer if k is not None)
    return [*out, PlasticPort(net.readout.name, "in", "y", "readout", heads)]


def plastic(net: Net) -> list[int]:
    """Return the numbers of the projections that learn."""
    return [k for port in plastic_ports(net) for k in port.projections]


def live_synapses(program: Program, k: int) -> Bools:
    """Return which synapses of projection `k` exist, [n_source, n_target]."""
    q = program.projections[k]
    live = np.zeros((q.indptr.size - 1, program.population(q.target).size), bool)
    live[np.repeat(np.arange(live.shape[0]), np.diff(q.indptr)), q.targets] = True
    return live


def filled(program: Program, net: Net) -> Program:
    """Store every pair of plastic projections, absent ones as 0."""
    projections = list(program.projections)
    for k in plastic(net):
        projections[k] = full_rows(program, k)
    return replace(program, projections=tuple(projections))


def full_rows(program: Program, k: int) -> Projection:
    """Return projection `k` with all (source, target) pairs stored."""
    q, matrix = program.projections[k], dense_weights(program, k)
    n_source, n_target = matrix.shape
    return replace(
        q,
        indptr=np.arange(n_source + 1, dtype=np.int64) * n_target,
        indices=np.tile(np.arange(n_target, dtype=np.int32), n_source),
        weights=matrix.ravel(),
        layout="dense",
    )
