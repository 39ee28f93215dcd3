"""Costs of a SANA-FE architecture's units as the times (ns) and energies (pJ) of a chip file.

Times are those of the units of one kind that a chip has place for, the chosen ones. Energies are those of every unit: what a
chosen unit costs stands in ``energy``, what the others cost in ``unit_energy``; hops keep their four ways.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from simulator.base.errors import InputError
from simulator.chips.chip import Timing
from simulator.chips.quantity import Quantity

WAY = "Give a SANA-FE 2 architecture file"
_TICKS_NS = (1.0, 0.1, 0.01, 0.001)  # the coarsest that divides all times is taken


class Unit(msgspec.Struct, frozen=True):
    """A hardware unit, a core or a tile: a name that may count copies, and attributes."""

    name: str
    given: dict[str, object] | None = msgspec.field(default=None, name="attributes")

    @property
    def attributes(self) -> dict[str, object]:
        """The attributes; none where the file leaves them empty."""
        return self.given or {}


class Core(Unit, frozen=True):
    """A core and its units."""

    axon_in: tuple[Unit, ...] = ()
    synapse: tuple[Unit, ...] = ()
    dendrite: tuple[Unit, ...] = ()
    soma: tuple[Unit, ...] = ()
    axon_out: tuple[Unit, ...] = ()


class Tile(Unit, frozen=True):
    """A tile and its cores."""

    core: tuple[Core, ...] = ()


class Architecture(Unit, frozen=True):
    """All tiles."""

    tile: tuple[Tile, ...] = ()


class ArchitectureFile(msgspec.Struct, frozen=True):
    """The file."""

    architecture: Architecture


@dataclass(frozen=True)
class Units:
    """The units of a core whose times a chip file holds."""

    axon_in: Unit
    synapse: Unit
    dendrite: Unit
    soma: Unit
    axon_out: Unit


@dataclass
class Numbers:
    """Attributes of one file as numbers, and what was noticed on the way."""

    where: str
    notes: list[str] = field(default_factory=list)
    read: set[tuple[str, str]] = field(default_factory=set)

    def get(self, unit: Unit, key: str, scale: float = 1.0) -> float:
        """Return an attribute as a number, 0 where it is not there, and note that it was read."""
        self.read.add((unit.name, key))
        return self.scaled(unit.attributes.get(key, 0.0), f"{unit.name}.{key}", scale)

    def scaled(self, value: object, name: str, scale: float) -> float:
        """Return a value times a scale, without the noise of binary fractions."""
        try:
            number = float(f"{float(str(value)) * scale:.12g}")
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{self.where}: {name}", f"is {str(value)[:80]!r}, no finite number", WAY)
        return number

    def either(self, unit: Unit, keys: Sequence[str], scale: float) -> float:
        """Return the first of some spellings that is there."""
        return next((self.get(unit, k, scale) for k in keys if k in unit.attributes), 0.0)

    def hop(self, tile: Unit, kind: str, way: str, scale: float) -> float:
        """Return a hop's figure for one way, such as ``east``."""
        return self.either(tile, (f"{kind}_{way}_hop", f"{kind}_{way}"), scale)

    def pair(self, tile: Unit, kind: str, ways: tuple[str, str], scale: float) -> float:
        """Return a hop's figure for two opposite ways, which a chip file holds as one: their mean where they differ."""
        a, b = (self.hop(tile, kind, w, scale) for w in ways)
        if a != b:
            self.notes.append(
                f"{tile.name}: {kind} of {ways[0]} ({a:g}) and {ways[1]} ({b:g}) hops: their mean is taken"
            )
        return float(f"{(a + b) / 2:.12g}")


def quantity(value: float | None, unit: str, numbers: Numbers, where: str) -> Quantity:
    """Return a number of the file with its source."""
    return Quantity(value, unit, f"SANA-FE architecture {Path(numbers.where).name}", "unverified", where)


def timing(top: Architecture, tile: Tile, units: Units, numbers: Numbers) -> Timing:
    """Return the times of the chosen units."""
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
    made = {k: quantity(v, "ns", numbers, w) for k, (v, w) in times.items()}
    counts = {k: quantity(v, "1", numbers, w) for k, v, w in (
        ("flits", 1.0, "a message is one flit"), ("port_slots", slots, "link_buffer_size"),
        ("core_slots", slots, "link_buffer_size"),
    )}  # fmt: skip
    by_tiles = {k: quantity(v, "ns", numbers, "latency_sync") for k, v in table.items()} if len(table) > 1 else {}
    ticks = {"tick": quantity(tick, "ns", numbers, "divides all times")}
    return msgspec.convert(ticks | made | counts | {"barrier_by_tiles": by_tiles}, Timing, from_attributes=True)


def _barriers(top: Architecture, numbers: Numbers) -> dict[str, float]:
    """Return ``latency_sync`` in ns by the number of tiles; one entry where it is one number."""
    given = top.attributes.get("latency_sync", 0.0)
    numbers.read.add((top.name, "latency_sync"))
    if isinstance(given, Mapping):
        return {str(k): numbers.scaled(v, f"latency_sync.{k}", 1e9) for k, v in given.items()}
    return {"1": numbers.get(top, "latency_sync", 1e9)}


def energies(tile: Unit, units: Units, numbers: Numbers) -> dict[str, Quantity]:
    """Return the energy section of the chosen units."""
    pj = 1e12
    found = {
        **synapse_energy(units.synapse, numbers),
        **soma_energy(units.soma, numbers),
        "packet_out": (numbers.get(units.axon_out, "energy_message_out", pj), units.axon_out.name),
        "packet_in": (numbers.get(units.axon_in, "energy_message_in", pj), units.axon_in.name),
    }
    if dendrite := numbers.get(units.dendrite, "energy_update", pj):
        found["dendrite_update"] = (dendrite, units.dendrite.name)
    for (key, way), (back_key, back) in _WAYS:
        there, return_ = (numbers.hop(tile, "energy", w, pj) for w in (way, back))
        found[key] = (there, "tile")
        if there != return_:
            found[back_key] = (return_, "tile")
    return {k: quantity(v, "pJ", numbers, w) for k, (v, w) in found.items()}


_WAYS = (
    (("hop_east_west", "east"), ("hop_west", "west")),
    (("hop_north_south", "north"), ("hop_south", "south")),
)


def unit_energies(others: Sequence[tuple[str, Unit]], numbers: Numbers) -> dict[str, dict[str, Quantity]]:
    """Return the energies of the units that are not the chosen ones: name -> energy key -> pJ.

    Args:
        others: (kind, unit) of each.
        numbers: of the file.
    """
    out: dict[str, dict[str, Quantity]] = {}
    for kind, unit in others:
        found = {"synapse": synapse_energy, "soma": soma_energy, "dendrite": dendrite_energy}[kind](unit, numbers)
        out.setdefault(re.sub(r"\[[\d.]+\]$", "", unit.name), {}).update(
            {k: quantity(v, "pJ", numbers, w) for k, (v, w) in found.items()}
        )
    return out


Costs = dict[str, tuple[float, str]]


def synapse_energy(unit: Unit, numbers: Numbers) -> Costs:
    """Return what a synaptic event costs."""
    return {"synaptic_event": (numbers.get(unit, "energy_process_spike", 1e12), unit.name)}


def dendrite_energy(unit: Unit, numbers: Numbers) -> Costs:
    """Return what the dendrite's part of a synaptic event costs: SANA-FE charges its update by event."""
    return {"dendrite_update": (numbers.get(unit, "energy_update", 1e12), unit.name)}


def soma_energy(unit: Unit, numbers: Numbers) -> Costs:
    """Return what an access, an update and a spike cost."""
    parts = (("soma_access", "access_neuron"), ("soma_update", "update_neuron"), ("spike", "spike_out"))
    return {key: (numbers.get(unit, f"energy_{name}", 1e12), unit.name) for key, name in parts}
