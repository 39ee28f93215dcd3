"""A SANA-FE network file as an integer `Network`: V in 1/64 of a weight unit, as SANA-FE's own neuron keeps it.

    V[t] = (64 potential if t == 0 else trunc(leak_decay V[t-1])) + 64 (bias + sum of weights whose source spiked at t-1)
    spike if V > 64 threshold; then V = 64 reset (hard), V - 64 threshold (soft)

Neurons with ``spikes`` or ``rate``, or on a soma unit whose name has "input" in it, are external inputs; they keep their core
and cost nothing but their packets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bimhw.frontends.sanafe.read import UNITS, WAY, Attributes, Group, Tables, read_tables
from mapping.network import Network
from mapping.words import narrowed, value_bits
from simulator.base.errors import InputError
from simulator.base.names import INPUT_MODEL
from simulator.base.reading import boundary
from simulator.neurons.lif import initial_v
from simulator.program.graph import Population, Projection
from simulator.program.spikes import SpikeTrain

UNIT = 64  # of V in a weight unit
PLAIN_STEPS = 100  # of a network without lists of input spikes
_FREE = {"log_spikes", "log_potential", "log_v", "connections_out", "force_update", "force_soma_update"}
_LIF = {"threshold", "reset", "leak_decay", "bias", "potential", "reset_mode"}
_OFF: dict[str, tuple[object, ...]] = {  # attributes that are accepted with the value that switches them off
    "input_decay": (0, 0.0), "dendrite_leak_decay": (0, 0.0), "reverse_reset_mode": ("none",), "poisson": (0, 0.0),
    "reverse_threshold": (), "reverse_reset": (), "delay": (0, 0.0),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Neuron:
    """One neuron of the network, at its place."""

    group: str
    index: int
    given: Attributes
    is_input: bool


def sanafe_network(
    path: Path, steps: int | None = None, cores_per_tile: int | None = None, *, rest_is_free: bool = False
) -> Network:
    """Read a SANA-FE network file.

    Args:
        path: YAML file with ``network`` and ``mappings``.
        steps: to run; by default as many as the longest list of input spikes has, or 100.
        cores_per_tile: of the architecture; with it the file's mapping is taken over (``--mapping file``).
        rest_is_free: charge no update to a neuron at rest, as SANA-FE does where its buffer is before the soma
            (``--read resting=free``): V is 0, nothing arrives, it does not fire, has no bias and no ``force_update``.

    Raises:
        InputError: a damaged file, or an attribute whose effect this network cannot have, by its neuron or edge.
    """
    with boundary(path, "a SANA-FE network", WAY):
        tables = read_tables(path)
        return _with_rest(_network(tables, path, steps, cores_per_tile), tables, rest_is_free)


def _with_rest(network: Network, tables: Tables, is_free: bool) -> Network:
    """Add whose updates at rest are free, or a note of whose SANA-FE would leave out."""
    resting = {g.name: _resting(g) for g in tables.groups.values() if not all(map(_is_input, g.neurons))}
    if is_free:
        return replace(network, meta=dict(network.meta) | {"resting": resting})
    told = [
        f"group {name!r}: {sum(b - a for a, b in ranges)} neurons without bias and force_update are charged an update in every "
        "step; SANA-FE charges none while they rest at 0 without input (--read resting=free)"
        for name, ranges in resting.items()
        if ranges
    ]
    return replace(network, meta=dict(network.meta) | {"notes": [*network.meta["notes"], *told]})


def _network(tables: Tables, path: Path, steps: int | None, cores_per_tile: int | None) -> Network:
    where = str(path)
    neurons = [
        _Neuron(g.name, i, given, _is_input(given)) for g in tables.groups.values() for i, given in enumerate(g.neurons)
    ]
    inputs = [n for n in neurons if n.is_input]
    notes: list[str] = []
    populations = [_lif(g, where, notes) for g in tables.groups.values() if not all(map(_is_input, g.neurons))]
    length = steps or max((len(_list(n.given)) for n in inputs), default=0) or PLAIN_STEPS
    first = (Population("in", INPUT_MODEL, len(inputs), role="input"),) if inputs else ()
    place = _places(neurons)
    projections = _projections(tables, place, {p.name: p.size for p in (*first, *populations)}, where)
    order = inputs + [n for n in neurons if not n.is_input]
    core = None if cores_per_tile is None else _cores(order, cores_per_tile, where)
    if core is None:
        notes.append("its mapping is left: give --read cores_per_tile=N and --mapping file to take it over")
    train = SpikeTrain.from_dense(_spikes(inputs, length, where), 0)
    meta = {"source": path.name, "steps": length, "notes": notes, "units": _units(tables, neurons, where)}
    return Network("integer", (*first, *populations), tuple(projections), meta, inputs=train, core=core)


def _is_input(given: Attributes) -> bool:
    soma = str(given.get("at.soma", given.get("soma_hw_name", given.get("soma", ""))))
    return "spikes" in given or "rate" in given or "poisson" in given or "input" in soma


def _units(tables: Tables, neurons: list[_Neuron], where: str) -> dict[str, dict[str, str]]:
    """Return the hardware units that neurons and edges ask for: kind -> name -> who asks first."""
    out: dict[str, dict[str, str]] = {kind: {} for kind in UNITS}
    owners = [(n.given, f"{where}: {n.group}.{n.index}") for n in neurons]
    owners += [(e.attributes, f"{where}: {e.source} -> {e.target}") for e in tables.edges]
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


def _spikes(inputs: list[_Neuron], steps: int, where: str) -> npt.NDArray[np.int32]:
    """Make the spikes of the inputs, int32 [steps, inputs]; a rate r spikes in every int(1 / r)-th step."""
    out = np.zeros((steps, len(inputs)), np.int32)
    for k, n in enumerate(inputs):
        _refuse(n.given, {"spikes", "rate"}, f"{where}: {n.group}.{n.index}")
        train = np.array(_list(n.given)[:steps], np.int32).reshape(-1)
        out[: train.size, k] = train != 0
        rate = _number(n.given, "rate", 0.0, f"{where}: {n.group}.{n.index}")
        if rate > 0:
            out[int(1 / rate) - 1 :: int(1 / rate), k] = 1
    return out


def _number(given: Attributes, key: str, default: float, where: str) -> float:
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"{where}: {key}", f"is {value!r}, no number", WAY)
    return float(value)


def _refuse(given: Attributes, known: set[str], where: str) -> None:
    """Raise `InputError` for an attribute that changes what is computed and has no counterpart."""
    for key, value in given.items():
        if key in known or key in _FREE or key.endswith("_hw_name") or key.startswith("at.") or key == "soma":
            continue
        off = _OFF.get(key)
        if off is None or (off and value not in off):
            raise InputError(f"{where}: {key}", f"({value!r}) has no counterpart here", "Leave it out")


def _scaled(value: npt.NDArray[np.float64], what: str, where: str) -> npt.NDArray[np.int32]:
    """Scale weight units to whole 1/64."""
    whole = np.round(value * UNIT)
    if (np.abs(whole - value * UNIT) > 1e-9).any() or np.abs(whole).max(initial=0) >= 2**30:
        bad = value[np.abs(whole - value * UNIT) > 1e-9]
        raise InputError(
            f"{where}: {what}",
            f"has {bad[0] if bad.size else value.max():g}, which is no multiple of 1/{UNIT} within 24 bits",
            "Scale weights, thresholds and biases by a common factor",
        )
    return whole.astype(np.int32)


def _lif(group: Group, where: str, notes: list[str]) -> Population:
    rows = [(i, given) for i, given in enumerate(group.neurons) if not _is_input(given)]
    place = f"{where}: group {group.name!r}"
    for i, given in rows:
        _refuse(given, _LIF, f"{where}: {group.name}.{i}")

    def column(key: str, default: float = 0.0) -> npt.NDArray[np.float64]:
        return np.array([_number(g, key, default, f"{where}: {group.name}.{i}") for i, g in rows])

    modes = {str(g.get("reset_mode", "hard")) for _, g in rows}
    if not modes <= {"hard", "soft"}:
        raise InputError(f"{place}: reset_mode", f"is {sorted(modes)}; hard and soft have a counterpart", "Choose one")
    decay = (1 - column("leak_decay", 1.0)) * 4096
    dv = np.round(decay).astype(np.int32)
    if (dv < 0).any() or (dv > 4096).any():
        raise InputError(f"{place}: leak_decay", "is not 0..1", WAY)
    if (np.abs(decay - dv) > 1e-9).any():
        notes.append(f"group {group.name!r}: leak_decay is rounded to 1/4096, so spikes may differ from SANA-FE's")
    params = {
        "dv": dv,
        "vth": _scaled(column("threshold"), "threshold", place),
        "v_reset": _scaled(column("reset"), "reset", place),
        "bias": _scaled(column("bias"), "bias", place),
        "soft": np.array([str(g.get("reset_mode", "hard")) == "soft" for _, g in rows], np.int32),
        "strict": np.array(1, np.int32),
        "v_init": _first(_scaled(column("potential"), "potential", place).astype(np.int64), dv),
    }
    return Population(group.name, "lif", len(rows), params, layer=1)


def _resting(group: Group) -> list[tuple[int, int]]:
    """Return the neurons that SANA-FE does not update while they rest, as ranges (first, last + 1).

    SANA-FE 2.2.9 does not heed ``force_soma_update`` (measured).
    """
    always = [bool(g.get("bias") or g.get("force_update")) for g in group.neurons if not _is_input(g)]
    edges = np.flatnonzero(np.diff([True, *always, True]))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _first(v: npt.NDArray[np.int64], dv: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the V before step 0 whose decay leaves the potential."""
    out = np.zeros(v.size, np.int32)
    for one in np.unique(dv):
        if one < 4096:
            out[dv == one] = initial_v(v[dv == one], int(one))
    return out


def _places(neurons: list[_Neuron]) -> dict[tuple[str, int], tuple[str, int]]:
    """Group and index of a neuron in the file -> population and index here."""
    count: dict[str, int] = {}
    out = {}
    for n in neurons:
        name = "in" if n.is_input else n.group
        out[n.group, n.index] = name, count.get(name, 0)
        count[name] = count.get(name, 0) + 1
    return out


def _projections(
    tables: Tables, place: dict[tuple[str, int], tuple[str, int]], sizes: dict[str, int], where: str
) -> list[Projection]:
    """Make one projection for each pair of populations; further edges between the same neurons go to a second, third ..."""
    found: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
    for edge in tables.edges:
        _refuse(edge.attributes, set(), f"{where}: {edge.source} -> {edge.target}")
        for (a, b), weight in zip(edge.pairs.tolist(), edge.weights.tolist(), strict=True):
            (source, i), (target, j) = place[edge.source, a], place[edge.target, b]
            if target == "in":
                raise InputError(f"{where}: {edge.source} -> {edge.target}", "ends at an input, which takes none", WAY)
            found.setdefault((source, target), []).append((i, j, weight))
    out = []
    for (source, target), rows in found.items():
        key = np.array([i * sizes[target] + j for i, j, _ in rows], np.int64)
        scaled = _scaled(np.array([r[2] for r in rows]), "weight", f"{where}: {source} -> {target}")
        for k, at in enumerate(_layers(key)):
            name = f"{source}_{target}" + (f"_{k + 1}" if k else "")
            out.append(_projection(name, source, target, key[at], scaled[at], sizes))
    return out


def _layers(key: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the positions of the first, second, ... occurrence of each key, ascending by key."""
    order = np.argsort(key, kind="stable")
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    for k in range(int(count.max(initial=0))):
        yield order[first[count > k] + k]


def _projection(
    name: str,
    source: str,
    target: str,
    key: npt.NDArray[np.int64],
    scaled: npt.NDArray[np.int32],
    sizes: dict[str, int],
) -> Projection:
    stored, exponent = narrowed(scaled)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(key // sizes[target], minlength=sizes[source]))])
    return Projection(
        name, source, target, "in", indptr.astype(np.int64), (key % sizes[target]).astype(np.int32), stored,
        exponent=exponent, weight_bits=value_bits(stored),
    )  # fmt: skip


def _cores(order: list[_Neuron], per_tile: int, where: str) -> npt.NDArray[np.int32]:
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
