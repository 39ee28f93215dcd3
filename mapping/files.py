"""Mappings as files: saved, edited by hand, and used again.

JSON: ``{"format": "bimhw-mapping-1", "chip": name, "cores": {population: core or [core of each neuron]}}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from mapping.network import Network
from mapping.words import stored_for
from simulator.base.arrays import I32, I64
from simulator.base.errors import FitError, InputError
from simulator.base.files import write_json
from simulator.base.names import INPUT_MODEL
from simulator.base.reading import MAX_JSON_BYTES, parse_as, read_bytes
from simulator.chips.chip import MOST_MESH_CORES, Chip
from simulator.program.chip import with_chip
from simulator.program.program import HOST, Program

FORMAT = "bimhw-mapping-1"


Core = Annotated[int, msgspec.Meta(ge=0, lt=MOST_MESH_CORES)]


class MappingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a mapping file."""

    format: str
    chip: str
    cores: dict[str, Core | list[Core]]


def save_mapping(program: Program, path: Path) -> None:
    """Write a program's mapping; a population on one core as one number."""
    first, cores = program.first_ids(), {}
    for p in program.populations:
        if p.model != INPUT_MODEL:
            own = program.core[first[p.name] : first[p.name] + p.size].tolist()
            cores[p.name] = own[0] if len(set(own)) == 1 else own
    write_json(path, {"format": FORMAT, "chip": program.chip, "cores": cores})


def read_mapping(path: Path, network: Network) -> I32:
    """Read the core of every neuron of a network in logical order, `HOST` for inputs.

    Raises:
        InputError: no such file, not a mapping, or one of another network.
    """
    data = read_bytes(path, MAX_JSON_BYTES)
    content = parse_as(data, MappingFile, path, "a mapping file", "`bimhw compile --save-mapping` writes one")
    if content.format != FORMAT:
        raise InputError(f"{path}: $.format", f"is {content.format!r}, must be {FORMAT!r}")
    names = [p.name for p in network.populations if p.model != INPUT_MODEL]
    if set(content.cores) != set(names):
        raise InputError(f"{path}: $.cores", f"has {sorted(content.cores)}, the network has {sorted(names)}")
    parts = [
        _cores(path, content, p.name, p.size) if p.name in names else np.full(p.size, HOST) for p in network.populations
    ]
    core: I32 = np.concatenate(parts).astype(np.int32)
    return core


def _cores(path: Path, content: MappingFile, name: str, size: int) -> I64:
    value = content.cores[name]
    cores = np.full(size, value) if isinstance(value, int) else np.asarray(value, np.int64)
    where = f"{path}: $.cores.{name}"
    if cores.size != size:
        raise InputError(where, f"has {cores.size} cores for {size} neurons", "Give one core, or one for each neuron")
    return cores


def program_as_given(network: Network, chip: Chip) -> Program:
    """Return the program of an integer network, as the chip stores it, on the cores that it brings.

    Raises:
        InputError: the network brings no mapping.
        FitError: the mapping uses a core that the chip does not have.
    """
    core = network.core
    if core is None:
        raise InputError("mapping", "the file brings none (array 'core')", "Use --mapping auto")
    there = chip.topology.mesh_cores
    if int(core.max()) >= there:
        raise FitError("mapping", f"uses core {core.max()}; chip {chip.name!r} has cores 0..{there - 1}", "Use another")
    network, meta = stored_for(network, chip), with_chip(network.meta, chip)
    return Program(chip.name, chip.sha256(), network.populations, network.projections, core, meta=meta)
