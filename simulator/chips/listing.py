"""Chips for people: the list, a file's text, and the JSON schema of a chip file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from simulator.chips.chip import Chip
from simulator.chips.load import chip_names, load_chip
from simulator.chips.rules import ENERGY_UNITS


def list_chips() -> list[dict[str, Any]]:
    """One row a chip: name, title, cores, neurons a core, spikes, neuron models, timing, qualities of its energies."""
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
    """The YAML text of a chip by name or path."""
    if name in chip_names():
        return (resources.files("simulator") / "chips" / f"{name}.yaml").read_text(encoding="utf-8")
    return Path(name).read_text(encoding="utf-8")


def chip_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a chip file; the rules beyond it are in `simulator.chips.rules`."""
    schema = msgspec.json.schema(Chip)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    energy = schema["$defs"]["Chip"]["properties"]["energy"]
    quantity = energy.pop("additionalProperties")
    energy |= {"properties": dict.fromkeys(ENERGY_UNITS, quantity), "additionalProperties": False}
    return schema
