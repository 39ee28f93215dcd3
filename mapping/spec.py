"""The executable specification of a network: what every stage must obey, checked between all passes of the compiler.

One rule is one function; each names the population or projection, the value and the rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mapping.network import Network
from simulator.base.arrays import Array
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import Word, get
from simulator.program.check import check_targets
from simulator.program.graph import Population, Projection
from simulator.program.shared import SharedProjection, check_shared

MOST_NEURONS = 2**31 - 1  # logical ids are int32


def check_network(network: Network) -> Network:
    """Return the network itself, if it is legal in its stage.

    Raises:
        InputError: the first rule that is broken.
    """
    if network.stage not in ("float", "integer"):
        raise InputError("network", f"is in stage {network.stage!r}, must be 'float' or 'integer'")
    _names_are_unique(network)
    for p in network.populations:
        _population_is_sound(p)
        if network.stage == "integer" and p.model != INPUT_MODEL:
            _words_are_complete(p)
    for q in network.projections:
        for rule in _PROJECTION_RULES:
            rule(network, q)
    return network


def with_defaults(network: Network) -> Network:
    """Return a float network with the defaults of its models for parameters that a population does not give."""

    def filled(p: Population) -> Population:
        missing = {k: np.asarray(v, np.float64) for k, v in get(p.model).defaults.items() if k not in p.params}
        return replace(p, params={**p.params, **missing}) if missing else p

    if network.stage != "float":
        return network
    populations = tuple(filled(p) for p in network.populations)
    return network if populations == network.populations else replace(network, populations=populations)


def _names_are_unique(network: Network) -> None:
    for kind, names in (
        ("population", [p.name for p in network.populations]),
        ("projection", [q.name for q in network.projections]),
    ):
        twice = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) != len(names) else []
        if twice:
            raise InputError(f"{kind} {twice[0]!r}", "exists twice", "Rename one")
    total = sum(p.size for p in network.populations)
    if total > MOST_NEURONS:
        raise InputError("network", f"has {total} neurons, logical ids end at {MOST_NEURONS}")


def _population_is_sound(p: Population) -> None:
    where = f"population {p.name!r}"
    get(p.model)
    if p.size < 1:
        raise InputError(where, f"has {p.size} neurons, must have at least 1")
    if p.layer < 0 or (p.model == INPUT_MODEL) != (p.layer == 0):
        raise InputError(where, f"is of layer {p.layer}: inputs are layer 0, neurons 1 and above")
    if p.shape and int(np.prod(p.shape)) != p.size:
        raise InputError(where, f"has the shape {p.shape} for {p.size} neurons")
    for name, value in p.params.items():
        array = np.asarray(value)
        if array.shape not in ((), (p.size,)):
            raise InputError(where, f"parameter {name!r} has shape {array.shape}, must be () or ({p.size},)")
        if np.isnan(array.astype(np.float64)).any():
            raise InputError(where, f"parameter {name!r} holds NaN")


def _words_are_complete(p: Population) -> None:
    model, where = get(p.model), f"population {p.name!r}"
    for word in model.params:
        if word.name not in p.params and word.name not in model.defaults:
            raise InputError(where, f"lacks the parameter {word.name!r} of model {p.model!r}")
        if word.name in p.params:
            _in_word(np.asarray(p.params[word.name]), word, where)
    unknown = sorted(set(p.params) - {w.name for w in model.params})
    if unknown:
        raise InputError(where, f"has the parameter {unknown[0]!r}, which model {p.model!r} has not")
    for name in model.tables:
        if name not in p.tables:
            raise InputError(where, f"lacks the table {name!r} of model {p.model!r}")


def _in_word(value: Array, word: Word, where: str) -> None:
    if not np.issubdtype(value.dtype, np.integer):
        raise InputError(where, f"parameter {word.name!r} has type {value.dtype} in the integer stage")
    low, high = (-(2 ** (word.bits - 1)), 2 ** (word.bits - 1) - 1) if word.signed else (0, 2**word.bits - 1)
    if value.size and not low <= int(value.min()) <= int(value.max()) <= high:
        raise InputError(
            where,
            f"parameter {word.name!r} spans {value.min()}..{value.max()}, its word of {word.bits} bits {low}..{high}",
        )


def _ends_exist(network: Network, q: Projection) -> None:
    names = {p.name for p in network.populations}
    for end in (q.source, q.target):
        if end not in names:
            raise InputError(f"projection {q.name!r}", f"names the population {end!r}, which does not exist")
    ports = get(network.population(q.target).model).ports
    if q.port not in ports:
        raise InputError(f"projection {q.name!r}", f"ends at the port {q.port!r}; its target has {list(ports)}")


def _rows_are_sorted(network: Network, q: Projection) -> None:
    where = f"projection {q.name!r}"
    n_source, n_target = network.population(q.source).size, network.population(q.target).size
    indptr = q.indptr
    if isinstance(q, SharedProjection):
        check_shared(q, n_source, n_target, where)
        indptr = q.template
    elif q.indptr.shape != (n_source + 1,) or q.indptr[0] != 0 or q.indptr[-1] != q.indices.size:
        raise InputError(where, "has row pointers that do not fit its synapses")
    if (np.diff(indptr) < 0).any():
        raise InputError(where, "has row pointers that go backwards")
    check_targets(q, n_target, where)
    rises = q.indices[1:] > q.indices[:-1]  # no difference: 16-bit indices are unsigned
    starts = indptr[1:-1]
    rises[starts[(starts > 0) & (starts < q.indices.size)] - 1] = True
    if not rises.all():
        raise InputError(where, "has targets that are not ascending and distinct within a row")


def _weights_fit(network: Network, q: Projection) -> None:
    where = f"projection {q.name!r}"
    if q.weights.shape != q.indices.shape:
        raise InputError(where, f"has {q.weights.size} weights for {q.indices.size} synapses")
    if network.stage == "float":
        if not np.issubdtype(q.weights.dtype, np.floating) or not np.isfinite(q.weights).all():
            raise InputError(where, f"has weights of type {q.weights.dtype} or not finite ones in the float stage")
        return
    if not np.issubdtype(q.weights.dtype, np.integer):
        raise InputError(where, f"has weights of type {q.weights.dtype} in the integer stage")
    limit = max(1, 2 ** (q.weight_bits - 1))
    if q.weights.size and max(-int(q.weights.min()), int(q.weights.max())) > limit:
        raise InputError(where, f"has weights {q.weights.min()}..{q.weights.max()} in {q.weight_bits} bits")


def _times_are_sound(network: Network, q: Projection) -> None:
    where = f"projection {q.name!r}"
    if q.delay < 0 or q.exponent < 0:
        raise InputError(where, f"has delay {q.delay} and exponent {q.exponent}, neither may be negative")
    first, then = network.population(q.source).layer, network.population(q.target).layer
    if first < then and first + 1 + q.delay < then:
        raise InputError(
            where,
            f"arrives {then - first - 1 - q.delay} steps before its target of layer {then} does the same step",
            f"A path from layer {first} needs the extra delay {then - first - 1}",
        )


def _dense_is_full(network: Network, q: Projection) -> None:
    n_source, n_target = network.population(q.source).size, network.population(q.target).size
    if q.layout == "dense" and q.indices.size != n_source * n_target:
        raise InputError(f"projection {q.name!r}", f"is dense with {q.indices.size} of {n_source * n_target} synapses")


_PROJECTION_RULES: tuple[Callable[[Network, Projection], None], ...] = (
    _ends_exist, _rows_are_sorted, _weights_fit, _times_are_sound, _dense_is_full,
)  # fmt: skip
