"""A SANA-FE network file as an integer `Network`, with V in 1/64 of a weight unit or finer (`bimhw.frontends.sanafe.neurons`).

    V[t] = (trunc(64 potential) if t == 0 else trunc(leak_decay 64 V[t-1])) / 64 + bias + weights whose source spiked at t-1
    spike if V > threshold; then V = reset (hard), V - threshold (soft), V (none, saturate)

A TrueNorth soma unit does not truncate: V[t] = V[t-1] - leak sign(V[t-1]) + bias + the same sum, and fires at V >= threshold.
Which units are inputs and which TrueNorth's, the imported chip says.

Neurons with ``spikes`` or ``rate``, or on a soma unit whose name has "input" in it, are external inputs; they keep their core
and cost nothing but their packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bimhw.frontends.sanafe.neurons import LIF, TRUENORTH, Grid, Rows, grid_of, number, population
from bimhw.frontends.sanafe.read import UNITS, WAY, Attributes, Edges, Tables, read_tables
from mapping.network import Network
from mapping.words import narrowed, value_bits
from simulator.base.arrays import I32, I64, Floats
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.base.reading import boundary
from simulator.program.graph import Population, Projection
from simulator.program.spikes import SpikeTrain

PLAIN_STEPS = 100  # of a network without lists of input spikes
_FREE = {
    "log_spikes", "log_potential", "log_v", "log_u", "connections_out", "force_update", "force_soma_update",
    "force_synapse_update", "force_dendrite_update", "update_every_timestep",
}  # fmt: skip
_OFF: dict[str, tuple[object, ...]] = {  # attributes that are accepted with the value that switches them off
    "input_decay": (0, 0.0), "dendrite_leak_decay": (0, 0.0), "poisson": (0, 0.0), "random_mask": (0,), "noise_bits": (0,),
    "delay": (0, 0.0), "d": (0, 0.0),
}  # fmt: skip
Units = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class _Neuron:
    """One neuron of the network, at its place."""

    group: str
    index: int
    given: Attributes


@dataclass(frozen=True, eq=False)
class _File:
    """Content of a network file, and the units of its architecture.

    Attributes:
        tables: of the file.
        where: its path.
        units: kind -> names of the chip's units; ``input`` and ``truenorth`` are soma units of these models, ``chosen`` the
            units that neurons take which ask for none.
        notes: collected on the way.
    """

    tables: Tables
    where: str
    units: Units
    notes: list[str] = field(default_factory=list)

    def is_input(self, given: Attributes) -> bool:
        """Return whether a neuron is driven from outside."""
        soma = unit_asked(given, "soma")
        named = _base(soma) in {_base(name) for name in self.units.get("input", ())}
        return "spikes" in given or "rate" in given or "poisson" in given or "input" in soma or named

    def is_truenorth(self, given: Attributes) -> bool:
        """Return whether a neuron's soma unit is TrueNorth's."""
        if not self.units:
            return "leak" in given or "leak_towards_zero" in given
        soma = _base(unit_asked(given, "soma")) or self.chosen("soma")
        return soma in {_base(name) for name in self.units.get("truenorth", ())}

    def chosen(self, kind: str) -> str:
        """Return the unit of a kind that a neuron takes which asks for none."""
        at = ("synapse", "dendrite", "soma").index(kind)
        return next(iter(self.units.get("chosen", ())[at:]), "")

    def inputs(self) -> list[_Neuron]:
        """Return the neurons that are driven from outside."""
        return [n for group in self.tables.groups for n in self.neurons(group) if self.is_input(n.given)]

    def neurons(self, group: str) -> list[_Neuron]:
        """Return the neurons of a group."""
        return [_Neuron(group, i, given) for i, given in enumerate(self.tables.groups[group].neurons)]

    def parts(self) -> list[tuple[str, list[_Neuron]]]:
        """Return the neurons that become a population each: those of a group that take the same units."""
        out = []
        for group in self.tables.groups:
            rows: dict[tuple[str, ...], list[_Neuron]] = {}
            for n in self.neurons(group):
                if not self.is_input(n.given):
                    rows.setdefault(tuple(_base(unit_asked(n.given, kind)) for kind in UNITS), []).append(n)
            taken = set(self.tables.groups) - {group}
            for k, found in enumerate(rows.values()):
                name = f"{group}_{k + 1}" if k else group
                out.append((name if name not in taken else f"{group}__{k + 1}", found))
        return out


def unit_asked(given: Attributes, kind: str) -> str:
    """Return the unit of a kind that a neuron asks for, "" for none."""
    keys = (f"at.{kind}", f"at.{kind}_hw_name", f"{kind}_hw_name", kind)
    return next((str(given[k]) for k in keys if isinstance(given.get(k), str)), "")


def _base(name: str) -> str:
    return name.partition("[")[0]


def sanafe_network(
    path: Path,
    steps: int | None = None,
    cores_per_tile: int | None = None,
    *,
    rest_is_free: bool = False,
    units: Units | None = None,
) -> Network:
    """Read a SANA-FE network file.

    Args:
        path: YAML file with ``network`` and ``mappings``.
        steps: to run; by default as many as the longest list of input spikes has, or 100.
        cores_per_tile: of the architecture; with it the file's mapping is taken over (``--mapping file``).
        rest_is_free: charge no update to a neuron at rest, as SANA-FE does where its buffer is before the soma
            (``--read resting=free``): V is 0, nothing arrives, it does not fire, has no bias and no ``force_update``.
        units: of the architecture (`Chip.units`).

    Raises:
        InputError: a damaged file, or an attribute whose effect this network cannot have, by its neuron or edge.
    """
    with boundary(path, "a SANA-FE network", WAY):
        file = _File(read_tables(path), str(path), units or {})
        return _with_rest(_network(file, path, steps, cores_per_tile), file, rest_is_free)


def _with_rest(network: Network, file: _File, is_free: bool) -> Network:
    """Add whose updates at rest are free, or a note of whose SANA-FE would leave out."""
    resting = {name: _resting(found) for name, found in file.parts()}
    if is_free:
        return replace(network, meta=dict(network.meta) | {"resting": resting})
    told = [
        f"group {name!r}: {sum(b - a for a, b in ranges)} neurons without bias and force_update are charged an update in every "
        "step; SANA-FE charges none while they rest at 0 without input (--read resting=free)"
        for name, ranges in resting.items()
        if ranges
    ]
    return replace(network, meta=dict(network.meta) | {"notes": [*network.meta["notes"], *told]})


def _network(file: _File, path: Path, steps: int | None, cores_per_tile: int | None) -> Network:
    inputs, parts = file.inputs(), file.parts()
    length = steps or max((len(_list(n.given)) for n in inputs), default=0) or PLAIN_STEPS
    place = {(n.group, n.index): ("in", k) for k, n in enumerate(inputs)}
    place |= {(n.group, n.index): (name, k) for name, found in parts for k, n in enumerate(found)}
    edges = _by_ends(file, place)
    first = (Population("in", INPUT_MODEL, len(inputs), role="input"),) if inputs else ()
    rows = [_rows(file, name, found) for name, found in parts]
    grids = {r.name: grid_of(r, _weights(edges, r.name)) for r in rows}
    populations = (*first, *(population(r, grids[r.name], file.notes) for r in rows))
    sizes = {p.name: p.size for p in populations}
    order = inputs + [n for _, found in parts for n in found]
    core = None if cores_per_tile is None else _cores(order, cores_per_tile, file.where)
    if core is None:
        file.notes.append("its mapping is left: give --read cores_per_tile=N and --mapping file to take it over")
    train = SpikeTrain.from_dense(_spikes(inputs, length, file.where), 0)
    asked = {
        kind: {name: _base(u) for name, found in parts if (u := unit_asked(found[0].given, kind))} for kind in UNITS
    }
    meta = {"source": path.name, "steps": length, "notes": file.notes, "units": _units(file), "unit_of": asked}
    return Network("integer", populations, tuple(_projections(edges, grids, sizes)), meta, inputs=train, core=core)


def _rows(file: _File, name: str, found: list[_Neuron]) -> Rows:
    """Return one population's neurons, with attributes that their soma unit heeds."""
    kinds = {file.is_truenorth(n.given) for n in found}
    place = f"{file.where}: group {found[0].group!r}"
    if len(kinds) > 1:
        raise InputError(place, "has some neurons with a TrueNorth leak and some without", "Put them in two groups")
    for n in found:
        _check_units(file, n)
        _refuse(n.given, TRUENORTH if True in kinds else LIF, f"{file.where}: {n.group}.{n.index}")
    return Rows(name, place, [(n.index, n.given) for n in found], True in kinds)


def _check_units(file: _File, neuron: _Neuron) -> None:
    """Refuse a neuron whose soma or dendrite unit computes what no neuron here does."""
    other = dict(entry.split("=", 1) for entry in file.units.get("other", ()))
    for kind in ("dendrite", "soma"):
        unit = _base(unit_asked(neuron.given, kind)) or file.chosen(kind)
        if unit in other:
            raise InputError(
                f"{file.where}: {neuron.group}.{neuron.index}",
                f"is on the {kind} unit {unit!r}, whose {other[unit]} has no counterpart here",
                "Choose a unit of leaky_integrate_fire or truenorth, with accumulator dendrites",
            )


def _units(file: _File) -> dict[str, dict[str, str]]:
    """Return the hardware units that neurons and edges ask for: kind -> name -> who asks first."""
    out: dict[str, dict[str, str]] = {kind: {} for kind in UNITS}
    neurons = [n for group in file.tables.groups for n in file.neurons(group)]
    owners = [(n.given, f"{file.where}: {n.group}.{n.index}") for n in neurons]
    owners += [(e.attributes, f"{file.where}: {e.source} -> {e.target}") for e in file.tables.edges]
    for given, who in owners:
        for kind, found in out.items():
            for key in (f"at.{kind}", f"at.{kind}_hw_name", f"{kind}_hw_name", f"default_{kind}_hw_name", kind):
                name = given.get(key)
                if isinstance(name, str):
                    found.setdefault(name, who)
    return out


def _list(given: Attributes) -> list[object]:
    value = given.get("spikes", [])
    return value if isinstance(value, list) else []


def _spikes(inputs: list[_Neuron], steps: int, where: str) -> I32:
    """Make the spikes of the inputs, int32 [steps, inputs]; a rate r spikes in every int(1 / r)-th step."""
    out = np.zeros((steps, len(inputs)), np.int32)
    for k, n in enumerate(inputs):
        _refuse(n.given, {"spikes", "rate"}, f"{where}: {n.group}.{n.index}")
        train = np.array(_list(n.given)[:steps], np.int32).reshape(-1)
        out[: train.size, k] = train != 0
        rate = number(n.given, "rate", 0.0, f"{where}: {n.group}.{n.index}")
        if rate > 0:
            out[int(1 / rate) - 1 :: int(1 / rate), k] = 1
    return out


def _refuse(given: Attributes, known: set[str], where: str) -> None:
    """Raise `InputError` for an attribute that changes what is computed and has no counterpart."""
    for key, value in given.items():
        if key in known or key in _FREE or key.endswith("_hw_name") or key.startswith("at.") or key == "soma":
            continue
        off = _OFF.get(key)
        values = value if isinstance(value, list) else [value]
        if off is None or any(v not in off for v in values):
            raise InputError(f"{where}: {key}", f"({value!r}) has no counterpart here", "Leave it out")


def _resting(found: list[_Neuron]) -> list[tuple[int, int]]:
    """Return the neurons that SANA-FE does not update while they rest, as ranges (first, last + 1).

    SANA-FE 2.2.9 does not heed ``force_soma_update`` (measured).
    """
    always = [bool(n.given.get("bias") or n.given.get("force_update")) for n in found]
    edges = np.flatnonzero(np.diff([True, *always, True]))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


Ends = tuple[str, str]
Synapses = dict[Ends, list[tuple[int, int, float]]]


def _by_ends(file: _File, place: Mapping[tuple[str, int], tuple[str, int]]) -> Synapses:
    """Return the connections by source and target population."""
    found: Synapses = {}
    for edge in file.tables.edges:
        name = f"{file.where}: {edge.source} -> {edge.target}"
        _refuse(edge.attributes, set(), name)
        _add(found, edge, place, name)
    return found


def _add(found: Synapses, edge: Edges, place: Mapping[tuple[str, int], tuple[str, int]], name: str) -> None:
    for (a, b), weight in zip(edge.pairs.tolist(), edge.weights.tolist(), strict=True):
        (source, i), (target, j) = place[edge.source, a], place[edge.target, b]
        if target == "in":
            raise InputError(name, "ends at an input, which takes none", WAY)
        found.setdefault((source, target), []).append((i, j, weight))


def _weights(edges: Synapses, target: str) -> Floats:
    """Return all weights onto a population."""
    return np.array([w for (_, to), rows in edges.items() if to == target for _, _, w in rows], np.float64)


def _projections(edges: Synapses, grids: Mapping[str, Grid], sizes: dict[str, int]) -> Iterator[Projection]:
    """Yield one projection for each pair of populations; further edges between the same neurons go to a second, third ..."""
    for (source, target), rows in edges.items():
        key = np.array([i * sizes[target] + j for i, j, _ in rows], np.int64)
        scaled = grids[target].whole(np.array([r[2] for r in rows]))
        for k, at in enumerate(_layers(key)):
            name = f"{source}_{target}" + (f"_{k + 1}" if k else "")
            yield _projection(name, source, target, key[at], scaled[at], sizes)


def _layers(key: I64) -> Iterator[I64]:
    """Yield the positions of the first, second, ... occurrence of each key, ascending by key."""
    order = np.argsort(key, kind="stable")
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    for k in range(int(count.max(initial=0))):
        yield order[first[count > k] + k]


def _projection(
    name: str,
    source: str,
    target: str,
    key: I64,
    scaled: I32,
    sizes: dict[str, int],
) -> Projection:
    stored, exponent = narrowed(scaled)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(key // sizes[target], minlength=sizes[source]))])
    return Projection(
        name, source, target, "in", indptr.astype(np.int64), (key % sizes[target]).astype(np.int32), stored,
        exponent=exponent, weight_bits=value_bits(stored),
    )  # fmt: skip


def _cores(order: list[_Neuron], per_tile: int, where: str) -> I32:
    out = np.zeros(len(order), np.int32)
    for k, n in enumerate(order):
        tile, dot, core = str(n.given.get("at.core", "")).partition(".")
        if not (dot and tile.isdecimal() and core.isdecimal()) or int(core) >= per_tile:
            found = n.given.get("at.core")
            raise InputError(
                f"{where}: {n.group}.{n.index}: core", f"is {found!r}, no TILE.CORE of {per_tile} cores", WAY
            )
        out[k] = int(tile) * per_tile + int(core)
    return out
