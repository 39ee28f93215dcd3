"""A program laid out for the step loop: parameters by population, synapses by projection, accumulator rings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I32, I64, Array
from simulator.base.errors import InputError
from simulator.function.kernels import add_magnitudes, first_unordered_row
from simulator.neurons import base
from simulator.neurons.base import NeuronModel
from simulator.program.blocks import has_short_targets
from simulator.program.graph import Population, Projection
from simulator.program.program import Program
from simulator.program.shared import SharedProjection, add_shared_magnitudes

PAYLOAD_MAX = 2**23 - 1  # 24-bit signed payload of a graded spike
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Cells:
    """One population as the kernels see it.

    Attributes:
        params: int32 [params, n], in the model's order.
        table: int32, the model's look-up tables one after another.
        initial: int32 [states, n], state before the first step.
        ring_steps: slots of the accumulator ring (largest delay of an incoming projection + 1).
        bound: largest |sum| that can arrive at one port of one neuron in one step.
    """

    name: str
    model: NeuronModel
    first: int
    size: int
    params: I32
    table: I32
    initial: I32
    ring_steps: int
    bound: int

    @property
    def wide(self) -> bool:
        """True if the accumulators need 64 bits: what may arrive does not provably fit 32."""
        return self.bound > _INT32_MAX


@dataclass(frozen=True, eq=False)
class Synapses:
    """One projection as the kernels see it. `weights` may be changed in place (learning, faults).

    With shared rows (`simulator.program.shared`) ``row`` and ``offset`` are those of each source, and ``indptr`` is by row.
    """

    name: str
    source: int
    target: int
    port: int
    indptr: I64  # or int32 beside 16-bit targets, where the program has them so
    indices: I32  # or uint16, where the program has them so; counted from `first`
    weights: Array
    delay: int
    exponent: int
    row: I32 | None = None
    offset: I32 | None = None
    delays: I32 | None = None  # of each synapse, in place of `delay`, where a rule learns them
    first: int = 0

    @property
    def n_source(self) -> int:
        """Number of sources."""
        return int(self.indptr.size - 1 if self.row is None else self.row.size)


@dataclass(frozen=True, eq=False)
class Layout:
    """Constants of a program's run (but for plastic weights)."""

    program: Program
    cells: tuple[Cells, ...]
    synapses: tuple[Synapses, ...]
    by_source: tuple[tuple[int, ...], ...]
    graded: tuple[bool, ...]  # by population: whether its events may carry payloads other than 1

    @property
    def n_neurons(self) -> int:
        """Number of logical neurons, inputs included."""
        return sum(c.size for c in self.cells)


def lay_out(program: Program, graded_inputs: bool = True) -> Layout:
    """Lay a program out for running.

    Args:
        program: what to run.
        graded_inputs: whether its inputs may carry payloads other than 1.

    Raises:
        InputError: an unknown model, port or parameter, a parameter out of its word, a delay out of range, or weights
            so large that a sum of arriving spikes could leave 64 bits.
    """
    program.check()
    first = program.first_ids()
    index = {p.name: k for k, p in enumerate(program.populations)}
    models = [base.get(p.model) for p in program.populations]
    graded = [m.emits == "graded" and (m.kernel is not None or graded_inputs) for m in models]
    synapses = tuple(_synapses(p, index, models) for p in program.projections)
    cells = []
    for k, population in enumerate(program.populations):
        incoming = [s for s in synapses if s.target == k]
        cells.append(_cells(population, models[k], first[population.name], incoming, graded))
    by_source = tuple(tuple(j for j, s in enumerate(synapses) if s.source == k) for k in range(len(cells)))
    return Layout(program, tuple(cells), synapses, by_source, tuple(graded))


def _synapses(p: Projection, index: Mapping[str, int], models: Sequence[NeuronModel]) -> Synapses:
    where, target = f"projection {p.name!r}", models[index[p.target]]
    shared = p if isinstance(p, SharedProjection) else None
    indptr = p.indptr if shared is None else shared.template
    row = first_unordered_row(indptr, p.indices)
    if row >= 0:
        raise InputError(
            where, f"row {row} has targets that are not ascending and unique", "Sort and merge its synapses"
        )
    weights = p.weights if p.weights.dtype.itemsize <= 4 else p.weights.astype(np.int32)
    return Synapses(
        p.name,
        index[p.source],
        index[p.target],
        target.ports.index(p.port),
        np.ascontiguousarray(indptr, indptr.dtype if has_short_targets(p) and indptr.dtype == np.int32 else np.int64),
        np.ascontiguousarray(p.indices, np.uint16 if p.indices.dtype == np.uint16 else np.int32),
        weights.copy() if p.plastic else np.ascontiguousarray(weights),
        p.delay,
        p.exponent,
        None if shared is None else np.ascontiguousarray(shared.row, np.int32),
        None if shared is None else np.ascontiguousarray(shared.offset, np.int32),
        first=p.first,
    )


def _cells(
    population: Population, model: NeuronModel, first: int, incoming: list[Synapses], graded: Sequence[bool]
) -> Cells:
    params = _params(population, model)
    rows = {w.name: k for k, w in enumerate(model.params)}
    initial = np.zeros((len(model.states), population.size), np.int32)
    for k, word in enumerate(model.states):
        if word.name in model.initial:
            initial[k] = params[rows[model.initial[word.name]]]
    bound = _arrival_bound(population, incoming, graded)
    if bound >= 2**62:
        raise InputError(
            f"population {population.name!r}",
            "could receive a sum beyond 64 bits in one step",
            "Lower the exponents or the weights of its projections",
        )
    ring = 1 + max((s.delay for s in incoming), default=0)
    table = _table(population, model)
    return Cells(population.name, model, first, population.size, params, table, initial, ring, bound)


def _arrival_bound(population: Population, incoming: list[Synapses], graded: Sequence[bool]) -> int:
    """Return the largest |sum| that can arrive at one port of one neuron in one step (over all delays, which is safe)."""
    ports = 1 + max((s.port for s in incoming), default=0)
    scales = [(PAYLOAD_MAX if graded[s.source] else 1) << s.exponent for s in incoming]
    rows = sum(s.n_source for s in incoming)
    plain = all(s.row is None and s.weights.dtype == np.int8 for s in incoming)
    if plain and len(set(scales)) == 1 and rows < 1 << 24:
        exact = np.zeros((ports, population.size), np.int32)  # half the memory traffic of the general case
        for s in incoming:
            add_magnitudes(s.indices, s.weights, 1, exact[s.port, s.first :])
        return int(exact.max(initial=0)) * scales[0]
    bound = np.zeros((ports, population.size))
    for s, scale in zip(incoming, scales, strict=True):
        if s.row is None or s.offset is None:
            add_magnitudes(s.indices, s.weights, float(scale), bound[s.port, s.first :])
        else:
            add_shared_magnitudes(s.row, s.offset, s.indptr, s.indices, s.weights, float(scale), bound[s.port])
    return int(bound.max(initial=0))


def _params(population: Population, model: NeuronModel) -> I32:
    """Return parameters [params, n] of a checked population, its model's defaults filled in."""
    out = np.empty((len(model.params), population.size), np.int32)
    for k, word in enumerate(model.params):
        given = population.params.get(word.name)
        out[k] = model.defaults[word.name] if given is None else given
    return out


def _table(population: Population, model: NeuronModel) -> I32:
    parts = [np.asarray(population.tables[name], np.int32) for name in model.tables]
    return np.concatenate(parts) if parts else np.zeros(1, np.int32)
