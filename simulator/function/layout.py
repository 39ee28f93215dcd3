"""A program laid out for the step loop: parameters by population, synapses by projection, accumulator rings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.base.errors import InputError
from simulator.function.kernels import add_magnitudes, first_unordered_row
from simulator.neurons import base
from simulator.neurons.base import NeuronModel
from simulator.program.graph import Population, Projection
from simulator.program.program import Program

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

MAX_DELAY = 62
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
        """Whether the accumulators need 64 bits: what may arrive does not provably fit 32."""
        return self.bound > _INT32_MAX


@dataclass(frozen=True, eq=False)
class Synapses:
    """One projection as the kernels see it. `weights` may be changed in place (learning, faults)."""

    name: str
    source: int
    target: int
    port: int
    indptr: I64
    indices: I32
    weights: npt.NDArray[Any]
    delay: int
    exponent: int


@dataclass(frozen=True, eq=False)
class Layout:
    """Everything that does not change while a program runs (but for plastic weights)."""

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
    if p.port not in target.ports:
        raise InputError(where, f"ends at the port {p.port!r}", f"Model {target.name!r} has ports {list(target.ports)}")
    if not 0 <= p.delay <= MAX_DELAY:
        raise InputError(where, f"has a delay of {p.delay} steps; the range is 0..{MAX_DELAY}", "Shorten the delay")
    if not 0 <= p.exponent <= 31:
        raise InputError(where, f"has the exponent {p.exponent}; the range is 0..31", "Scale the weights")
    if not np.issubdtype(p.weights.dtype, np.integer):
        raise InputError(where, f"has weights of type {p.weights.dtype}", "Quantise it first: bimhw compile")
    row = first_unordered_row(p.indptr, p.indices)
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
        np.ascontiguousarray(p.indptr, np.int64),
        np.ascontiguousarray(p.indices, np.int32),
        weights.copy() if p.plastic else np.ascontiguousarray(weights),
        p.delay,
        p.exponent,
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
    """Largest |sum| that can arrive at one port of one neuron in one step (over all delays, which is safe)."""
    ports = 1 + max((s.port for s in incoming), default=0)
    scales = [(PAYLOAD_MAX if graded[s.source] else 1) << s.exponent for s in incoming]
    rows = sum(s.indptr.size - 1 for s in incoming)
    if len(set(scales)) == 1 and rows < 1 << 24 and all(s.weights.dtype == np.int8 for s in incoming):
        exact = np.zeros((ports, population.size), np.int32)  # half the memory traffic of the general case
        for s in incoming:
            add_magnitudes(s.indices, s.weights, 1, exact[s.port])
        return int(exact.max(initial=0)) * scales[0]
    bound = np.zeros((ports, population.size))
    for s, scale in zip(incoming, scales, strict=True):
        add_magnitudes(s.indices, s.weights, float(scale), bound[s.port])
    return int(bound.max(initial=0))


def _params(population: Population, model: NeuronModel) -> I32:
    where = f"population {population.name!r}"
    known = [w.name for w in model.params]
    extra = sorted(set(population.params) - set(known))
    if extra:
        raise InputError(where, f"has the parameter {extra[0]!r}", f"Model {model.name!r} has {known}")
    out = np.empty((len(known), population.size), np.int32)
    for k, word in enumerate(model.params):
        if word.name in population.params:
            out[k] = _in_word(np.asarray(population.params[word.name]), word, where, population.size)
        elif word.name in model.defaults:
            out[k] = model.defaults[word.name]
        else:
            raise InputError(where, f"lacks the parameter {word.name!r} of model {model.name!r}", "Give it")
    return out


def _in_word(value: npt.NDArray[Any], word: base.Word, where: str, size: int) -> npt.NDArray[Any]:
    if not np.issubdtype(value.dtype, np.integer):
        raise InputError(where, f"parameter {word.name!r} has type {value.dtype}", "Quantise it first: bimhw compile")
    if value.shape not in ((), (1,), (size,)):
        raise InputError(where, f"parameter {word.name!r} has shape {value.shape}, not () or ({size},)")
    low, high = word_range(word)
    if value.size and not low <= int(value.min()) <= int(value.max()) <= high:
        bad = int(value.min()) if int(value.min()) < low else int(value.max())
        raise InputError(where, f"parameter {word.name!r} is {bad}; its {word.bits}-bit word holds {low}..{high}")
    return value


def word_range(word: base.Word) -> tuple[int, int]:
    """Smallest and largest value of a word."""
    if word.signed:
        return -(1 << (word.bits - 1)), (1 << (word.bits - 1)) - 1
    return 0, min((1 << word.bits) - 1, _INT32_MAX)


def _table(population: Population, model: NeuronModel) -> I32:
    missing = [name for name in model.tables if name not in population.tables]
    if missing:
        raise InputError(f"population {population.name!r}", f"lacks the table {missing[0]!r} of model {model.name!r}")
    parts = [np.asarray(population.tables[name], np.int32) for name in model.tables]
    return np.concatenate(parts) if parts else np.zeros(1, np.int32)
