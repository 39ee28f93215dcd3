"""SANA-FE architecture files (YAML) as chip files: what both can say is taken over, what a chip file cannot say is named.

A tile's hops, a core's axon, synapse and soma units become the times (s -> ns) and energies (J -> pJ) of one `Chip`; every
router has the same number of equal cores. A core with several units of a kind is described by one of them: the first
synapse unit and the first soma unit that is no input, or those asked for by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from simulator.base.errors import InputError
from simulator.base.reading import boundary, read_yaml
from simulator.chips.chip import Capabilities, Chip, Limits, Timing, Topology
from simulator.chips.quantity import Quantity
from simulator.chips.rules import check_chip

_WAY = "Give a SANA-FE 2 architecture file"
_TICKS_NS = (1.0, 0.1, 0.01, 0.001)  # the coarsest that divides all times is taken
_NEURONS = ("input", "lif", "if")
_LIKE_HERE: Mapping[str, tuple[object, ...]] = {  # what a chip of this simulator does anyway
    "buffer_position": ("soma",),
    "model": ("leaky_integrate_fire", "current_based", "accumulator", "accumulator_with_delay"),
    "sync_model": ("fixed", "table"),
    "topology": ("mesh",),
}
_MEANS = {
    "buffer_position": "messages are added on arrival and neurons updated in the next step, as with soma",
    "buffer_inside_unit": "messages are added on arrival and neurons updated in the next step",
    "model": "only the unit's costs are taken",
    "latency_update": "dendrites take no time here",
    "energy_update": "there is no counter of dendrites",
    "topology": "taken as a mesh",
}


class _Unit(msgspec.Struct, frozen=True):
    """A hardware unit, a core or a tile: a name that may count copies, and attributes."""

    name: str
    attributes: dict[str, object] = {}


class _Core(_Unit, frozen=True):
    axon_in: tuple[_Unit, ...] = ()
    synapse: tuple[_Unit, ...] = ()
    dendrite: tuple[_Unit, ...] = ()
    soma: tuple[_Unit, ...] = ()
    axon_out: tuple[_Unit, ...] = ()


class _Tile(_Unit, frozen=True):
    core: tuple[_Core, ...] = ()


class _Architecture(_Unit, frozen=True):
    tile: tuple[_Tile, ...] = ()


class _File(msgspec.Struct, frozen=True):
    architecture: _Architecture


def copies(name: str) -> int:
    """Return how many units a name such as ``core[0..3]`` stands for: 4; a plain name stands for 1."""
    found = re.search(r"\[(\d+)\.\.(\d+)\]$", name)
    return 1 if found is None else int(found[2]) - int(found[1]) + 1


def base_name(name: str) -> str:
    """Return the name of a unit without its range or index."""
    return re.sub(r"\[[\d.]+\]$", "", name)


@dataclass
class _Numbers:
    """Attributes of one file as numbers, and what was noticed on the way."""

    where: str
    notes: list[str] = field(default_factory=list)
    read: set[tuple[str, str]] = field(default_factory=set)

    def get(self, unit: _Unit, key: str, scale: float = 1.0) -> float:
        self.read.add((unit.name, key))
        return self.scaled(unit.attributes.get(key, 0.0), f"{unit.name}.{key}", scale)

    def scaled(self, value: object, name: str, scale: float) -> float:
        try:
            number = float(f"{float(str(value)) * scale:.12g}")
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{self.where}: {name}", f"is {str(value)[:80]!r}, no finite number", _WAY)
        return number

    def either(self, unit: _Unit, keys: Sequence[str], scale: float) -> float:
        """Return the first of some spellings that is there."""
        return next((self.get(unit, k, scale) for k in keys if k in unit.attributes), 0.0)

    def pair(self, tile: _Unit, kind: str, ways: tuple[str, str], scale: float) -> float:
        """Return a hop's figure for two opposite ways, which a chip file holds as one: their mean where they differ."""
        a, b = (self.either(tile, (f"{kind}_{w}_hop", f"{kind}_{w}"), scale) for w in ways)
        if a != b:
            self.notes.append(
                f"{tile.name}: {kind} of {ways[0]} ({a:g}) and {ways[1]} ({b:g}) hops: their mean is taken"
            )
        return float(f"{(a + b) / 2:.12g}")


def chip_from_sanafe(
    path: Path | str, name: str = "", soma: str = "", synapse: str = ""
) -> tuple[Chip, tuple[str, ...]]:
    """Return the chip of a SANA-FE architecture file, and one line for each thing that a chip file cannot say.

    Args:
        path: YAML file with an ``architecture``.
        name: of the chip; by default the file's name of the architecture.
        soma: name of the soma unit whose costs are taken; by default the first that is no input.
        synapse: name of the synapse unit whose costs are taken; by default the first.

    Raises:
        InputError: no such file, no architecture, tiles or cores that differ, or a unit that is not there.
    """
    path = Path(path)
    raw = read_yaml(path, _WAY)
    with boundary(path, "a SANA-FE architecture", _WAY):
        top = msgspec.convert(raw, _File, strict=False).architecture
    numbers = _Numbers(str(path))
    tile, cores = _one_tile(top, str(path))
    core = tile.core[0]
    units = _units(core, soma, synapse, numbers)
    chip = Chip(
        name=name or re.sub(r"[^A-Za-z0-9_.]+", "_", top.name) or "sanafe",
        title=f"{top.name}, from the SANA-FE architecture {path.name}",
        process_nm=None,
        capabilities=_capabilities(core),
        topology=_topology(top, tile, cores, numbers),
        limits=_limits(core, numbers),
        timing=_timing(top, tile, units, numbers),
        energy=_energy(tile, units, numbers),
        units={kind: tuple(u.name for u in getattr(core, kind)) for kind in ("synapse", "dendrite", "soma")},
    )
    named = (*numbers.notes, *_not_read((top, tile, core, *(getattr(units, k) for k in _KINDS)), numbers))
    chip = msgspec.structs.replace(chip, notes=named)
    check_chip(chip, str(path))
    return chip, named


def _not_read(units: Sequence[_Unit], numbers: _Numbers) -> Iterator[str]:
    """Name each attribute that says something and has no place in a chip file, with its value."""
    for unit in units:
        for key, value in unit.attributes.items():
            alike = not value or value in _LIKE_HERE.get(key, ()) or str(value) in ("0.0", "0")
            if alike or (unit.name, key) in numbers.read:
                continue
            yield f"{unit.name}: {key} is {str(value)[:80]!r}, not read" + (f": {_MEANS[key]}" if key in _MEANS else "")


def _one_tile(top: _Architecture, where: str) -> tuple[_Tile, int]:
    """Return the tile that all are copies of, and its cores."""
    kinds = [t for t in top.tile if t.core]
    if len(kinds) != 1 or len(kinds[0].core) != 1:
        n = [len(t.core) for t in top.tile]
        raise InputError(
            f"{where}: architecture.tile",
            f"has {len(top.tile)} kinds of tiles with {n} kinds of cores; a chip file has one of each",
            "Import each kind apart, or write core_limits by hand",
        )
    return kinds[0], copies(kinds[0].core[0].name)


_KINDS = ("axon_in", "synapse", "dendrite", "soma", "axon_out")


@dataclass(frozen=True)
class _Units:
    axon_in: _Unit
    synapse: _Unit
    dendrite: _Unit
    soma: _Unit
    axon_out: _Unit


def _units(core: _Core, soma: str, synapse: str, numbers: _Numbers) -> _Units:
    somas = tuple(u for u in core.soma if u.attributes.get("model") != "input")
    return _Units(
        _chosen(core.axon_in, "axon_in", "", numbers),
        _chosen(core.synapse, "synapse", synapse, numbers),
        _chosen(core.dendrite, "dendrite", "", numbers),
        _chosen(somas, "soma", soma, numbers),
        _chosen(core.axon_out, "axon_out", "", numbers),
    )


def _chosen(units: tuple[_Unit, ...], kind: str, name: str, numbers: _Numbers) -> _Unit:
    where = f"{numbers.where}: {kind}"
    known = ", ".join(u.name for u in units)
    if not units:
        raise InputError(where, "has no unit that a core could use", _WAY)
    found = next((u for u in units if name in ("", u.name, base_name(u.name))), None)
    if found is None:
        raise InputError(where, f"has no unit {name!r}", f"It has: {known}")
    rest = [u.name for u in units if u is not found]
    if rest:
        numbers.notes.append(f"{kind}: costs are those of {found.name}; a chip file has no place for {', '.join(rest)}")
    return found


def _capabilities(core: _Core) -> Capabilities:
    delays = any(u.attributes.get("model") == "accumulator_with_delay" for u in core.dendrite)
    return Capabilities(
        neuron_models=_NEURONS, spikes="binary", graded_bits=0, weight_bits=tuple(range(1, 33)),
        max_delay=62 if delays else 0, sync=("barrier",),
    )  # fmt: skip


def _topology(top: _Architecture, tile: _Tile, cores: int, numbers: _Numbers) -> Topology:
    width, height = (int(numbers.get(top, k)) or 1 for k in ("width", "height"))
    tiles = copies(tile.name)
    if tiles > width * height:
        raise InputError(f"{numbers.where}: width x height", f"is {width} x {height} for {tiles} tiles", _WAY)
    return Topology(width, height, cores, tiles * cores, source=f"SANA-FE architecture {Path(numbers.where).name}")


def _quantity(value: float | None, unit: str, numbers: _Numbers, where: str) -> Quantity:
    return Quantity(value, unit, f"SANA-FE architecture {Path(numbers.where).name}", "unverified", where)


def _limits(core: _Core, numbers: _Numbers) -> Limits:
    most = numbers.get(core, "max_neurons_supported") or None
    none = {
        name: _quantity(None, "B" if "bytes" in name else "1", numbers, "not in the file")
        for name in Limits.__struct_fields__
        if name not in ("neurons_per_core", "memory_bytes_per_core")
    }
    return Limits(neurons_per_core=_quantity(most, "1", numbers, "max_neurons_supported"), **none)


def _timing(top: _Architecture, tile: _Tile, units: _Units, numbers: _Numbers) -> Timing:
    ns, soma = 1e9, units.soma
    update = numbers.get(soma, "latency_access_neuron", ns) + numbers.get(soma, "latency_update_neuron", ns)
    times = {
        "hop_east_west": (numbers.pair(tile, "latency", ("east", "west"), ns), "tile"),
        "hop_north_south": (numbers.pair(tile, "latency", ("north", "south"), ns), "tile"),
        "neuron_update_active": (float(f"{update:.12g}"), "soma: access + update"),
        "neuron_update_inactive": (float(f"{update:.12g}"), "soma: access + update"),
        "spike_out": (numbers.get(soma, "latency_spike_out", ns), "soma"),
        "axon_out": (numbers.get(units.axon_out, "latency_message_out", ns), "axon_out"),
        "message_in": (numbers.get(units.axon_in, "latency_message_in", ns), "axon_in"),
        "synapse": (numbers.get(units.synapse, "latency_process_spike", ns), "synapse"),
        "barrier_hop": (0.0, "contained in barrier"),
    }
    table = _barriers(top, numbers)
    times["barrier"] = (max(table.values(), default=0.0), "latency_sync")
    every = [v for v, _ in times.values()] + list(table.values())
    tick = next((t for t in _TICKS_NS if all(abs(v / t - round(v / t)) < 1e-6 for v in every)), _TICKS_NS[-1])
    times |= dict.fromkeys(("hop_local", "enqueue"), (tick, "not in the file: one tick"))
    slots = max(1.0, numbers.get(top, "link_buffer_size"))
    made = {k: _quantity(v, "ns", numbers, w) for k, (v, w) in times.items()}
    counts = {k: _quantity(v, "1", numbers, w) for k, v, w in (
        ("flits", 1.0, "a message is one flit"), ("port_slots", slots, "link_buffer_size"),
        ("core_slots", slots, "link_buffer_size"),
    )}  # fmt: skip
    by_tiles = {k: _quantity(v, "ns", numbers, "latency_sync") for k, v in table.items()} if len(table) > 1 else {}
    ticks = {"tick": _quantity(tick, "ns", numbers, "divides all times")}
    return msgspec.convert(ticks | made | counts | {"barrier_by_tiles": by_tiles}, Timing, from_attributes=True)


def _barriers(top: _Architecture, numbers: _Numbers) -> dict[str, float]:
    """Return ``latency_sync`` in ns by the number of tiles; one entry where it is one number."""
    given = top.attributes.get("latency_sync", 0.0)
    numbers.read.add((top.name, "latency_sync"))
    if isinstance(given, Mapping):
        return {str(k): numbers.scaled(v, f"latency_sync.{k}", 1e9) for k, v in given.items()}
    return {"1": numbers.get(top, "latency_sync", 1e9)}


def _energy(tile: _Tile, units: _Units, numbers: _Numbers) -> dict[str, Quantity]:
    pj = 1e12
    found = {
        "synaptic_event": (numbers.get(units.synapse, "energy_process_spike", pj), units.synapse.name),
        "soma_access": (numbers.get(units.soma, "energy_access_neuron", pj), units.soma.name),
        "soma_update": (numbers.get(units.soma, "energy_update_neuron", pj), units.soma.name),
        "spike": (numbers.get(units.soma, "energy_spike_out", pj), units.soma.name),
        "packet_out": (numbers.get(units.axon_out, "energy_message_out", pj), units.axon_out.name),
        "packet_in": (numbers.get(units.axon_in, "energy_message_in", pj), units.axon_in.name),
        "hop_east_west": (numbers.pair(tile, "energy", ("east", "west"), pj), "tile"),
        "hop_north_south": (numbers.pair(tile, "energy", ("north", "south"), pj), "tile"),
    }
    return {k: _quantity(v, "pJ", numbers, w) for k, (v, w) in found.items()}


def chip_yaml(chip: Chip) -> str:
    """Return a chip as the YAML text of a chip file."""
    import io

    from ruamel.yaml import YAML

    yaml, out = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style = None
    yaml.width = 200
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(_plain(msgspec.to_builtins(chip)), out)
    return out.getvalue()


def _plain(value: object) -> object:
    """Return builtins without empty texts and unset fields, as a person would write them."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k == "value" or v not in ("", None, {}) or k in _NULLS}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


_NULLS = ("process_nm", "timing")
