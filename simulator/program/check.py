"""Checks of a program before any compiled kernel sees it: names, types, shapes, ranges, tables.

A kernel checks nothing, so every index that it follows is checked here: targets, cores, delays, table entries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from simulator.base.arrays import I32, Array
from simulator.base.errors import InputError
from simulator.base.names import COPY_MARK, INPUT_MODEL, check_name
from simulator.chips.chip import MOST_MESH_CORES
from simulator.neurons import base
from simulator.program.graph import Population, Projection
from simulator.program.header import MAX_DELAY, check_meta
from simulator.program.meta import MAX_NEURONS, program_meta
from simulator.program.shared import SharedProjection, check_shared
from simulator.program.spikes import SpikeTrain

_INT32_MAX = 2**31 - 1


class Checked(Protocol):
    """Checked parts of a `simulator.program.program.Program`."""

    @property
    def populations(self) -> Sequence[Population]:
        """Populations in logical order."""

    @property
    def projections(self) -> Sequence[Projection | SharedProjection]:
        """Projections in order."""

    @property
    def core(self) -> I32:
        """Core of each neuron."""

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """Facts of the compiler."""

    @property
    def inputs(self) -> SpikeTrain | None:
        """Spikes that the program brings."""


def check_program(program: Checked) -> None:
    """Raise `InputError` unless the program is consistent and every value lies in its range."""
    sizes = {p.name: p.size for p in program.populations}
    if len(sizes) != len(program.populations):
        raise InputError("program", "has two populations of one name", "Rename one")
    if sum(sizes.values()) > MAX_NEURONS:
        raise InputError("program", f"has {sum(sizes.values()):,} neurons; ids hold {MAX_NEURONS:,}", "Split it")
    if len({q.name for q in program.projections}) != len(program.projections):
        raise InputError("program", "has two projections of one name", "Rename one")
    _check_core(program)
    for p in program.populations:
        check_population(p)
    models = {p.name: base.get(p.model) for p in program.populations}
    for q in program.projections:
        _check_projection(q, sizes, models)
    check_meta(program.meta, set(sizes))
    _check_copies(program)
    if program.inputs is not None:
        program.inputs.check("program: inputs", program.n_neurons)


def _check_copies(program: Checked) -> None:
    """Raise `InputError` unless a program of several copies holds the populations and projections of the first one again."""
    copies = program_meta(program.meta).copies
    if copies == 1:
        return
    for kind, facts in (
        ("populations", [(p.name, p.model, p.size) for p in program.populations]),
        ("projections", [(q.name, q.delay, q.exponent) for q in program.projections]),
    ):
        n = len(facts) // copies
        due = [(f"{f[0]}{COPY_MARK}{k}" if k else f[0], *f[1:]) for k in range(copies if n else 0) for f in facts[:n]]
        if facts != due:
            raise InputError("program: meta: copies", f"is {copies}, and its {kind} are not so many times the same")


def _check_core(program: Checked) -> None:
    core, n = program.core, program.n_neurons
    if core.shape != (n,):
        raise InputError("program: core", f"has shape {core.shape}, not ({n},)")
    if core.dtype.kind != "i" or core.dtype.itemsize > 8:
        raise InputError("program: core", f"has type {core.dtype}; it must hold signed integers")
    if n and not -1 <= int(core.min()) <= int(core.max()) < MOST_MESH_CORES:
        raise InputError(
            "program: core",
            f"has cores {core.min()}..{core.max()}; the range is -1 (the host) to {MOST_MESH_CORES - 1}",
        )


def check_population(p: Population) -> None:
    """Raise `InputError` for a bad name, size, shape, an unknown model, a parameter out of its word, a wrong table."""
    check_name(p.name, "population")
    where = f"population {p.name!r}"
    if p.size < 0:
        raise InputError(where, f"has the size {p.size}", "Give 0 or more")
    if p.shape and math.prod(p.shape) != p.size:
        raise InputError(where, f"has the shape {p.shape} and {p.size} neurons", "They must be as many")
    model = base.get(p.model)
    if model.kernel is not None:
        check_params(p, model)
        _check_tables(p, model)


def check_params(population: Population, model: base.NeuronModel) -> None:
    """Raise `InputError` unless every parameter is known, there, an integer, of the right shape and within its word."""
    where = f"population {population.name!r}"
    known = [w.name for w in model.params]
    extra = sorted(set(population.params) - set(known))
    if extra:
        raise InputError(where, f"has the parameter {extra[0]!r}", f"Model {model.name!r} has {known}")
    for word in model.params:
        if word.name in population.params:
            _check_in_word(np.asarray(population.params[word.name]), word, where, population.size)
        elif word.name not in model.defaults:
            raise InputError(where, f"lacks the parameter {word.name!r} of model {model.name!r}", "Give it")


def _check_in_word(value: Array, word: base.Word, where: str, size: int) -> None:
    if not np.issubdtype(value.dtype, np.integer):
        raise InputError(where, f"parameter {word.name!r} has type {value.dtype}", "Quantise it first: bimhw compile")
    if value.shape not in ((), (1,), (size,)):
        raise InputError(where, f"parameter {word.name!r} has shape {value.shape}, not () or ({size},)")
    low, high = word_range(word)
    if value.size and not low <= int(value.min()) <= int(value.max()) <= high:
        bad = int(value.min()) if int(value.min()) < low else int(value.max())
        raise InputError(where, f"parameter {word.name!r} is {bad}; its {word.bits}-bit word holds {low}..{high}")


def word_range(word: base.Word) -> tuple[int, int]:
    """Return the smallest and the largest value of a word."""
    if word.signed:
        return -(1 << (word.bits - 1)), (1 << (word.bits - 1)) - 1
    return 0, min((1 << word.bits) - 1, _INT32_MAX)


def _check_tables(p: Population, model: base.NeuronModel) -> None:
    """Check that each table has a whole number of rows, and each neuron's first entry leaves room for its row."""
    where = f"population {p.name!r}"
    for name in model.tables:
        if name not in p.tables:
            raise InputError(where, f"lacks the table {name!r} of model {model.name!r}")
        table = np.asarray(p.tables[name])
        if table.ndim != 1 or table.dtype.kind not in "iu":
            raise InputError(where, f"table {name!r} has type {table.dtype} and shape {table.shape}; integers, 1-D")
        if table.size and not -(2**31) <= int(table.min()) <= int(table.max()) <= _INT32_MAX:
            raise InputError(where, f"table {name!r} holds values beyond 32 bits")
        entries = model.table_entries.get(name, table.size)
        rows = table.size // entries if entries else 0
        if rows * entries != table.size or not rows or (rows > 1 and not model.table_row):
            raise InputError(where, f"table {name!r} has {table.size} entries; model {model.name!r} reads {entries}")
        if model.table_row:
            last = int(np.asarray(p.params[model.table_row]).max(initial=0))
            if last + entries > table.size:
                raise InputError(
                    where, f"parameter {model.table_row!r} is {last}; table {name!r} has {table.size} entries"
                )


def _check_projection(q: Projection, sizes: dict[str, int], models: dict[str, base.NeuronModel]) -> None:
    check_name(q.name, "projection")
    where = f"projection {q.name!r}"
    for end in (q.source, q.target):
        if end not in sizes:
            raise InputError(where, f"names the population {end!r}, which does not exist")
    target = models[q.target]
    if target.name == INPUT_MODEL or q.port not in target.ports:
        raise InputError(where, f"ends at the port {q.port!r}", f"Model {target.name!r} has ports {list(target.ports)}")
    if not 0 <= q.delay <= MAX_DELAY:
        raise InputError(where, f"has a delay of {q.delay} steps; the range is 0..{MAX_DELAY}", "Shorten the delay")
    if not 0 <= q.exponent <= 31:
        raise InputError(where, f"has the exponent {q.exponent}; the range is 0..31", "Scale the weights")
    if not np.issubdtype(q.weights.dtype, np.integer):
        raise InputError(where, f"has weights of type {q.weights.dtype}", "Quantise it first: bimhw compile")
    for name in ("indptr", "indices"):
        array = getattr(q, name)
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise InputError(where, f"has {name} of type {array.dtype} and shape {array.shape}; integers, 1-D")
    if isinstance(q, SharedProjection):
        check_shared(q, sizes[q.source], sizes[q.target], where)
    else:
        _check_rows(q, sizes, where)
    if q.weights.shape != q.indices.shape:
        raise InputError(where, f"has {q.weights.size} weights for {q.indices.size} synapses")
    if q.weights.dtype.itemsize > 4 and q.weights.size:
        worst = max(abs(int(q.weights.min())), abs(int(q.weights.max())))
        if worst > _INT32_MAX:
            raise InputError(where, f"has a weight of magnitude {worst}; 32 bits hold {_INT32_MAX}", "Scale it")


def _check_rows(q: Projection, sizes: dict[str, int], where: str) -> None:
    if q.indptr.shape != (sizes[q.source] + 1,) or q.indptr[0] != 0 or q.indptr[-1] != q.indices.size:
        raise InputError(where, "has row pointers that do not fit its synapses")
    if (q.indptr[1:] < q.indptr[:-1]).any():
        raise InputError(where, "has row pointers that go backwards")
    check_targets(q, sizes[q.target], where)


def check_targets(q: Projection, size: int, where: str) -> None:
    """Raise `InputError` unless every target lies in a population of `size` neurons; a plastic projection counts from 0."""
    if not 0 <= q.first <= size:
        raise InputError(where, f"begins at the target {q.first} of {size}")
    if q.first and q.plastic:
        raise InputError(
            where, f"is plastic and begins at the target {q.first}", "Learn in one projection from target 0"
        )
    if q.indices.size and not 0 <= int(q.indices.min()) <= q.first + int(q.indices.max()) < size:
        raise InputError(where, f"has a target outside 0..{size - 1}")
