"""SANA-FE architecture files (YAML) as chip files: what both can say is taken over, what a chip file cannot say is named.

A tile's hops, a core's axon, synapse and soma units become the times (s -> ns) and energies (J -> pJ) of one `Chip`; every
router has the same number of equal cores. A core with several units of a kind has the times of one of them: the first
synapse unit and the first soma unit that is no input, or those asked for by name; each unit has energies of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from simulator.base.errors import InputError
from simulator.base.reading import boundary, read_yaml
from simulator.chips.chip import Capabilities, Chip, Limits, Topology
from simulator.chips.rules import check_chip
from simulator.chips.sanafe_costs import (
    WAY,
    Architecture,
    ArchitectureFile,
    Core,
    Numbers,
    Tile,
    Unit,
    Units,
    energies,
    quantity,
    timing,
    unit_energies,
)

_NEURONS = ("input", "lif", "if", "lif_grid")
_LIKE_HERE: Mapping[str, tuple[object, ...]] = {  # what a chip of this simulator does anyway
    "buffer_position": ("soma",),
    "model": ("leaky_integrate_fire", "truenorth", "current_based", "accumulator", "accumulator_with_delay"),
    "sync_model": ("fixed", "table"),
    "topology": ("mesh",),
}
_MEANS = {
    "buffer_position": "messages are added on arrival and neurons updated in the next step, as with soma",
    "buffer_inside_unit": "messages are added on arrival and neurons updated in the next step",
    "model": "only the unit's costs are taken",
    "latency_update": "dendrites take no time here",
    "update_every_timestep": "dendrites are charged by event, as SANA-FE 2.2.9 charges its accumulators",
    "topology": "taken as a mesh",
}


def copies(name: str) -> int:
    """Return how many units a name such as ``core[0..3]`` stands for: 4; a plain name stands for 1."""
    found = re.search(r"\[(\d+)\.\.(\d+)\]$", name)
    return 1 if found is None else int(found[2]) - int(found[1]) + 1


def base_name(name: str) -> str:
    """Return the name of a unit without its range or index."""
    return re.sub(r"\[[\d.]+\]$", "", name)


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
    return chip_of_architecture(read_yaml(path, WAY), path, name, soma, synapse)


def chip_of_architecture(
    raw: object, path: Path, name: str = "", soma: str = "", synapse: str = ""
) -> tuple[Chip, tuple[str, ...]]:
    """Do the same for the file's content."""
    with boundary(path, "a SANA-FE architecture", WAY):
        top = msgspec.convert(raw, ArchitectureFile, strict=False).architecture
    numbers = Numbers(str(path))
    tile, cores, tiles = _one_tile(top, str(path))
    core = tile.core[0]
    units = _units(core, soma, synapse, numbers)
    energy, own = energies(tile, units, numbers), unit_energies(_others(core, units), numbers)
    if any(each["dendrite_update"].value for each in own.values() if "dendrite_update" in each):
        energy.setdefault("dendrite_update", quantity(0.0, "pJ", numbers, units.dendrite.name))
    elif "dendrite_update" not in energy:  # dendrites cost nothing
        own = {unit: {k: q for k, q in each.items() if k != "dendrite_update"} for unit, each in own.items()}
    chip = Chip(
        name=name or re.sub(r"[^A-Za-z0-9_.]+", "_", top.name) or "sanafe",
        title=f"{top.name}, from the SANA-FE architecture {path.name}",
        process_nm=None,
        capabilities=_capabilities(core),
        topology=_topology(top, tiles, cores, numbers),
        limits=_limits(core, numbers),
        timing=timing(top, tile, units, numbers),
        energy=energy,
        units=_names(core, units),
        unit_energy={unit: each for unit, each in own.items() if each},
    )
    named = (*numbers.notes, *_not_read((top, tile, core, *(getattr(units, k) for k in _KINDS)), numbers))
    chip = msgspec.structs.replace(chip, notes=named)
    check_chip(chip, str(path))
    return chip, named


def _not_read(units: Sequence[Unit], numbers: Numbers) -> Iterator[str]:
    """Name each attribute that says something and has no place in a chip file, with its value."""
    for unit in units:
        for key, value in unit.attributes.items():
            alike = not value or value in _LIKE_HERE.get(key, ()) or str(value) in ("0.0", "0")
            if alike or (unit.name, key) in numbers.read:
                continue
            yield f"{unit.name}: {key} is {str(value)[:80]!r}, not read" + (f": {_MEANS[key]}" if key in _MEANS else "")


def _one_tile(top: Architecture, where: str) -> tuple[Tile, int, int]:
    """Return the tile that all are copies of, its cores, and how many tiles there are."""
    tiles = [t for t in top.tile if t.core]
    cores = [c for t in tiles for c in t.core]
    per_tile = {sum(copies(c.name) for c in t.core) for t in tiles}
    alike = len({_content(t, "core") for t in tiles}) == 1 and len({_content(c) for c in cores}) == 1
    if not alike or len(per_tile) != 1:
        n = [len(t.core) for t in top.tile]
        raise InputError(
            f"{where}: architecture.tile",
            f"has {len(top.tile)} kinds of tiles with {n} kinds of cores; a chip file has one of each",
            "Import each kind apart, or write core_limits by hand",
        )
    return tiles[0], per_tile.pop(), sum(copies(t.name) for t in tiles)


def _content(unit: Unit, *without: str) -> str:
    """Return what a tile or core holds, its name apart."""
    fields = {k: v for k, v in msgspec.to_builtins(unit).items() if k not in ("name", *without)}
    return msgspec.json.encode(fields, order="sorted").decode()


_KINDS = ("axon_in", "synapse", "dendrite", "soma", "axon_out")


def _others(core: Core, units: Units) -> list[tuple[str, Unit]]:
    """Return the units with costs of their own that are not the chosen ones, inputs left out."""
    kinds = ("synapse", "dendrite", "soma")
    chosen = {id(getattr(units, kind)) for kind in kinds}
    found = [(kind, u) for kind in kinds for u in getattr(core, kind) if id(u) not in chosen]
    return [(kind, u) for kind, u in found if u.attributes.get("model") != "input"]


def _names(core: Core, units: Units) -> dict[str, tuple[str, ...]]:
    """Return the units' names by kind; somas that are inputs, and TrueNorth's, once more apart, the chosen one first."""
    out = {kind: tuple(u.name for u in getattr(core, kind)) for kind in ("synapse", "dendrite", "soma")}
    for kind in ("input", "truenorth"):
        if named := tuple(u.name for u in core.soma if u.attributes.get("model") == kind):
            out[kind] = named
    somas_and_dendrites = (u for kind in ("dendrite", "soma") for u in getattr(core, kind))
    if other := tuple(f"{base_name(u.name)}={why}" for u in somas_and_dendrites if (why := _other(u))):
        out["other"] = other
    return out | {"chosen": tuple(base_name(getattr(units, kind).name) for kind in ("synapse", "dendrite", "soma"))}


def _other(unit: Unit) -> str:
    """Return what a soma or dendrite unit computes that no neuron here does, "" for nothing."""
    model = str(unit.attributes.get("model", ""))
    if "plugin" in unit.attributes or model not in ("", "input", *_LIKE_HERE["model"]):
        return f"model {model}"
    return "noise" if unit.attributes.get("noise") else ""


def _units(core: Core, soma: str, synapse: str, numbers: Numbers) -> Units:
    somas = tuple(u for u in core.soma if u.attributes.get("model") != "input")
    return Units(
        _chosen(core.axon_in, "axon_in", "", numbers),
        _chosen(core.synapse, "synapse", synapse, numbers),
        _chosen(core.dendrite, "dendrite", "", numbers),
        _chosen(somas, "soma", soma, numbers),
        _chosen(core.axon_out, "axon_out", "", numbers),
    )


def _chosen(units: tuple[Unit, ...], kind: str, name: str, numbers: Numbers) -> Unit:
    where = f"{numbers.where}: {kind}"
    known = ", ".join(u.name for u in units)
    if not units:
        raise InputError(where, "has no unit that a core could use", WAY)
    found = next((u for u in units if name in ("", u.name, base_name(u.name))), None)
    if found is None:
        raise InputError(where, f"has no unit {name!r}", f"It has: {known}")
    rest = [u.name for u in units if u is not found]
    if rest:
        numbers.notes.append(f"{kind}: times are those of {found.name}, energies each unit's own ({', '.join(rest)})")
    return found


def _capabilities(core: Core) -> Capabilities:
    delays = any(u.attributes.get("model") == "accumulator_with_delay" for u in core.dendrite)
    return Capabilities(
        neuron_models=_NEURONS, spikes="binary", graded_bits=0, weight_bits=tuple(range(1, 33)),
        max_delay=62 if delays else 0, sync=("barrier",),
    )  # fmt: skip


def _topology(top: Architecture, tiles: int, cores: int, numbers: Numbers) -> Topology:
    width, height = (int(numbers.get(top, k)) or 1 for k in ("width", "height"))
    if tiles > width * height:
        raise InputError(f"{numbers.where}: width x height", f"is {width} x {height} for {tiles} tiles", WAY)
    return Topology(width, height, cores, tiles * cores, source=f"SANA-FE architecture {Path(numbers.where).name}")


def _limits(core: Core, numbers: Numbers) -> Limits:
    most = numbers.get(core, "max_neurons_supported") or None
    none = {
        name: quantity(None, "B" if "bytes" in name else "1", numbers, "not in the file")
        for name in Limits.__struct_fields__
        if name not in ("neurons_per_core", "memory_bytes_per_core")
    }
    return Limits(neurons_per_core=quantity(most, "1", numbers, "max_neurons_supported"), **none)


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
