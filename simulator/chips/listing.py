"""Chips for people: the list, a file's text, and the JSON schema of a chip file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from simulator.base.errors import InputError
from simulator.base.shown import Shown
from simulator.base.writing import replacing
from simulator.chips.chip import Chip
from simulator.chips.energy_keys import ENERGY_UNITS
from simulator.chips.load import chip_names, load_chip, parse_chip
from simulator.chips.rounding import rounded_times
from simulator.chips.rules import quantities


@dataclass(frozen=True, repr=False)
class ChipCheck(Shown):
    """A chip file that keeps every rule.

    Attributes:
        file: its path.
        name: name of the chip.
        unknown: numbers that nobody published.
        rounded: times that are no whole ticks, and what they are rounded to.
        sha256: of the chip's content.
    """

    file: str
    name: str
    unknown: tuple[str, ...]
    rounded: tuple[str, ...]
    sha256: str


def list_chips() -> list[dict[str, Any]]:
    """Return one row a chip: name, title, cores, neurons a core, spikes, neuron models, timing, qualities of its energies."""
    rows = []
    for name in chip_names():
        chip = load_chip(name)
        neurons = chip.limits.neurons_per_core.value
        rows.append(
            {
                "name": chip.name,
                "title": chip.title,
                "cores": chip.n_cores,
                "neurons_a_core": None if neurons is None else int(neurons),
                "spikes": chip.capabilities.spikes,
                "neuron_models": list(chip.capabilities.neuron_models),
                "learning": list(chip.capabilities.learning),
                "timing": "cycle level" if chip.timing is not None else "energy only",
                "energy_qualities": sorted({q.quality for q in chip.energy.values()}),
            }
        )
    return rows


def chip_text(name: str) -> str:
    """Return the YAML text of a chip by name or path."""
    if name in chip_names():
        return (resources.files("simulator") / "chips" / f"{name}.yaml").read_text(encoding="utf-8")
    return Path(name).read_text(encoding="utf-8")


def chip_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a chip file; the rules beyond it are in `simulator.chips.rules`."""
    schema = msgspec.json.schema(Chip)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    energy = schema["$defs"]["Chip"]["properties"]["energy"]
    quantity = energy.pop("additionalProperties")
    energy |= {"properties": dict.fromkeys(ENERGY_UNITS, quantity), "additionalProperties": False}
    return schema


_HEADER = """\
# {name}: a chip of your own, started from {like}.
# Every number is {{value, unit, source, quality}}: value null is unknown and stays unknown (it is never counted as 0);
# quality is measured, fitted, scaled, assumed or unverified; low and high bound what is not known exactly.
# capabilities   what a core can do: neuron models ("*": programmable), spikes, bits of a weight, delays, learning, sync
# topology       mesh of routers; core c is at router c // cores_per_router, router r at (r // height, r % height)
# limits         of one core; bytes of synapses and states, neurons, axons
# timing         ns of each event, or null for a chip whose times are not known; counts (slots, flits) in 1
# energy         pJ of each event, mW of static power; a key that is absent is unknown
# Numbers that came from {like} describe {like}: replace them, with your own source.
# Check it: bimhw chips check FILE       Use it: bimhw compile MODEL --chip FILE
"""


def new_chip_text(name: str, like: str) -> str:
    """Return the text of a chip file of one's own: that of `like` with its own name, and comments on how to go on.

    Raises:
        InputError: no chip `like`, or a name that is no plain word.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*", name):
        raise InputError(f"chip name {name!r}", "is no plain word", "Use letters, digits, '_' and '-'")
    text = chip_text(like)
    own = {"name": name, "title": f"{name}, started from {like}"}
    lines = text.splitlines(keepends=True)
    starts = [next((i for i, line in enumerate(lines) if line.startswith(f"{key}:")), -1) for key in own]
    after = [next((line for line in lines[i + 1 :]), "") for i in starts]
    if min(starts) < 0 or any(line.startswith((" ", "\t")) for line in after):
        return _HEADER.format(name=name, like=like) + _in_plain_form(text, like, own)
    for i, (key, value) in zip(starts, own.items(), strict=True):
        lines[i] = f"{key}: {value}\n"
    first = next(i for i, line in enumerate(lines) if re.match(r"[A-Za-z_]", line))  # what stands above is of `like`
    return _HEADER.format(name=name, like=like) + "".join(lines[first:])


def _in_plain_form(text: str, like: str, own: dict[str, str]) -> str:
    """Return a file in another form of YAML or JSON, or an architecture of SANA-FE, as a chip file in this project's form."""
    from simulator.chips.sanafe import chip_yaml

    return chip_yaml(msgspec.structs.replace(parse_chip(text, like), **own))


def new_chip(file: str | Path, like: str = "loihi2") -> Chip:
    """Write a commented chip file of one's own, started from another chip, and return the chip.

    Args:
        file: the .yaml file to write; its stem becomes the chip's name.
        like: chip to start from, by name or file.

    Raises:
        InputError: another suffix, a file that is there already, or no chip `like`.
    """
    path = Path(file)
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(str(file), "is no .yaml file", "Give it the suffix .yaml")
    if path.exists():
        raise InputError(str(file), "is there already", "Name another file")
    text = new_chip_text(path.stem, like)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return load_chip(str(file))


def check_chip_file(file: str | Path) -> ChipCheck:
    """Check a chip file: its schema, its rules, and what it leaves unknown.

    Raises:
        InputError: a rule that the file breaks.
    """
    chip = load_chip(str(file))
    unknown = tuple(path for path, q in quantities(chip) if q.value is None)
    return ChipCheck(str(file), chip.name, unknown, tuple(rounded_times(chip)), chip.sha256())
